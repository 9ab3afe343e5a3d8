"""The nouns of a sprint, frozen: one run, one patch, one sprint, one weave, one unread message."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ...mail.directory import PROGRAMS
from ...personas.spending.usage import UNKNOWN, Usage
from ..kinds import PatchStatus, RunStatus


class Mail(NamedTuple):
    """A message that one persona has not read."""

    persona: str
    seq: int
    id: str
    ts: str
    sender: str
    subject: str
    type: str
    priority: str
    run: str | None

    def wakes(self, never: Collection[str]) -> bool:
        """Tell whether it is a reason to launch its persona: not if its type is one of `never`, unless a program wrote.

        What programs write (conflicts, refusals, bounces) is work to be done, unless they only let it know.
        """
        return self.type not in never or (self.is_of_program and self.type != _FYI)

    @property
    def is_of_program(self) -> bool:
        """Whether a program wrote it."""
        return self.sender in PROGRAMS and self.run is None

    @property
    def asks_review(self) -> bool:
        """Whether the program asks for a review by it."""
        return self.type == REVIEW and self.is_of_program


REVIEW = "review"  # the type of such mail
_FYI = "fyi"


@dataclass(frozen=True)
class Run:
    """One attempt of one persona. `status` is a `RunStatus`, `mail` the ids of the messages in its prompt.

    `stop` is set once a person asked for its end, `late` if it went on after it was given up, `orderly` if it was lost
    because its scheduler was stopped. `setup` is how long the set-up of its workspace took, in seconds,
    `usage` what it used of a model, and `until` when the service that refused it takes more. `hopeless`
    tells that its agent could not start, or that the budget of a run ended it, as it would the next time.
    `withdrawn` is one that a budget gave up before it began, because others were first. `rule` is the name of the rule
    that chose its agent, and `passed` are the agents that went before that one and gave way, each with the reason.
    `asked` is the id of the mail with the question that it ended with, and `resumed` the session of an earlier run that
    it went on with; both may be "". One that is `offered` to workers is as good as its `epoch` says: `worker` has taken
    that, nobody if it is empty, and `returned` tells that something came of it, which nobody has put on record yet.
    """

    id: str
    persona: str
    attempt: int
    tick: int
    sprint: int
    base: str
    agent: str
    reason: str
    started: str
    mail: tuple[str, ...] = ()
    supervisor: Mapping[str, Any] = field(default_factory=dict[str, Any])
    status: str = RunStatus.OPEN
    finished: str | None = None
    seconds: float | None = None
    detail: str = ""
    stop: bool = False
    late: bool = False
    orderly: bool = False
    setup: float | None = None
    usage: Usage = UNKNOWN
    until: str | None = None
    hopeless: bool = False
    withdrawn: bool = False
    rule: str = ""
    passed: tuple[tuple[str, str], ...] = ()
    asked: str = ""
    resumed: str = ""
    offered: bool = False
    epoch: int = 0
    worker: Mapping[str, Any] = field(default_factory=dict[str, Any])
    returned: bool = False


@dataclass(frozen=True)
class Patch:
    """What a run changed. `status` is a `PatchStatus`; `tick` is the tick that decided it, 0 before any did.

    `approvals` are the codes of all approvals on record, and `approved` is set once one is verified, see `ApprovalKey`.
    `signature` is that of its conflict, by which the same one is known again.
    """

    run: str
    persona: str
    sprint: int
    base: str
    sha256: str
    size: int
    seq: int
    hash: str
    ts: str
    files: tuple[str, ...] = ()
    status: str = PatchStatus.PENDING
    tick: int = 0
    commit: str | None = None
    why: str = ""
    signature: str = ""
    approved: bool = False
    approvals: tuple[str, ...] = ()

    @property
    def is_unsigned(self) -> bool:
        """Whether an approval is on record that no person gave by `scheduler approve`."""
        return self.status == PatchStatus.HELD and bool(self.approvals)

    task: str | None = None


@dataclass(frozen=True)
class Foretold:
    """What a run was told while it went on: that it and another change the same lines of a file.

    `rival` is the other run, empty if it is known to no run, and `landed` tells that its change is on the branch, at
    the commit `tip`.
    `lines` are pairs of first and last lines, as the file is in the run's base; none for the file as a whole.
    """

    run: str
    rival: str
    file: str
    lines: tuple[tuple[int, int], ...]
    landed: bool = False
    tip: str = ""


@dataclass(frozen=True)
class Asked:
    """A persona was asked in a sprint to report on what had landed between two commits, in an event `seq`."""

    reviewer: str
    sprint: int
    start: str
    tip: str
    seq: int


@dataclass(frozen=True)
class Report:
    """What a run said of the commit that it was given, of which `tree` is the tree. `values` is its JSON object."""

    persona: str
    run: str
    sprint: int
    commit: str
    tree: str
    values: Mapping[str, Any]
    seq: int


@dataclass(frozen=True)
class Decided:
    """The decision of a round, which is a sprint: about a commit and its tree. `blocks` are the gates that block."""

    sprint: int
    commit: str
    tree: str
    text: str
    blocks: tuple[str, ...]
    gates: tuple[tuple[str, bool, str], ...]
    seq: int

    @property
    def approved(self) -> bool:
        """Whether nothing blocks."""
        return not self.blocks


@dataclass(frozen=True)
class Deploy:
    """A deployment of a commit by a round; `outcome` is a `DeployOutcome`, None while nobody knows.

    `run` names the folder of a command's output.
    """

    sprint: int
    commit: str
    tree: str
    started: str
    outcome: str | None = None
    why: str = ""
    seconds: float | None = None
    attempt: int = 1
    run: str = ""


@dataclass(frozen=True)
class Sprint:
    """One sprint. `outcome` is a `SprintOutcome`, None while it is open; `ended` is the seq of the event that says so.

    To the weaver a dispatch is a sprint as well: `number` is 0 then and `dispatch` its id. A `rolling` one goes on as
    its runs end, and has no batches. `red` are the gates that fail on its base, and `unjudged` those that could not
    judge what landed last. `lost` counts how often its branch lost what had landed, so that it began again from another
    `base`; `origin` is the first one. `stuck` is the seq of the event that it could not go on, 0 once it did. `seen` is
    that of the last event that was known when its end was decided.
    """

    number: int
    id: str
    base_branch: str
    base: str
    branch: str
    mode: str
    rule: str
    reason: str
    personas: tuple[str, ...]
    started: str
    finished: str | None = None
    outcome: str | None = None
    ticks: int = 0
    commits: tuple[str, ...] = ()
    ended: int = 0
    dispatch: str | None = None
    rolling: bool = False
    red: tuple[str, ...] = ()
    unjudged: tuple[str, ...] = ()
    lost: int = 0
    origin: str = ""
    stuck: int = 0
    seen: int = 0

    @property
    def tip(self) -> str:
        """The commit that its branch is at according to the log."""
        return (self.commits or (self.base,))[-1]

    @property
    def is_blind(self) -> bool:
        """Whether a gate fails without any patch, so that it judges nothing."""
        return bool(self.red or self.unjudged)


@dataclass(frozen=True)
class DanglingName:
    """A name whose definition is gone and that is still used: who removed it and who uses it, as persona and run.

    `renamed` is the name that took its place, or empty; `uses` are files with a line.
    """

    name: str
    renamed: str
    removed_by: tuple[str, str]
    used_by: tuple[str, str]
    uses: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Weave:
    """One weave: the runs whose patches landed, in that order, and pairs of runs that conflicted, with the files."""

    sprint: int
    tick: int
    start: str
    tip: str
    order: tuple[str, ...]
    conflicts: tuple[tuple[str, str, tuple[str, ...]], ...] = ()
    dangling: tuple[DanglingName, ...] = ()


class Judged(NamedTuple):
    """How often a gate passed and failed on a tree: in the open sprint, and for failures also `earlier`."""

    passed: int = 0
    failed: int = 0
    earlier: int = 0


class Fact(NamedTuple):
    """The part of an event that the fold needs."""

    seq: int
    ts: str
    kind: str
    sender: str
    ref: str | None
    run: str | None
    data: Mapping[str, Any]
    hash: str
