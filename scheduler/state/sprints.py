"""Where the sprints of a team stand: runs, patches, verdicts of gates, reports, and what waits. See `fold`."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from statistics import median

from ..errors import NoSuchRun
from ..kinds import PatchStatus, RunStatus
from .facts import (
    Asked,
    Decided,
    Deploy,
    Fact,
    Foretold,
    Judged,
    Mail,
    Patch,
    Report,
    Run,
    Sprint,
    Weave,
)  # fmt: skip
from .usage import Used

SCHEDULER_GONE = "its scheduler is gone"  # why a run was lost


@dataclass(frozen=True)
class State:
    """Everything that `decide` may know.

    `aside` maps personas that were set aside to the reason, `unread` personas to their mail. `judged` has how gates
    judged, by a gate's mark and the tree. `taken` is the unread mail that a run of a dispatch has in its prompt, which
    goes on meanwhile. `dead` are the ids of open runs whose supervisor is gone; those of them that go on, or whose end
    is known, are `left` for the next scheduler to take over, the others are lost. `today` is what runs used that count
    for this day, by their ids, if a budget asks for it. `reported` are budgets that the human knows to be spent: which,
    the sprint, and the day. `refused` are runs of all sprints and dispatches that tell which services take no more
    until a time to come, see `parked_until`. `foretold` is what runs were told of each other while they went on.
    `asked` are the requests for reports, and `reports` what was given; `told` are a gate, a commit that it does not let
    pass, as its authors know, and the sprint in which they were told. `decided` are the decisions of rounds, `deploys`
    what became of them. `resumed` is the last round after which rounds were paused and a person let them go on, and
    `stuck` one after which nobody has yet. `held` says why nothing of the session is started. `matters` are the events
    that asked something of a person, whether they still do or not, as `matter_of` tells them apart.
    """

    sprints: tuple[Sprint, ...] = ()
    runs: tuple[Run, ...] = ()
    patches: tuple[Patch, ...] = ()
    aside: Mapping[str, str] = field(default_factory=dict[str, str])
    judged: Mapping[tuple[str, str], Judged] = field(default_factory=dict[tuple[str, str], Judged])
    paused: str | None = None
    unread: Mapping[str, tuple[Mail, ...]] = field(default_factory=dict[str, tuple[Mail, ...]])
    dead: frozenset[str] = frozenset()
    left: frozenset[str] = frozenset()
    taken: frozenset[str] = frozenset()
    weaves: tuple[Weave, ...] = ()
    today: tuple[tuple[str, Used], ...] = ()
    reported: frozenset[tuple[str, int, str]] = frozenset()
    refused: tuple[Run, ...] = field(default=(), compare=False)
    foretold: tuple[Foretold, ...] = field(default=(), compare=False)
    asked: tuple[Asked, ...] = ()
    reports: tuple[Report, ...] = ()
    decided: tuple[Decided, ...] = ()
    deploys: tuple[Deploy, ...] = ()
    told: frozenset[tuple[str, str, int]] = frozenset()
    resumed: int = 0
    stuck: int = 0
    held: str | None = None
    matters: Mapping[tuple[str, ...], Fact] = field(default_factory=dict[tuple[str, ...], Fact], compare=False)

    @property
    def halted(self) -> str | None:
        """Why nothing is started, and the command that changes this; None if nothing holds it up."""
        return self.held or (f"{self.paused}; scheduler resume goes on" if self.paused else None)

    @property
    def sprint(self) -> Sprint | None:
        """The sprint that is open."""
        return self.sprints[-1] if self.sprints and self.sprints[-1].outcome is None else None

    @property
    def green(self) -> frozenset[tuple[str, str]]:
        """The pairs of a gate's mark and a tree that passed it."""
        return frozenset(key for key, judged in self.judged.items() if judged.passed)

    @property
    def number(self) -> int:
        """The last sprint's number, 0 before the first."""
        return self.sprints[-1].number if self.sprints else 0

    @property
    def tick(self) -> int:
        """The number of the tick that is next or under way in the open sprint, from 1."""
        return self.sprint.ticks + 1 if self.sprint else 1

    @property
    def tip(self) -> str | None:
        """The commit that the open sprint's branch is at according to the log; None if no sprint is open."""
        return self.sprint.tip if self.sprint else None

    @property
    def pending(self) -> tuple[Patch, ...]:
        """The patches that wait for the weaver: those that were captured and whose run has ended."""
        ended = {run.id for run in self.runs if run.status != RunStatus.OPEN}
        return tuple(patch for patch in self.patches if patch.status == PatchStatus.PENDING and patch.run in ended)

    def of(self, *statuses: str) -> tuple[Patch, ...]:
        """Return patches by status, in the order of the log."""
        return tuple(patch for patch in self.patches if patch.status in statuses)

    @property
    def served(self) -> tuple[Run, ...]:
        """The runs that tell which services take no more for now, whatever sprint or dispatch they are of."""
        return (*self.refused, *self.runs)

    def own(self, persona: str) -> tuple[Run, ...]:
        """Return a persona's runs in the open or last sprint, the oldest first."""
        return tuple(run for run in self.runs if run.persona == persona and run.sprint == self.number)

    def free(self, persona: str) -> tuple[Mail, ...]:
        """Return the unread mail that the next run of a persona is given: no other run has it in its prompt."""
        return tuple(mail for mail in self.unread.get(persona, ()) if mail.id not in self.taken)

    def waking(self, persona: str, never: Collection[str]) -> tuple[Mail, ...]:
        """Return the mail that is a reason to launch a persona; `never` are types that are none."""
        return tuple(mail for mail in self.free(persona) if mail.wakes(never))

    def patch(self, run: str) -> Patch | None:
        """Return a run's patch."""
        return next((patch for patch in self.patches if patch.run == run), None)

    def estimate(self, persona: str) -> float | None:
        """Return the median length of a persona's runs that ended well, in seconds."""
        own = (run for run in self.runs if run.persona == persona and run.status == RunStatus.OK)
        lengths = [run.seconds for run in own if run.seconds]
        return median(lengths) if lengths else None


def give_up_dead(state: State) -> State:
    """Return the state as it will be once `run.lost` is written for its lost runs: what they captured is dropped."""
    lost = state.dead - state.left
    if not lost:
        return state
    runs = tuple(
        replace(run, status=RunStatus.LOST, detail=SCHEDULER_GONE) if run.id in lost else run for run in state.runs
    )
    patches = tuple(
        replace(patch, status=PatchStatus.DROPPED, why=SCHEDULER_GONE)
        if patch.run in lost and patch.status == PatchStatus.PENDING
        else patch
        for patch in state.patches
    )
    return replace(state, runs=runs, patches=patches, dead=state.left)


def dead_of(state: State) -> tuple[tuple[Run, ...], tuple[Run, ...]]:
    """Return the runs of the open sprint whose scheduler is gone: those that are lost, and those to take over."""
    dead = [run for run in state.runs if state.sprint and run.sprint == state.number and run.id in state.dead]
    lost = tuple(run for run in dead if run.id not in state.left)
    return lost, tuple(run for run in dead if run.id in state.left)


def sprint_numbered(state: State, number: int | None) -> Sprint:
    """Return a sprint by its number, the last one if the number is None. Raises NoSuchRun."""
    if not state.sprints:
        raise NoSuchRun("no sprint yet; run scheduler sprint")
    if number is None:
        return state.sprints[-1]
    for sprint in state.sprints:
        if sprint.number == number:
            return sprint
    raise NoSuchRun(f"no sprint {number}; the last is {state.number}, scheduler history lists them")
