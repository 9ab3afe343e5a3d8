"""An installed PostgreSQL on a socket in a folder, started and stopped by us: to try it, and for tests.

It listens on no network, and the socket lies in a folder that only its user can enter, so it asks for no password.
A server of its own is no user `root`, which PostgreSQL refuses: then it is the user `postgres`, or `nobody`.
"""

from __future__ import annotations

import hashlib
import os
import pwd
import re
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

from ..errors import LogUnavailable
from .place import Address

USER = "team"
_LONGEST = 90  # bytes of the folder of a socket; with the socket's name, 107 are what systems allow
_PLACES = ("usr/lib/postgresql/*/bin", "usr/pgsql-*/bin", "opt/homebrew/opt/postgresql*/bin")
_SECONDS = 60


class LocalServer:
    """A PostgreSQL in a folder. `settings` are parameters of the server, as in `{"fsync": "off"}`."""

    def __init__(self, folder: Path, settings: Mapping[str, str] | None = None) -> None:
        self.folder = folder.absolute()
        self.data = self.folder / "data"
        self.settings = settings or {}
        self.sockets = self._sockets()

    @property
    def url(self) -> str:
        """Where to connect."""
        return self._url_of(USER)

    @property
    def is_running(self) -> bool:
        """Whether the server runs."""
        return self.data.exists() and self._ctl("status", check=False).returncode == 0

    @property
    def pid(self) -> int:
        """The process id of the running server."""
        return int((self.data / "postmaster.pid").read_text().split("\n", 1)[0])

    def start(self) -> None:
        """Make the database unless it is there, and start the server unless it runs. Raises LogUnavailable."""
        if self.is_running:
            return
        self._make_folders()
        is_new = not (self.data / "PG_VERSION").exists()
        if is_new:
            self._run("initdb", "-D", self.data, "-U", USER, "-A", "trust", "-E", "UTF8", "--locale=C", "-N")
        settings = {"listen_addresses": "", "unix_socket_directories": str(self.sockets), **self.settings}
        words = " ".join(f"-c {shlex.quote(f'{name}={value}')}" for name, value in settings.items())
        self._ctl("start", "-w", "-t", str(_SECONDS), "-l", self.folder / "log", "-o", words)
        if is_new:
            self._create_database()

    def stop(self, mode: str = "fast") -> None:
        """Stop the server, if it runs; what it has is kept."""
        if self.is_running:
            self._ctl("stop", "-w", "-t", str(_SECONDS), "-m", mode)

    def _create_database(self) -> None:
        from .connection import Server  # only whoever connects needs what connects

        server = Server(Address(self._url_of("postgres"), USER))
        server.run(lambda connection: connection.execute(f"CREATE DATABASE {USER}".encode()))
        server.close()

    def _url_of(self, database: str) -> str:
        port = f"&port={self.settings['port']}" if "port" in self.settings else ""
        return f"postgresql://{USER}@/{database}?host={quote(str(self.sockets), safe='/')}{port}"

    def _ctl(self, verb: str, *words: object, check: bool = True) -> subprocess.CompletedProcess[str]:
        return self._run("pg_ctl", verb, "-D", self.data, *words, check=check)

    def _run(self, program: str, *words: object, check: bool = True) -> subprocess.CompletedProcess[str]:
        argv = [str(program_of(program)), *map(str, words)]
        user, group = _user()
        # A server that goes on must not keep the pipe of whoever started it open, so all that is said goes to a file.
        with tempfile.TemporaryFile("w+") as output:
            done = subprocess.run(  # noqa: S603
                argv, stdin=subprocess.DEVNULL, stdout=output, stderr=output, check=False, cwd="/", env=_environment(),
                user=user, group=group, extra_groups=None if user is None else [],
            )  # fmt: skip
            output.seek(0)
            text = output.read()
        if check and done.returncode:
            lines = [line for line in text.strip().splitlines() if line] or [f"exit {done.returncode}"]
            raise LogUnavailable(f"{program}: {lines[-1]}; {self.folder / 'log'} may say more")
        return subprocess.CompletedProcess(argv, done.returncode, text)

    def _make_folders(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        for folder in dict.fromkeys((self.folder, self.sockets)):
            folder.mkdir(exist_ok=True)
            folder.chmod(0o700)
            if os.geteuid() == 0:
                account = _account()
                os.chown(folder, account.pw_uid, account.pw_gid)
        if os.geteuid() == 0:
            self._check_reachable()

    def _check_reachable(self) -> None:
        """Raise LogUnavailable unless the server's user can come to its folder."""
        words = ["/bin/sh", "-c", 'cd "$1"', "-", str(self.folder)]
        try:
            subprocess.run(words, check=True, user=_user()[0], stderr=subprocess.DEVNULL)  # noqa: S603
        except subprocess.CalledProcessError:
            raise LogUnavailable(
                f"the user {_account().pw_name}, as whom PostgreSQL runs, cannot enter {self.folder}: start it as an "
                "ordinary user, or choose another folder: --folder"
            ) from None

    def _sockets(self) -> Path:
        if len(os.fsencode(self.folder)) <= _LONGEST:
            return self.folder
        digest = hashlib.sha256(os.fsencode(self.folder)).hexdigest()[:12]
        return Path(tempfile.gettempdir()) / f"team-mail-{digest}"


def program_of(name: str) -> Path:
    """Return the path of a program of PostgreSQL's: of the version on PATH, else the newest. Raises LogUnavailable."""
    if chosen := shutil.which("initdb"):
        beside = Path(chosen).resolve().with_name(name)
        if beside.exists():
            return beside
    programs = [path for place in _PLACES for path in Path("/").glob(f"{place}/{name}")]
    if programs:
        return max(programs, key=lambda path: [int(number) for number in re.findall(r"\d+", str(path.parent))])
    raise LogUnavailable(f"PostgreSQL is not installed here, for {name} is missing: apt-get install postgresql")


def _account() -> pwd.struct_passwd:
    """Return the user as whom root starts a server."""
    for name in ("postgres", "nobody"):
        with suppress(KeyError):
            return pwd.getpwnam(name)
    raise LogUnavailable("there is no user postgres or nobody to run the server as: start it as an ordinary user")


def _user() -> tuple[int | None, int | None]:
    """Return user and group as whom a server is started; None for those of this process."""
    if os.geteuid() != 0:
        return None, None
    account = _account()
    return account.pw_uid, account.pw_gid


def _environment() -> dict[str, str]:
    """Return the environment without what would lead the programs to another server."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PG")} | {"LC_ALL": "C"}
