"""What a command of `scheduler` reads from its surroundings: the team, its settings, the signals that end it."""

from __future__ import annotations

import signal
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ..mail.errors import NoTeam, UsageError
from ..mail.home import find_home
from ..mail.open import team_home
from ..mail.units import counted
from ..scheduler.context import Context
from ..scheduler.errors import NotReady
from ..scheduler.leader import Leader
from ..scheduler.runs.batch import BatchRunner
from ..scheduler.sprint.tick import Ticker
from .open import open_replay, open_team
from .show.live import Show


def context(words: Sequence[str] = (), *, replay: Path | None = None, repo: Path | None = None) -> Context:
    """Open the team's workshop, or that of a folder of recorded patches. `words` are settings, `key=value`."""
    flags = dict(_setting(word) for word in words)
    if replay is None:
        return open_team(_home(repo), flags=flags)
    if not replay.is_dir():
        raise UsageError(f"no folder {replay}; record patches into it, one <persona>.patch each")
    repository = (repo or Path.cwd()).absolute()
    return open_replay(repository / ".team", repository, replay.absolute(), flags)


def _home(repo: Path | None) -> Path:
    try:
        return find_home(repo.absolute()) if repo else team_home()
    except NoTeam:
        raise NotReady(f"no team in {repo or 'this folder or above'}; team init makes one") from None


def _setting(word: str) -> tuple[str, str]:
    key, found, value = word.partition("=")
    if not found or not key:
        raise UsageError(f"--set {word!r} is not KEY=VALUE, as in --set sprint.max_parallel=4")
    return key, value


def notes(context: Context, work: str = "sprint", *, repository: bool = True) -> list[str]:
    """Name what a sprint leaves out without being asked: files that are no personas, changes that are not committed."""
    found = [*context.roster.problems]
    if not repository:
        return found
    changed = context.git.using(work_tree=context.top).run(
        "status", "--porcelain", "--untracked-files=no", "--", ".", ":(exclude).team", cwd=context.top
    )
    if count := len(changed.stdout.splitlines()):
        found.append(f"changes to {counted(count, 'file')} are not committed, and so not part of the {work}")
    return found


def ready(context: Context) -> None:
    """Raise NotReady where there is nobody to launch."""
    if not context.members:
        more = f" ({'; '.join(context.roster.problems)})" if context.roster.problems else ""
        raise NotReady(f"nobody on the roster is scheduled; add a persona to .team/personas, or run team init{more}")


def ticker(context: Context, show: Show, base: str | None = None) -> Ticker:
    """Put together what carries ticks out, and tells `show` of it."""
    return Ticker(context, BatchRunner(context, show.on_progress), base, show.on_progress)


@contextmanager
def leading(context: Context, end: Callable[[], object]) -> Generator[list[int]]:
    """Lead the team: one scheduler at a time, ended by signals as `ending` says. Raises NotLeader."""
    with Leader(context.home / "work"), ending(end) as came:
        yield came


@contextmanager
def ending(end: Callable[[], object]) -> Generator[list[int]]:
    """Let SIGTERM, SIGINT and SIGHUP call `end`, the first of each. Yields the signals that came.

    A SIGHUP that is ignored stays so: that is what `nohup` is for.
    """
    came: list[int] = []

    def ended(number: int, _: object) -> None:
        came.append(number)
        signal.signal(number, signal.SIG_DFL)
        end()

    numbers = [signal.SIGTERM, signal.SIGINT]
    numbers += [signal.SIGHUP] if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN else []
    before = {number: signal.signal(number, ended) for number in numbers}
    try:
        yield came
    finally:
        for number, action in before.items():
            signal.signal(number, action)
