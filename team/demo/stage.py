"""What every demo stands on: an empty folder, headings, and the commands that users run, with their results."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from ...mail.errors import TeamMailError, UsageError
from ...mail.kinds import ExitCode, MailKind
from ...mail.log.event import Event
from ...mail.log.log import EventLog
from ...mail.open import open_log

SCHEDULER = ("-m", "team_mail.team.commands.scheduler")
MAIL = ("-c", "from team_mail.mail.commands.entry import main; main()")
_ENDED = (ExitCode.DONE, ExitCode.NOT_CONVERGED)  # exit codes with a result: converged or not


@dataclass(frozen=True)
class DemoRun:
    """One sprint of a demo: its folder, and the document of `scheduler sprint --json`."""

    folder: Path
    result: dict[str, Any]

    @property
    def log(self) -> EventLog:
        """The team's log."""
        return open_log(self.folder / ".team")

    def mail(self, *, sender: str = "", to: str = "", type: str = "") -> list[Event]:
        """List the messages by sender, recipient and type, oldest first."""
        return [
            event
            for event in self.log.read()
            if event.kind == MailKind.SENT
            and sender in {"", event.sender}
            and (not to or to in event.recipients)
            and type in {"", event.data.get("type")}
        ]


class Stage:
    """The output of a demo: short headings, everything else indented."""

    def __init__(self, out: TextIO | None) -> None:
        self.out = out or sys.stdout
        self.bold = self.out.isatty() and "NO_COLOR" not in os.environ

    def head(self, title: str) -> None:
        """Begin a part."""
        self.out.write(f"\n\x1b[1m{title}\x1b[0m\n" if self.bold else f"\n{title}\n")
        self.out.flush()

    def write(self, lines: Iterable[str]) -> None:
        """Write lines, each as soon as it is there."""
        for text in lines:
            self.out.write(f"  {text}".rstrip() + "\n")
            self.out.flush()


def empty_folder(folder: Path | None) -> Path:
    """Return the folder if it is new or empty, by default a temporary one. Raises UsageError."""
    if folder is None:
        return Path(tempfile.mkdtemp(prefix="team-mail-demo-")).resolve()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} is not an empty folder; name one that is, or none for a temporary one")
    return folder.resolve()


def sprint(folder: Path, mode: str) -> DemoRun:
    """Run a sprint as a command; its progress goes to our standard error. Raises TeamMailError if it fails."""
    words = ["sprint", "--mode", mode, "--json"]
    with subprocess.Popen(  # noqa: S603
        command(SCHEDULER, *words), cwd=folder, env=environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
    ) as process:
        try:
            output, _ = process.communicate()
        except KeyboardInterrupt:
            process.wait()  # it was interrupted too, and ends its runs
            raise
    if process.returncode not in _ENDED:
        raise TeamMailError(f"the {mode} sprint ended with {process.returncode}; what is there stays in {folder}")
    return DemoRun(folder, json.loads(output))


def asked(folder: Path, program: Sequence[str], *words: str) -> str:
    """Return what a command prints. Raises TeamMailError with its last words if it fails."""
    ended = subprocess.run(  # noqa: S603
        command(program, *words), cwd=folder, env=environment(), capture_output=True, check=False, text=True
    )
    if ended.returncode:
        raise TeamMailError(f"{words[0]} failed: {ended.stderr.strip()}; what is there stays in {folder}")
    return ended.stdout


def command(program: Sequence[str], *words: str) -> list[str]:
    """Return a command of ours as it is started without a search path."""
    return [sys.executable, "-P", *program, *words]


def environment() -> dict[str, str]:
    """Return the environment without variables that name another team or change its settings."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("TEAM_", "GIT_"))}


def search_path() -> Iterator[str]:
    """Yield the line with which a shell finds our commands, if it does not."""
    if not shutil.which("scheduler"):
        yield f"export PATH={shlex.quote(str(Path(sys.executable).parent))}:$PATH"
