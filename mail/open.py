"""Where the team is, and the only place that makes its log, blobs and mailbox."""

from __future__ import annotations

import os
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from .clock import Clock
from .directory import Directory
from .errors import NoTeam, UsageError
from .home import find_home, ignore_mail, is_clone, planned_home
from .log.blobs import FileBlobs
from .log.log import EventLog, Log
from .log.segments import Segment
from .log.writer import REMOTE
from .mailbox import Mailbox
from .process import checked_session, identity_or_none, let_tell, run_id, session_name, within_run_of
from .query.rows import FileProjections
from .team_file import read_directory, read_log

if TYPE_CHECKING:
    from .remote.connection import Server

_DAMAGE = (
    "the log is damaged; lines that do not verify are left out (team-mail verify), and nothing is written until "
    "team-mail repair"
)


def team_home(*, create: bool = False) -> Path:
    """Return the team's folder: TEAM_HOME, else the nearest `.team` from the current folder upward.

    With `create` it need not exist yet; one that TEAM_HOME names never need: nobody has sent mail there yet. Raises
    NoTeam, and UsageError where TEAM_HOME names something else than a folder.
    """
    named = os.environ.get("TEAM_HOME")
    if named and Path(named).exists() and not Path(named).is_dir():
        raise UsageError(f"TEAM_HOME names {named}, which is no folder; correct it")
    try:
        here = Path("/") if named and Path(named).is_absolute() else Path.cwd()
    except FileNotFoundError:
        raise NoTeam("the current folder has been deleted; change to one that exists") from None
    try:
        return find_home(here)
    except NoTeam:
        if not create:
            raise
        return planned_home(here)


@contextmanager
def first_mail() -> Generator[Path]:
    """Yield the team's folder to a block that may write its first mail.

    After the block, the mail is ignored by git. If the folder is new, a line on stderr says where the team is; so does
    one at the first mail in a clone, because the repository that it was cloned from may have a team, too.
    """
    home = team_home(create=True)
    new, first = not home.exists(), not (home / "mail").exists()
    yield home
    ignore_mail(home)
    if new:
        sys.stderr.write(f"team-mail: this team is in {home}\n")
    elif first and is_clone(home.parent):
        sys.stderr.write(f"team-mail: this team is in {home}; other clones of the repository have teams of their own\n")


def open_log(home: Path | None = None, *, clock: Clock | None = None, session: str | None = None) -> EventLog:
    """Open the log of the team in `home`, by default as `team_home` finds it: in its folder, or where `[log]` says.

    What is appended belongs to a session, by default to that of TEAM_SESSION, if there is one. Raises UsageError for
    what is no name of a session.
    """
    session = checked_session(session) if session is not None else session_name()
    home = home or team_home()
    if server := _server(home):
        from .remote.postgres import PostgresLog

        log = PostgresLog(home / "mail", server, clock=clock, on_sealed=_write_parquet, session=session)
        let_tell(str(log.folder), log)
        return log
    return EventLog(home / "mail", clock=clock, on_sealed=_write_parquet, session=session)


def _server(home: Path) -> Server | None:
    """Return the server that has the team's log; None if the log is in the team's folder."""
    written = read_log(home)
    if written is None:
        return None
    from .remote.place import Address

    address = Address.of(*written)
    from .remote.connection import server_of

    return server_of(address)


def _write_parquet(segment: Segment) -> None:
    from .query.copies import write_parquet

    write_parquet(segment)


def open_blobs(home: Path) -> FileBlobs:
    """Open the blobs of the team in `home`, which are where its log is."""
    if server := _server(home):
        from .remote.postgres import PostgresBlobs

        return PostgresBlobs(home / "mail" / "blobs", server)
    return FileBlobs(home / "mail" / "blobs")


def open_mailbox(
    home: Path | None = None, *, create: bool = False, directory: Directory | None = None, session: str | None = None
) -> Mailbox:
    """Open the mail of the team in `home`, by default as `team_home` finds it.

    With `create` the team need not exist yet; the first message creates it. `directory` is read from `home` if it is
    not given. For a run, the mailbox shows what its persona sent or received and its channels. Raises as `team_home`,
    and UsageError for a `team.toml` that cannot be read.
    """
    home = home or team_home(create=create)
    if not create and not home.exists():
        sys.stderr.write(f"team-mail: TEAM_HOME names {home}, where nobody has sent mail yet\n")
    if not create and damage_of(home):
        _tell_damage()
    log, party = open_log(home, session=session), identity_or_none(None) if run_id() and within_run_of(home) else None
    projections, directory = FileProjections(log, _tell_damage), directory or read_directory(home)
    return Mailbox(log, open_blobs(home), projections, directory, home=home, party=party)


def damage_of(home: Path) -> str:
    """Return the sentence that says that the log of the team in `home` is known to be damaged; "" if it is not."""
    folder = home / "mail"  # a copy of a log on a server mends itself
    return _DAMAGE if (folder / "damaged").exists() and not (folder / REMOTE).exists() else ""


def _tell_damage() -> None:
    sys.stderr.write(f"team-mail: {_DAMAGE}\n")


def with_directory(mailbox: Mailbox, directory: Directory) -> Mailbox:
    """Return a mailbox of the same log for another directory, such as one with guests."""
    return Mailbox(mailbox.log, mailbox.blobs, mailbox.projections, directory, home=mailbox.home, party=mailbox.party)


def with_log(mailbox: Mailbox, log: Log) -> Mailbox:
    """Return a mailbox that writes and reads by another object of the same log, such as one of a session."""
    return Mailbox(log, mailbox.blobs, mailbox.projections, mailbox.directory, home=mailbox.home, party=mailbox.party)
