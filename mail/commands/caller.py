"""Who runs a command, in which team, and what they wrote: everything a command reads from its surroundings."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..clock import SystemClock
from ..directory import PROGRAMS, Directory
from ..errors import NoIdentity, NoTeam, UnknownRecipient, UsageError
from ..home import find_home, ignore_mail, planned_home, read_directory
from ..letter import Letter, due_date
from ..log.blobs import Blobs
from ..log.event import strict_json
from ..log.log import EventLog
from ..mailbox import Mailbox


def identity(persona: str | None, environ: Mapping[str, str] = os.environ) -> str:
    """Return who is asking: `--persona`, else `TEAM_PERSONA`; within a run always the run's own persona.

    Raises NoIdentity, and UsageError where a run pretends to be somebody else.
    """
    own = environ.get("TEAM_PERSONA", "").removesuffix("@team")
    if environ.get("TEAM_RUN") and persona and persona.removesuffix("@team") != own:
        raise UsageError(f"this is a run of {own or 'nobody'}: it cannot act as {persona}")
    name = (persona or own).removesuffix("@team")
    if not name:
        raise NoIdentity
    return name


def own_mailbox(persona: str | None) -> tuple[str, Mailbox]:
    """Return who asks and the team's mail. Raises as `identity`, and UnknownRecipient for a name nobody ever had."""
    name, mailbox = identity(persona), open_mailbox()
    try:
        return mailbox.directory.checked(name), mailbox
    except UnknownRecipient:
        if name not in mailbox.people():  # who left the team still has mail
            raise
        return name, mailbox


def identity_or_none(persona: str | None) -> str | None:
    """Return who is asking, None if nobody says so."""
    try:
        return identity(persona)
    except NoIdentity:
        return None


def identity_or_human(persona: str | None, directory: Directory) -> str:
    """Return who writes: as `identity`, else the team's human, who has no persona to name."""
    return identity_or_none(persona) or directory.human


def run_id(environ: Mapping[str, str] = os.environ) -> str | None:
    """Return the run this process belongs to; None outside of one, which marks what is written."""
    return environ.get("TEAM_RUN") or None


def home(*, create: bool = False) -> Path:
    """Find the team's folder. Raises NoTeam, unless `create`: then the answer may be where one will be made."""
    named = os.environ.get("TEAM_HOME")
    if named and not create and not Path(named).is_dir():
        raise UsageError(f"TEAM_HOME names {named}, where there is no folder; correct it, or send the first mail")
    try:
        here = Path.cwd()
    except FileNotFoundError:
        raise NoTeam("the current folder has been deleted; go to one that is there") from None
    try:
        return find_home(here)
    except NoTeam:
        if not create:
            raise
        return planned_home(here)


@contextmanager
def settled() -> Generator[Path]:
    """Lend the team's folder to what may write its first mail; if that went well, keep it out of git and say so."""
    folder = home(create=True)
    new = not folder.exists()
    yield folder
    ignore_mail(folder)
    if new:
        print(f"team-mail: this team's mail is in {folder / 'mail' / 'events.jsonl'}", file=sys.stderr)


def open_mailbox(*, create: bool = False) -> Mailbox:
    """Open the team's mail. Raises as `home` does, and UsageError for a `team.toml` that cannot be read."""
    folder = home(create=create)
    mail = folder / "mail"
    if not create and (mail / "damaged").exists():
        print("team-mail: the log is damaged; what does not verify is left out (team-mail verify)", file=sys.stderr)
    return Mailbox(EventLog(mail), Blobs(mail / "blobs"), read_directory(folder))


def event_log() -> EventLog:
    """Open the team's log alone, even where `team.toml` cannot be read."""
    return EventLog(home() / "mail")


def body(text: str | None, file: Path | None) -> str:
    """Return the body: `--body TEXT`, `--body -`, `--body-file`, else what is piped in, else from an editor."""
    if text is not None and file is not None:
        raise UsageError("--body and --body-file are both given; use one")
    if file is not None:
        try:
            return _decoded(file.read_bytes(), str(file))
        except OSError as error:
            raise UsageError(f"cannot read {file}: {error.strerror}") from None
    if text is not None and text != "-":
        return text
    if text == "-" and sys.stdin is None:  # pyright: ignore[reportUnnecessaryComparison] - a closed one is None
        raise UsageError("standard input is closed: there is no text to read")
    if text == "-" or _piped():
        return _decoded(sys.stdin.buffer.read(), "standard input")
    terminals = [stream is not None and stream.isatty() for stream in (sys.stdin, sys.stdout)]  # pyright: ignore[reportUnnecessaryComparison]
    return _edited() if all(terminals) else ""


def letter(mailbox: Mailbox, sender: str, to: list[str], cc: list[str], **told: Any) -> Letter:
    """Return the letter that a command's options describe. Raises UsageError, UnknownRecipient."""
    due = told.pop("due")
    told["due"] = due_date(due, SystemClock().now()) if due else None
    told["payload"] = payload(told["payload"])
    if told.get("key") == "":
        raise UsageError("--key is empty: then every send would be the same one")
    if sender in PROGRAMS:
        raise UsageError(f"{sender} is a program of the team; nobody writes in its name")
    split = [[name for names in addresses for name in names.split(",")] for addresses in (to, cc)]
    return Letter(mailbox.directory.checked(sender), split[0], cc=split[1], run=run_id(), **told)


def payload(text: str | None) -> Any:
    """Return the JSON of `--payload`, or of the file that `@FILE` names. Raises UsageError."""
    if text is None:
        return None
    if text.startswith("@"):
        try:
            text = Path(text[1:]).read_text()
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"cannot read {text[1:]}: {error}") from None
    return strict_json(text)


def _piped() -> bool:
    """Tell whether standard input was given for a purpose: a pipe or a file, not a terminal or /dev/null."""
    try:
        mode = os.fstat(sys.stdin.fileno()).st_mode
    except (OSError, ValueError, AttributeError):
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISREG(mode)


def _decoded(data: bytes, where: str) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise UsageError(
            f"{where} is not UTF-8 at byte {error.start}; convert it (iconv -f latin1 -t utf-8) or attach the file"
        ) from None


def _edited() -> str:
    import subprocess
    import tempfile

    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR")
    if not editor:
        raise UsageError("no body: give --body, --body-file or a pipe, or set EDITOR")
    with tempfile.NamedTemporaryFile(suffix=".md", prefix="team-mail-") as draft:
        ended = subprocess.run(["sh", "-c", f'{editor} "$1"', "sh", draft.name], check=False)  # noqa: S603, S607
        if ended.returncode:
            raise UsageError(f"{editor} ended with {ended.returncode}; nothing was sent")
        text = _decoded(Path(draft.name).read_bytes(), "the draft")
    if not text.strip():
        raise UsageError("the draft is empty; nothing was sent")
    return text
