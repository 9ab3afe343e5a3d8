"""What a command takes from its environment: the team, its settings, the signals that end it."""

from __future__ import annotations

import _thread
import os
import signal
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from ..mail.commands.caller import identity_or_human
from ..mail.directory import no_program
from ..mail.errors import UsageError
from ..mail.mailbox import Mailbox
from ..mail.open import open_mailbox, team_home
from ..mail.process import checked_session
from ..mail.text.units import counted
from ..personas.errors import GitError
from ..personas.git import ask_checkout
from ..scheduler.claims.claims import Claims
from ..scheduler.context import Context
from ..scheduler.kinds import Kind
from ..scheduler.sessions.sessions import Sessions
from ..scheduler.settings.reading import read_settings
from ..scheduler.settings.settings import Settings
from ..scheduler.setup import look_at_setup
from .home import home_if_any, home_of
from .open import open_for_dispatch, open_replay, open_team


def context(
    words: Sequence[str] = (), *, replay: Path | None = None, repo: Path | None = None, session: str | None = None
) -> Context:
    """Open the team found from the current folder, or one whose personas are recorded patches.

    Raises NotReady where there is no team, UsageError for a wrong setting.

    Args:
        words: Settings for this call, each `key=value`.
        replay: A folder of recorded patches, one `<persona>.patch` each.
        repo: The repository to work on, by default the one around the current folder.
        session: The session that all is written for, by default that of TEAM_SESSION.
    """
    opened = _opened(words, replay, repo)
    if session is not None:
        opened.mailbox.log.session = checked_session(session)
    return opened


def _opened(words: Sequence[str], replay: Path | None, repo: Path | None) -> Context:
    flags = dict(_setting(word) for word in words)
    if replay is None:
        return open_team(home_of(repo), flags=flags)
    if not replay.is_dir():
        raise UsageError(f"no folder {replay}; record patches into it, one <persona>.patch each")
    repository = (repo or Path.cwd()).absolute()
    return open_replay(repository / ".team", repository, replay.absolute(), flags)


def reading_context() -> Context:
    """Open the team found from the current folder to look at its dispatches and runs, also without a repository.

    Raises NoTeam.
    """
    return open_for_dispatch(team_home())[0]


def claims(session: str | None = None, mailbox: Mailbox | None = None) -> Claims:
    """Open the claims of the team found from the current folder, or of a `mailbox`, to write for a session.

    Raises NoTeam, and NoSuchSession for a `session` that is none.
    """
    claims = Claims(mailbox or open_mailbox(team_home(), session=session))
    if session is not None:
        claims.mailbox.log.session = checked_session(session)
        Sessions(claims.mailbox).get(session)
    return claims


def owner(claims: Claims, persona: str | None) -> str:
    """Return who claims: a persona that is named, or that of the environment, else the human.

    Raises UnknownRecipient, and UsageError for a program, or for a run that names another persona than its own.
    """
    directory = claims.mailbox.directory
    return no_program(directory.checked(identity_or_human(persona, directory)))


def settings_if_any() -> Settings:
    """Return the settings of the team around the current folder, the defaults where there is none."""
    home = home_if_any()
    return read_settings(home, os.environ).settings if home else Settings()


def sender(context: Context) -> str:
    """Return the sender of a command: the persona named by the environment, else the team's human."""
    return identity_or_human(None, context.mailbox.directory)


def _setting(word: str) -> tuple[str, str]:
    key, equals, value = word.partition("=")
    if not equals or not key:
        raise UsageError(f"--set {word!r} is not KEY=VALUE, as in --set sprint.max_parallel=4")
    return key, value


def notes(context: Context, work: str = "sprint", *, repository: bool = True) -> list[str]:
    """List what a sprint or dispatch ignores.

    That is files that are not valid personas, files that were to be copied and cannot be, uncommitted changes, and
    approvals that no person gave.
    """
    problems = [*context.roster.problems]
    if not repository:
        return problems
    problems += look_at_setup(context).notes
    if count := _changed(context.top):
        problems.append(f"changes to {counted(count, 'file')} are not committed, and so not part of the {work}")
    if context.mailbox.projections.lacks(f'"kind":"{Kind.PATCH_APPROVED}"'):
        return problems
    forged = [patch for patch in context.state(whole=False).patches if patch.is_unsigned]
    return problems + [f"{patch.persona}'s patch ({patch.run[:8]}) stays held: {patch.why}" for patch in forged]


def _changed(top: Path) -> int:
    """Return how many files of a checkout differ from its last commit, as its user's git sees it."""
    words = ("status", "--porcelain", "-z", "--untracked-files=no", "--no-renames", "--", ".", ":(exclude).team")
    with suppress(GitError):  # then there is nothing to tell
        return ask_checkout(top, *words).count(b"\0")
    return 0


@contextmanager
def ending(end: Callable[[], object]) -> Generator[list[int]]:
    """Call `end` on the first SIGTERM, SIGINT and SIGHUP of each kind. Yields the list of signals received.

    A SIGHUP that was ignored before stays ignored: that is what `nohup` is for.
    `end` is called in another thread, as this one may hold the very lock that it takes.
    """
    signals: list[int] = []

    def received(number: int, _: object) -> None:
        signals.append(number)
        signal.signal(number, signal.SIG_DFL)
        _thread.start_new_thread(end, ())  # `threading.Thread` takes locks itself

    numbers = [signal.SIGTERM, signal.SIGINT]
    numbers += [signal.SIGHUP] if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN else []
    before = {number: signal.signal(number, received) for number in numbers}
    try:
        yield signals
    finally:
        for number, action in before.items():
            signal.signal(number, action)
