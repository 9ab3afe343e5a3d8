"""The log on a server: its schema and roles, a server to try it with, and the way of a log there and back.

The one module outside of mail that knows of PostgreSQL.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from ....mail.errors import LogUnavailable, UsageError
from ....mail.open import open_log, team_home
from ....mail.process import Presence
from ....mail.remote.beside import Beside
from ....mail.remote.connection import Server, server_of
from ....mail.remote.local import LocalServer
from ....mail.remote.migrate import Migration, to_files, to_server
from ....mail.remote.place import Address
from ....mail.remote.postgres import PostgresLog
from ....mail.remote.schema import LEASED, ROLES, VERSION, SchemaState, state_of, upgrade
from ....mail.team_file import read_log
from ....scheduler.hosts.queue import install
from ....scheduler.leader import Leader
from ....scheduler.sprint.control import by_people_only
from ...place import state_folder

_NAME = "team_mail"
_OF_ROOT = Path("/var/lib/team-mail")  # PostgreSQL is no program of root's, and cannot enter root's home folder
FILE = "file"


@dataclass(frozen=True)
class Cluster:
    """What is on record of a server: `advice` says what is not as it should be.

    `there` are the processes of the team that have told of themselves, the leader's with the epoch of its lead, and
    `grants` which login may write as which persona.
    """

    address: Address
    state: SchemaState
    before: int | None = None
    advice: tuple[str, ...] = ()
    there: tuple[Presence, ...] = ()
    grants: tuple[tuple[str, str], ...] = ()

    def document(self) -> dict[str, Any]:
        """Return it as a JSON object; `before` is the version that was there, null where nothing was changed."""
        state = self.state
        return {
            "url": self.address.url, "name": self.address.schema, "version": state.version, "newest": VERSION,
            "before": self.before, "events": state.events, "bytes": state.bytes, "blobs": state.blobs,
            "closed": state.closed or None, "leader": state.leader or None, "server": state.server,
            "encrypted": state.encrypted, "advice": [*self.advice], "epoch": state.epoch,
            "seconds": round(state.rest, 1), "processes": [_process_document(each) for each in self.there],
            "grants": [{"role": role, "persona": persona} for role, persona in self.grants],
        }  # fmt: skip


def _process_document(each: Presence) -> dict[str, Any]:
    return {
        "host": each.host, "pid": each.process.get("pid"), "what": dict(each.what), "epoch": each.epoch or None,
        "age": round(each.age, 1), "seconds": round(each.rest, 1), "gone": each.gone,
    }  # fmt: skip


@dataclass(frozen=True)
class Local:
    """A server to try it with: where it is, and whether it runs."""

    url: str
    folder: Path
    running: bool

    def document(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        return {"url": self.url, "folder": str(self.folder), "running": self.running}


@dataclass(frozen=True)
class Moved:
    """A log that was copied: from where to where, and what."""

    to: str
    done: Migration
    line: str

    def document(self) -> dict[str, Any]:
        """Return it as a JSON object; `team_toml` is what has to stand in that file now, or must not any more."""
        events, blobs, copied = self.done
        return {"to": self.to, "events": events, "blobs": blobs, "copied": copied, "team_toml": self.line}


def init(url: str | None = None, name: str | None = None, home: Path | None = None) -> Cluster:
    """Make the schema of the team and its roles on a server, or bring them up to date.

    Raises LogUnavailable, also where the login may not make them, and UsageError where no server is named.
    """
    server = _server(url, name, home)
    before, _ = upgrade(server)
    _make_queue(server)
    return _cluster(server, before)


def bring_up_to_date(home: Path | None = None) -> Cluster:
    """Bring the schema to the newest version. Raises UsageError if there is none, LogUnavailable."""
    server = _server(None, None, home)
    if not state_of(server).version:
        raise UsageError(f"{server.address} has no schema of a team: `team cluster init`")
    before, _ = upgrade(server)
    _make_queue(server)
    return _cluster(server, before)


def status(url: str | None = None, name: str | None = None, home: Path | None = None) -> Cluster:
    """Ask the server about the team's log. Raises LogUnavailable, UsageError."""
    return _cluster(_server(url, name, home), None)


def lead(home: Path | None = None) -> Cluster:
    """Let this host lead the team from now on. What the former leader appends beside mail is refused from then on.

    Raises UsageError for a log in the team's folder, LogUnavailable.
    """
    home = home or team_home()
    by_people_only("team cluster lead", home)
    log = open_log(home)
    if not isinstance(log, PostgresLog):
        raise UsageError("the log is in the team's folder, and led from there")
    with Leader(home / "work"):
        log.take_lead()
    return _cluster(log.server, None)


