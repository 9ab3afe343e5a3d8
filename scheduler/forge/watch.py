"""The forge while a team is led: sprints are published as they end, and what is new there is looked for now and then.

One thread does it, beside whatever else goes on. It looks every `poll` seconds, and at once when a sprint has ended,
something was woven, or a webhook said that there is news.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from ...mail.errors import TeamMailError
from ...personas.web.api import RateLimited
from ..context import Context
from ..errors import NoSuchRun, NotLeader
from ..kinds import Kind
from ..leader import Companion
from .facts import read_forge
from .feedback import hear
from .github import Github, Troubles, open_github
from .issues import ISSUE
from .publish import publish, speaking, tell, unpublished
from .pulls import Taken
from .taking import Wanted, answer, take

_PATIENCE = 20.0  # seconds after an error that a person may mend
_LONGEST = 3_600.0  # seconds after a limit; whatever it says, it is looked again
_JOIN = 1.0  # seconds for the thread to end; what it leaves is done again
_NEWS = frozenset({Kind.SPRINT_FINISHED, Kind.WEAVE_DONE})
_STEP = 1.0  # seconds between two looks for what a webhook said


def look(context: Context, github: Github) -> Iterator[str]:
    """Do all that is due at the forge, by the settings; yield a line for people of what was new.

    The caller holds the lock of `speaking`. Raises BranchMoved, ServiceError, GitError, LogError.
    """
    settings, human = github.settings, context.settings.team.human
    forge = read_forge(context.mailbox.projections, github.repo)
    troubles = Troubles()
    for number in unpublished(context, forge) if settings.publish == "pr" else ():
        with troubles.kept(), suppress(NoSuchRun):
            done = publish(context, github, number)
            yield f"sprint {number}: pull request {done.number} {done.action}, {done.url}"
    for each in read_forge(context.mailbox.projections, github.repo).open:
        with troubles.kept():
            heard = hear(context, github, each)
            if heard.outcome:
                yield f"pull request {each.number} of sprint {each.sprint} was {heard.outcome}"
            if heard.mails:
                yield f"pull request {each.number} of sprint {each.sprint}: {heard.mails} new for authors"
    wanted = Wanted(labels=settings.labels, as_tasks=not settings.to)
    for taken in take(context, github, wanted, human, troubles):
        if taken.is_refused:
            _refused(context, taken)
        if taken.is_news:
            yield f"{taken.kind} {taken.number} {taken.action}"
    if answered := answer(context, github, troubles):
        yield f"told what became of it: {', '.join(map(str, answered))}"
    troubles.end()


def _refused(context: Context, taken: Taken) -> None:
    """Tell the human, once, of what has a label and is not taken."""
    option = "--pr " if taken.kind != ISSUE else ""
    anyone = " --anyone" if "--anyone" in taken.why else ""
    body = f"{taken.title}, by {taken.author}: {taken.why}.\n\n    scheduler take {option}{taken.number}{anyone}\n"
    tell(context, f"{taken.kind} {taken.number} is not taken", body, f"refused {taken.kind} {taken.number} {taken.why}")


def nudge(home: Path) -> None:
    """Let whoever leads the team in `home` look at the forge at once. Raises OSError."""
    file = _hint(home)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch()


def _hint(home: Path) -> Path:
    return home / "work" / "github" / "news"


class Watcher(Companion):
    """A context in which the forge is looked at. `say` is told, in one line for people, what was new or hinders it.

    To enter it raises SettingsError, and ServiceError if the file of the token cannot be read.
    """

    def settings_of(self, context: Context) -> object:
        """Return all settings, since what is taken becomes work by them; None without a repository at a forge."""
        return context.settings if context.settings.github.repo else None

    def start(self, context: Context) -> _Running:
        """Begin to look."""
        return _Running(context, self._say)


class _Running:
    """The threads that look at the forge by one version of the settings."""

    def __init__(self, context: Context, say: Callable[[str], object]) -> None:
        self.context, self._say = context, say
        self._stop, self._woken = threading.Event(), threading.Event()
        self._said = ""
        events = context.mailbox.log.follow(stop=self._stop)  # from here on
        parts = (("forge", self._lead), ("news of the forge", lambda: self._follow(events)))
        self._threads = [threading.Thread(target=act, name=name, daemon=True) for name, act in parts]
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        """Look no more."""
        self._stop.set()
        self._woken.set()
        for thread in self._threads:
            thread.join(_JOIN)

    def _follow(self, events: Iterator[object]) -> None:
        for event in events:
            if getattr(event, "kind", "") in _NEWS:
                self._woken.set()

    def _lead(self) -> None:
        """Look, and look again after a while."""
        while not self._stop.is_set():
            self._woken.clear()
            seen = _touched(self.context.home)  # before the look: what comes meanwhile is looked for again
            self._rest(self._once(), seen)

    def _once(self) -> float:
        """Look once; return how many seconds to wait for the next time."""
        poll = self.context.settings.github.poll
        try:
            github = open_github(self.context)
            with speaking(self.context):
                for told in look(self.context, github):
                    self._say(told)
            self._said = ""
        except NotLeader:
            return 1.0
        except RateLimited as error:
            self._trouble(error)
            left = (error.until - self.context.clock.now()).total_seconds()
            return min(max(1.0, left), _LONGEST)
        except (TeamMailError, OSError) as error:
            self._trouble(error)
            return min(_PATIENCE, poll)
        return poll

    def _trouble(self, error: Exception) -> None:
        """Say what hinders it, once until something else does."""
        if str(error) != self._said:
            self._say(f"the forge: {error}")
        self._said = str(error)

    def _rest(self, seconds: float, seen: int) -> None:
        """Wait, no longer than until there is news."""
        left = seconds
        while left > 0 and _touched(self.context.home) == seen and not self._woken.wait(min(_STEP, left)):
            left -= _STEP


def _touched(home: Path) -> int:
    try:
        return _hint(home).stat().st_mtime_ns
    except OSError:
        return 0
