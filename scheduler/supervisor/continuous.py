"""Rounds one after the other, as long as there is a reason for the next one: `scheduler run --continuous`.

A back-off paces looking, and not launching: a round that nothing calls for would only cost. A look reads no more than
the log's last line and one ref, and writes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import takewhile

from ...mail.directory import SUPERVISOR
from ...mail.letter import Letter
from ...mail.log.event import Draft, derived_id
from ...mail.text.units import counted
from ..context import Context
from ..kinds import Kind
from ..progress import Listener, Progress, silent
from ..settings.supervision import SupervisorSettings
from ..sprint.daemon import Turn
from ..sprint.decide import ASKED, StartRequest
from ..sprint.triggers import awaited
from ..state.facts import Decided, Sprint
from ..state.reading import LAST
from ..state.sprints import State
from ..state.summary import Summary
from .supervise import Supervisor

_FIRST = timedelta(seconds=1)
FIRST_ROUND = "the first round"
LANDED_SOMETHING = "the last round landed something"


def reason_for(state: State, settings: SupervisorSettings, *, moved: bool, changed: bool) -> str | None:
    """Return why a round is started now, None if nothing calls for one.

    `moved` says that people moved the base, and `changed` that the last round has left another tree than it found.
    """
    if not state.sprints:
        return FIRST_ROUND
    last = state.sprints[-1]
    if moved:
        return "the base has moved"
    if changed:
        return LANDED_SOMETHING
    decided, tip = next(reversed(state.decided), None), last.tip
    if decided and not decided.approved and decided.commit == tip:
        return f"gate {decided.blocks[0]} blocks"
    return "improve = true" if settings.improve else None


def why_to_pause(state: State, settings: SupervisorSettings) -> str | None:
    """Return why people are to look before more rounds start: they are blocked alike, land nothing, or never end."""
    streak = fix_streak(state.decided)
    if len(streak) >= settings.fix_streak:
        return f"{counted(len(streak), 'round')} in a row were blocked by gate {streak[-1].blocks[0]}"
    silent = silence(state.sprints)
    if len(silent) >= settings.silent_rounds:
        return f"nothing landed in {counted(len(silent), 'round')} in a row"
    own = [*takewhile(lambda sprint: sprint.reason == LANDED_SOMETHING, reversed(state.sprints))]
    if len(own) >= settings.own_rounds and not settings.improve:  # that has a bound of its own
        return f"{counted(len(own), 'round')} in a row began only because the one before had landed something"
    return None


def fix_streak(decided: Sequence[Decided]) -> list[Decided]:
    """Return the last decisions, one for each round, as far as the same gate blocked all of them."""
    last = {each.sprint: each for each in decided}.values()
    newest = [*reversed(last)]
    if not newest or newest[0].approved:
        return []
    return [*reversed([*takewhile(lambda each: each.blocks[:1] == newest[0].blocks[:1], newest)])]


def silence(sprints: Sequence[Sprint]) -> list[Sprint]:
    """Return the last rounds that landed nothing."""
    return [*reversed([*takewhile(lambda sprint: not sprint.commits, reversed(sprints))])]


@dataclass
class Continuous:
    """The rhythm of rounds. It counts from when it is made: rounds, time, and looks that found nothing."""

    listener: Listener = silent
    rounds: int = 0
    looks: int = 0
    began: datetime | None = None
    quiet: tuple[int, str] | None = None  # the last event and the base, when nothing called for a round
    read: Context | None = None  # with the settings and personas of then

    def again(self, context: Context, now: datetime) -> Turn | None:
        """Return that there is nothing to do, if that was so before and neither log nor base has changed."""
        settings = context.settings.supervisor
        if self.quiet is None or self.read is not context or self._spent(settings, now):
            return None
        if self.quiet != self._seen(context):
            return None
        return self._later(settings, "")

    @staticmethod
    def _seen(context: Context) -> tuple[int, str]:
        return context.mailbox.log.head().seq, context.base()

    def turn(self, context: Context, state: State, now: datetime) -> Turn:
        """Return what to do while no round is under way: start one, or look again later."""
        settings, self.quiet = context.settings.supervisor, None
        seen = self._seen(context)
        self.began = self.began or now
        if why := self._spent(settings, now):
            return Turn(StartRequest(), why=why, over=True)
        if state.halted:
            return self._later(settings, state.halted)
        request = self._request(context, state, now)
        if request.start is None:
            seconds = self._waits(settings)
            if not context.parked(state, now):  # else there may be something to do although nothing has changed
                self.quiet, self.read = seen, context
            return self._later(settings, f"nothing has changed since; looking again in {seconds}")
        if why := why_to_pause(self._counted(context), settings):
            self._pause(context, state, why)
            return self._later(settings, f"paused: {why}; scheduler resume goes on")
        self.looks = 0
        return Turn(request)

    def ended(self, context: Context, summary: Summary) -> None:
        """Count a round."""
        del context, summary
        self.rounds += 1
        self.looks = 0

    def _request(self, context: Context, state: State, now: datetime) -> StartRequest:
        never, parked = context.settings.sprint.wakes_not, context.parked(state, now)
        fresh = tuple(name for name in awaited(state, never) if name not in parked) if state.sprints else ()
        moved, changed = self._has_moved(context, state), self._has_changed(context, state)
        if not self._still_blocks(context, state):
            state = replace(state, decided=())
        if reason := reason_for(state, context.settings.supervisor, moved=moved, changed=changed):
            return StartRequest(reason)
        return StartRequest(f"unread mail for {', '.join(fresh)}", personas=fresh) if fresh else StartRequest()

    @staticmethod
    def _still_blocks(context: Context, state: State) -> bool:
        """Tell whether the last decision would be to block by the settings of now, too."""
        decided = next(reversed(state.decided), None)
        if decided is None or decided.approved:
            return False
        return bool(Supervisor(context).decision(context.state(sprints=LAST), decided.commit)[0].blocks)

    @staticmethod
    def _has_changed(context: Context, state: State) -> bool:
        """Tell whether the last round has left another tree than it found: what it lands and takes back is nothing."""
        if not state.sprints or not (commits := state.sprints[-1].commits):
            return False
        base = state.sprints[-1].base
        return context.git.run("diff", "--quiet", "--no-ext-diff", base, commits[-1]).returncode != 0

    def _has_moved(self, context: Context, state: State) -> bool:
        """Tell whether people moved the base: it is no commit of the last round, nor what that started from."""
        if not state.sprints:
            return False
        last, base = state.sprints[-1], context.base()
        return base not in {last.base, *last.commits} and not context.git.is_ancestor(base, last.tip)

    @staticmethod
    def _counted(context: Context) -> State:
        """Return the last rounds but those that a person asked for, and those before a pause that one ended."""
        limits = context.settings.supervisor
        state = context.state(sprints=max(LAST, limits.fix_streak, limits.silent_rounds, limits.own_rounds))
        own = (sprint for sprint in state.sprints if sprint.number > state.resumed and sprint.reason != ASKED)
        sprints = tuple(own)
        numbers = {sprint.number for sprint in sprints}
        decided = tuple(each for each in state.decided if each.sprint in numbers)
        return replace(state, sprints=sprints, decided=decided)

    def _later(self, settings: SupervisorSettings, why: str) -> Turn:
        """Look again after a pause that doubles each time; what is looked for is said once."""
        rest = min(_FIRST * 2 ** min(self.looks, 10), timedelta(seconds=settings.backoff_max))
        first, self.looks = self.looks == 0, self.looks + 1
        return Turn(StartRequest(), rest, why if first else "")

    @staticmethod
    def _waits(settings: SupervisorSettings) -> str:
        """Name the pauses between looks."""
        pauses, seconds = list[str](), 1.0
        while seconds < settings.backoff_max:
            pauses.append(f"{seconds:g} s")
            seconds *= 2
        return ", ".join([*pauses, f"{settings.backoff_max:g} s …"])

    def _spent(self, settings: SupervisorSettings, now: datetime) -> str:
        """Return why no more rounds are started at all; "" if more are."""
        if settings.max_rounds and self.rounds >= settings.max_rounds:
            return f"{counted(self.rounds, 'round')} done, which is [supervisor] max_rounds"
        if settings.max_time and self.began and (now - self.began).total_seconds() >= settings.max_time:
            return "the time of [supervisor] max_time is over"
        return ""

    def _pause(self, context: Context, state: State, why: str) -> None:
        """Write down that people are to look, with a mail to the human that has the last words of the gate."""
        decided = next(reversed(state.decided), None)
        sprint = state.sprints[-1]
        gates = decided.gates if decided else ()
        body = [
            f"No more rounds are started: {why}.",
            "",
            *(f"- gate {gate} {'passes' if passed else 'blocks'}: {text}" for gate, passed, text in gates),
            "",
            f"    git diff {sprint.base[:12]} {sprint.branch}      what the last round changed",
            f"    scheduler report {sprint.number}",
            "    scheduler resume              goes on",
        ]
        letter = Letter(
            SUPERVISOR, [context.settings.team.human], f"Rounds are paused: {why}"[:200], "\n".join(body),
            type="escalate", priority="high", payload={"sprint": sprint.number, "why": why},
            key=f"rounds paused {sprint.number}",
        )  # fmt: skip
        own = derived_id(Kind.ROUND_PAUSED, str(sprint.number))
        data = {"sprint": sprint.number, "why": why}
        mail = letter.draft(context.mailbox.directory, context.mailbox.blobs)
        context.append([mail, Draft(Kind.ROUND_PAUSED, SUPERVISOR, data=data, id=own)])
        self.listener(Progress(f"paused: {why}"))