def grant(role: str, persona: str, *, revoke: bool = False, home: Path | None = None) -> Cluster:
    """Let a login of the server write as a persona, or with `revoke` no more, as a login that may upgrade the schema.

    That is for logins of workers and members; a leader's writes as anybody. Raises UsageError for a login that there is
    not, LogUnavailable.
    """
    home = home or team_home()
    by_people_only("team cluster grant", home)
    server = _server(None, None, home)
    name = persona.removesuffix("@team")
    if not name.strip():
        raise UsageError("the persona's name is empty")
    server.grant(role, name, revoke=revoke)
    if not revoke and (role, name) not in server.grants():
        raise UsageError(f"{server.address} has no login {role}: CREATE ROLE {role} LOGIN")
    return _cluster(server, None)


def start_local(folder: Path | None = None, home: Path | None = None) -> Local:
    """Start an installed PostgreSQL on a socket, with the team's schema, unless it runs. Raises LogUnavailable."""
    local = _local(folder, home)
    local.start()
    server = Server(Address(local.url, _NAME))
    upgrade(server)
    _make_queue(server)
    return Local(local.url, local.folder, running=True)


def stop_local(folder: Path | None = None, home: Path | None = None) -> Local:
    """Stop it; what it holds is kept. Raises LogUnavailable."""
    local = _local(folder, home)
    local.stop()
    return Local(local.url, local.folder, running=False)


def migrate(
    to: str, name: str | None = None, home: Path | None = None, told: Callable[[int, int], object] | None = None
) -> Moved:
    """Copy the team's log to a server, or back to files with `to` "file", and make that the log.

    Interrupted, it goes on the next time. Nothing may lead the team meanwhile. Raises NotLeader, UsageError, LogError.
    """
    home = home or team_home()
    by_people_only("team log migrate", home)
    folder = home / "mail"
    with Leader(home / "work"):
        if to == FILE:
            server = _server(None, name, home)
            done = to_files(folder, server)
            return Moved(str(folder), done, "take [log] url out of team.toml")
        address = Address.of(to, name or _named(home))
        done = to_server(folder, server_of(address), told)
    schema = "" if address.schema == _NAME else f'\nname = "{address.schema}"'
    return Moved(str(address), done, f'[log]\nurl = "{address.url}"{schema}')


def _server(url: str | None, name: str | None, home: Path | None) -> Server:
    written = None if url else read_log(home or team_home())
    if not url and written is None:
        raise UsageError("no server is named: --url postgresql://HOST/DATABASE, or url in the table [log] of team.toml")
    known, schema = written or (url or "", _NAME)
    return server_of(Address.of(url or known, name or schema))


def _named(home: Path) -> str:
    written = read_log(home)
    return written[1] if written else _NAME


def _cluster(server: Server, before: int | None) -> Cluster:
    state = state_of(server)
    advice = tuple(_advice(server.address, state, is_new=before == 0))
    if state.version < LEASED:
        return Cluster(server.address, state, before, advice)
    return Cluster(server.address, state, before, advice, tuple(server.there()), tuple(server.grants()))


def _make_queue(server: Server) -> None:
    """Make the queue of runs beside the log, if its package is here; without it workers look in the log alone."""
    with suppress(ImportError):
        beside = Beside(server.address)
        try:
            install(beside)
        finally:
            beside.close()


def _advice(address: Address, state: SchemaState, *, is_new: bool) -> list[str]:
    """Say what is missing for a log that hosts share over a network."""
    parts = urlsplit(address.url)
    options = parse_qs(parts.query)
    advice: list[str] = []
    if 0 < state.version < VERSION:
        advice.append(f"the schema has version {state.version} of {VERSION}: `team cluster upgrade`")
    host = parts.hostname or "".join(options.get("host", []))
    if host and not host.startswith("/"):
        if options.get("sslmode") != ["verify-full"]:
            advice.append(
                "add sslmode=verify-full&sslrootcert=FILE to the url, so that no other server is taken for it"
            )
        if not state.encrypted:
            advice.append("the connection is not encrypted: let pg_hba.conf have `hostssl` lines alone")
    if is_new:
        advice.append(f"grant each login one of {', '.join(f'{address.schema}_{role}' for role in ROLES[1:])}")
    return advice


def _local(folder: Path | None, home: Path | None) -> LocalServer:
    if folder is None:
        top = _OF_ROOT if os.geteuid() == 0 else state_folder(None)
        team = os.fsencode((home or team_home(create=True)).resolve())
        folder = top / f"cluster-{hashlib.sha256(team).hexdigest()[:12]}"
    try:
        return LocalServer(folder)
    except OSError as error:
        raise LogUnavailable(f"cannot use {folder}: {error.strerror}") from error
