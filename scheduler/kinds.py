"""The words of the engine: its event kinds and every status, each spelled here and nowhere else.

`kinds_table` and `words_table` make the tables of them in the pages of docs/ on sprints, dispatches, claims, sessions
and plans.
"""

from __future__ import annotations

from typing import Literal

from ..mail.directory import PROGRAMS
from ..mail.kinds import RUN_STARTED, TASK_FINISHED, Described, word
from ..personas.kinds import OutcomeStatus

_PERSON = "a person"
_ANYBODY = "whoever acts"
_OF_DISPATCHES = ("dispatch.", "task.finished")
_OF_CLAIMS = ("claim.", "task.opened")
_OF_SESSIONS = ("session.",)
_OF_COMMANDS = ("command.",)
_OF_FORGES = ("github.",)


class Kind(Described):
    """A kind of event that the engine writes, with the program or person who writes it and what it says."""

    SPRINT_STARTED = word(
        "sprint.started", "A sprint began: where it starts from, its mode, its first batch.", "scheduler"
    )
    SPRINT_FINISHED = word("sprint.finished", "A sprint ended, and how.", "scheduler")
    SPRINT_STUCK = word("sprint.stuck", "A sprint could not go on, and why: git or a file was in the way.", "scheduler")
    SPRINT_ABANDONED = word("sprint.abandoned", "A sprint is given up, and its work is kept.", _PERSON)
    TICK_DONE = word("tick.done", "A tick was carried out, or had nothing to do.", "scheduler")
    RUN_STARTED = word(RUN_STARTED, "An attempt of a persona is about to start.", "scheduler")
    RUN_FINISHED = word("run.finished", "A run ended, and how.", "scheduler")
    RUN_LOST = word("run.lost", "A run was given up because whoever supervised it is gone or was stopped.", "scheduler")
    RUN_STOPPED = word("run.stopped", "Somebody asked for the end of a run.", _PERSON)
    RUN_OFFERED = word(
        "run.offered", "A run is there for a worker to take; a higher `epoch` takes it from another.", "scheduler"
    )
    RUN_TAKEN = word("run.taken", "A worker has taken a run that was offered.", "scheduler")
    RUN_RETURNED = word(
        "run.returned", "What came of a run that a worker had taken, or why it gives it back.", "scheduler"
    )
    RUN_RECALLED = word("run.recalled", "A run that was offered is to end, wherever it is.", "scheduler")
    RUN_FORETOLD = word(
        "run.foretold", "A run was told that another, or what has landed, changes what it changes.", "scheduler"
    )
    PATCH_CAPTURED = word("patch.captured", "What a run changed was captured.", "scheduler")
    PATCH_LANDED = word("patch.landed", "A patch is on the branch.", "weaver")
    PATCH_CONFLICTED = word("patch.conflicted", "A patch conflicts with what landed before it.", "weaver")
    PATCH_REFUSED = word(
        "patch.refused", "A patch does something that no patch may do, or a person refused it.", "weaver"
    )
    PATCH_HELD = word("patch.held", "A patch to sensitive or claimed files waits for a person's approval.", "weaver")
    PATCH_APPROVED = word("patch.approved", "A held patch may land.", _PERSON)
    PATCH_REJECTED = word("patch.rejected", "A gate fails with the patch and passes without it.", "weaver")
    WEAVE_DONE = word("weave.done", "A weave was carried out: the landing order and the conflicts.", "weaver")
    WEAVE_LOST = word(
        "weave.lost",
        "A branch has not what had landed on it, so all of that is woven again, from another commit.",
        "weaver",
    )
    GATE_STARTED = word("gate.started", "A gate began to judge a commit.", "weaver")
    GATE_JUDGED = word("gate.judged", "A gate judged a tree.", "weaver")
    PERSONA_SKIPPED = word("persona.skipped", "A persona was set aside for the rest of the sprint.", "scheduler")
    REVIEW_ASKED = word("review.asked", "Somebody was asked to report on what had landed.", "supervisor")
    REVIEW_TOLD = word("review.told", "The authors were told of a report that a gate does not let pass.", "supervisor")
    REPORT_GIVEN = word("report.given", "A run reported on the tree that it was given.", "scheduler")
    ROUND_DECIDED = word("round.decided", "A round was decided: what may be deployed, or why nothing.", "supervisor")
    ROUND_PAUSED = word("round.paused", "Rounds did not help, so none is started until it is resumed.", "supervisor")
    DEPLOY_STARTED = word("deploy.started", "A commit that was approved is about to be deployed.", "supervisor")
    DEPLOY_FINISHED = word("deploy.finished", "What became of a commit that was approved.", "supervisor")
    DEPLOY_APPROVED = word("deploy.approved", "A commit may be deployed.", _PERSON)
    BUDGET_SPENT = word("budget.spent", "A budget is spent, so nothing more is started.", "scheduler")
    SCHEDULER_PAUSED = word("scheduler.paused", "Nothing more is started until it is resumed.", _PERSON)
    SCHEDULER_RESUMED = word("scheduler.resumed", "The scheduler starts runs again.", _PERSON)
    NOTICE_OPENED = word("notice.opened", "Notices go to an endpoint from here on.", "scheduler")
    NOTICE_SENT = word("notice.sent", "A notice was taken by an endpoint.", "scheduler")
    NOTICE_FAILED = word(
        "notice.failed", "An attempt to send a notice failed; without `again` it was the last.", "scheduler"
    )
    SCHEDULE_KNOWN = word(
        "schedule.known",
        "A schedule was read for the first time, or was changed: its times count from here.",
        "scheduler",
    )
    SCHEDULE_FIRED = word(
        "schedule.fired", "A time of a schedule has come, and is about to be carried out.", "scheduler"
    )
    SCHEDULE_ENDED = word("schedule.ended", "What a schedule had carried out has ended, and how.", "scheduler")
    SCHEDULE_MISSED = word("schedule.missed", "Times of a schedule are not carried out, and why.", "scheduler")
    SCHEDULE_PAUSED = word("schedule.paused", "No time of a schedule counts until it is resumed.", _PERSON)
    SCHEDULE_RESUMED = word("schedule.resumed", "The times of a schedule count again.", _PERSON)
    DISPATCH_STARTED = word("dispatch.started", "A dispatch began: its tasks and configuration.", "scheduler")
    DISPATCH_RESUMED = word("dispatch.resumed", "A dispatch that was cut off is continued.", "scheduler")
    DISPATCH_STOPPED = word("dispatch.stopped", "Somebody asked for the end of a dispatch.", _PERSON)
    DISPATCH_FINISHED = word("dispatch.finished", "A dispatch ended.", "scheduler")
    TASK_FINISHED = word(TASK_FINISHED, "A task of a dispatch ended, or one that was claimed, and how.", "scheduler")
    TASK_OPENED = word("task.opened", "A task was added, for whoever claims it.", _ANYBODY)
    CLAIM_TAKEN = word("claim.taken", "Somebody took a task, or paths and names, for a time.", _ANYBODY)
    CLAIM_RENEWED = word("claim.renewed", "The time of a claim begins anew.", _ANYBODY)
    CLAIM_RELEASED = word("claim.released", "A claim was given back, or taken away by force.", _ANYBODY)
    CLAIM_EXPIRED = word("claim.expired", "A claim is over: its time was up, or its process had ended.", _ANYBODY)

    COMMAND_STARTED = word("command.started", "A command of a program is about to be run in the checkout.", _PERSON)
    COMMAND_FINISHED = word("command.finished", "A command of a program has ended, and how.", _PERSON)

    SESSION_CREATED = word("session.created", "A session was created: its title and participants.", _PERSON)
    SESSION_PAUSED = word("session.paused", "Nothing of a session is started any more.", _PERSON)
    SESSION_RESUMED = word("session.resumed", "A session goes on, or is open again.", _PERSON)
    SESSION_COMPLETED = word("session.completed", "A session is completed.", _PERSON)
    SESSION_DELETED = word("session.deleted", "A session is hidden; what was gathered under it stays.", _PERSON)

    GITHUB_PUBLISHED = word(
        "github.published", "The branch of a sprint was pushed, and its pull request says what is in it.", "scheduler"
    )
    GITHUB_REFUSED = word(
        "github.refused", "A sprint could not be published, and a person is to say how to go on.", "scheduler"
    )
    GITHUB_ENDED = word("github.ended", "The pull request of a sprint was merged or closed.", "scheduler")
    GITHUB_PULL = word("github.pull", "A commit of a pull request was fetched, to be woven.", "scheduler")
    GITHUB_ISSUE = word("github.issue", "An issue became work.", "scheduler")
    GITHUB_COMMENTED = word("github.commented", "A comment of the team says something there.", "scheduler")


_KINDS = frozenset(Kind)
NOTICES = frozenset({Kind.NOTICE_OPENED, Kind.NOTICE_SENT, Kind.NOTICE_FAILED})
NEEDS_ME = "needs-me"  # the occasion of a notice that is no kind of event: whatever needs the human


def is_writer(kind: str, sender: str, run: str | None) -> bool:
    """Tell whether a sender writes events of a kind of the engine; from anybody else they count for nothing.

    What a person writes comes from no run, and from no program. Claims are anybody's: their tokens tell who is meant.
    """
    writer = Kind(kind).writer if kind in _KINDS else ""
    if writer == _ANYBODY:
        return True
    return sender not in PROGRAMS and run is None if writer == _PERSON else sender == writer


class Mode(Described):
    """How a sprint runs."""

    PARALLEL = word("parallel", "All personas of a tick run at once.")
    SEQUENTIAL = word("sequential", "One persona runs in each tick, in the order of the roster.")


class ModeRequest(Described):
    """What `--mode` may ask for."""

    AUTO = word("auto", "The settings choose: `[sprint] parallel` and `sequential_only`.")
    PARALLEL = word(Mode.PARALLEL.value, Mode.PARALLEL.meaning)
    SEQUENTIAL = word(Mode.SEQUENTIAL.value, Mode.SEQUENTIAL.meaning)
    CYCLE = word("cycle", "The same as `auto`: in the cycle of sprints, the settings choose the mode of each.")


class PhaseKind(Described):
    """How much of a phase of a plan can be done at once."""

    MANUAL = word("manual", "People do all of it.")
    PARALLEL = word(Mode.PARALLEL.value, "No task waits for another, and no two change mostly the same files.")
    PARTLY = word("partly", "Some wait, or change mostly the same files; the reason names the first three pairs.")
    SEQUENTIAL = word(Mode.SEQUENTIAL.value, "The longest chain is at least nine tenths of the work.")


class RunStatus(Described):
    """The status of a run: open, lost with its supervisor, or as its agent ended."""

    OPEN = word("open", "It has not ended.")
    LOST = word("lost", "Its scheduler is gone or was stopped; it does not count towards `max_attempts`.")
    OK = word(OutcomeStatus.OK.value, "The agent ended well.")
    FAILED = word(
        OutcomeStatus.FAILED.value,
        "The exit code is not 0, the agent was killed or could not be started, its JSON stream reports an error or "
        "breaks off, or it did not make what was asked for.",
    )
    SETUP = word(
        OutcomeStatus.SETUP.value,
        "The set-up of its workspace failed, so no agent started; it does not count towards `max_attempts`.",
    )
    TIMEOUT = word(OutcomeStatus.TIMEOUT.value, "It took longer than its timeout, or was idle for too long.")
    QUOTA = word(
        OutcomeStatus.QUOTA.value, "It took more room on disk, sent more mail, or used more of its model, than it may."
    )
    LIMITED = word(
        OutcomeStatus.LIMITED.value,
        "The service of its model took no more for now (429, a usage limit, overloaded); it does not count towards "
        "`max_attempts`, unless it is the eleventh in a row or a later one.",
    )
    STOPPED = word(OutcomeStatus.STOPPED.value, "`scheduler stop` ended it.")


class PatchStatus(Described):
    """The status of a patch."""

    PENDING = word("pending", "It waits for the weaver.")
    LANDED = word("landed", "It is on the branch.")
    PRESENT = word("present", "All that it changes was on the branch already, so there is no commit of it.")
    CONFLICTED = word("conflicted", "It conflicts with what landed before it; its author has mail.")
    REFUSED = word("refused", "It does something that no patch may do, or a person refused it; its author has mail.")
    HELD = word(
        "held",
        "It changes sensitive or claimed files; the human has mail, and `scheduler approve` makes it pending again.",
    )
    REJECTED = word("rejected", "A gate fails with it and passes without it; its author has mail.")
    DROPPED = word(
        "dropped",
        "Its run did not end well, so it may be half a change; the weaver never gets it, the next attempt does.",
    )


class TaskStatus(Described):
    """How a task of a dispatch ended."""

    SUCCESS = word("success", "Its run ended well, and what it changed has landed.")
    ERROR = word(
        "error",
        "`error` says why: the agent's last words, a timeout, a reference that led nowhere, a patch that did not land.",
    )
    BLOCKED = word("blocked", "A task that it depends on did not succeed.")
    SKIPPED = word(
        "skipped",
        "It was not to be run: its condition is not met, or asks, as its input may, for the output of a skipped task. "
        "`why` says what was read.",
    )
    CANCELLED = word("cancelled", "The dispatch was ended before, or it was cancelled before it started.")


class ClaimState(Described):
    """The state of a task that is there to be claimed."""

    OPEN = word("open", "Nobody has it; `team claim --next` offers it.")
    WAITING = word("waiting", "A task that it comes after has not succeeded.")
    CLAIMED = word("claimed", "Somebody has it, until the claim is over.")
    ASIDE = word("aside", "Three claims ended without an end of it; the human has mail, and only its name claims it.")
    DONE = word("done", "It succeeded.")
    FAILED = word("failed", "It was done, and failed.")


class SessionStatus(Described):
    """The status of a session."""

    ACTIVE = word("active", "It goes on.")
    PAUSED = word("paused", "Nothing of it is started; runs under way end.")
    COMPLETED = word("completed", "It is done; `team session resume --again` opens it again.")
    DELETED = word("deleted", "It is hidden, `team session list --all` shows it; `resume --again` brings it back.")


class DispatchStatus(Described):
    """How a dispatch ended."""

    SUCCESS = word("success", "All tasks succeeded that were not skipped.")
    PARTIAL = word("partial", "Some tasks succeeded.")
    FAILURE = word("failure", "No task succeeded.")


class SprintOutcome(Described):
    """How a sprint ended."""

    CONVERGED = word("converged", "Nothing is left to do, and nobody was set aside.")
    SPENT = word("spent", "Nothing is left to do, and somebody was set aside.")
    UNJUDGED = word(
        "unjudged", "Nothing is left to do, or to be started, but a gate judged nothing: it fails without any patch."
    )
    UNANSWERED = word("unanswered", "Nothing is left to do until somebody answers: the last run of a persona asks.")
    BROKEN = word(
        "broken",
        "Every run of an agent failed, those of several personas and at least one retry: the agent itself "
        "does not work, and more runs would only cost.",
    )
    BUDGET = word("budget", "A budget was spent before everything was done.")
    DEADLINE = word("deadline", "The sprint's time was over, or would have been before the next retry.")
    ABANDONED = word("abandoned", "A person gave it up by `scheduler abandon`; its work is kept.")


class DeployOutcome(Described):
    """What became of a commit that was to be deployed."""

    NOT_ATTEMPTED = word("not_attempted", "The round was blocked.")
    DEPLOYED = word("deployed", "It is live.")
    SKIPPED_NO_CHANGE = word("skipped_no_change", "Its tree is the one that was deployed last.")
    SKIPPED_POLICY = word("skipped_policy", "No `[deploy]` says how, it waits for a person, or the base has moved.")
    FAILED = word("failed", "The command or the persona failed, or nobody knows what a crash left.")


class AgentStatus(Described):
    """The status of a persona with the agents that play it, in the registry of a team."""

    STALE = word("stale", "A run of it is open on record, and its processes are gone; `team clean` puts its end there.")
    BUSY = word("busy", "A run of it goes on.")
    ERROR = word("error", "Its last three runs failed, or no agent of it can start.")
    OFFLINE = word("offline", "Nobody is there who would start it: no scheduler leads, and no dispatch is under way.")
    AVAILABLE = word("available", "It can be started.")


class ScheduleOutcome(Described):
    """How what a schedule had carried out ended."""

    DONE = word("done", "All of it succeeded.")
    FAILED = word("failed", "It failed, or not all of it succeeded; the human has mail.")
    CUT_OFF = word("cut off", "Its scheduler is gone; a dispatch that was cut off can be gone on with.")


class WorkKind(Described):
    """What a team did: the kinds of `team history`."""

    SPRINT = word("sprint", "A sprint.")
    DISPATCH = word("dispatch", "A dispatch.")
    ASK = word("ask", "A request in plain words, with all of its dispatches.")


class AskStep(Described):
    """What a dispatch of a request in plain words is for."""

    PLAN = word("plan", "A planner makes tasks of it.")
    WORK = word("work", "Its tasks are done.")
    ANSWER = word("answer", "A reporter answers from their results.")


class GateStatus(Described):
    """What a gate says of a commit."""

    PASSED = word("passed", "It has passed there.")
    FAILED = word("failed", "It has failed there, and never passed.")
    UNJUDGED = word("unjudged", "It has not judged that.")


class NeedKind(Described):
    """What a matter that needs a person is about."""

    LOG = word("log", "The log lacks what git knows, so nothing is started.")
    ROUND = word("round", "Rounds are paused, because they did not help.")
    SPRINT = word("sprint", "A sprint cannot go on.")
    PAUSE = word("pause", "A person has paused the scheduler.")
    BUDGET = word("budget", "A budget is spent, so nothing more is started.")
    DEPLOY = word("deploy", "A deployment that the gates let pass failed, was cut off, or waits for a person.")
    PATCH = word("patch", "A patch is held.")
    GATE = word("gate", "A gate fails on the base, so it judges nothing.")
    DISPATCH = word("dispatch", "A dispatch was cut off.")
    ASK = word("ask", "A dispatch of a request in plain words was cut off, so the request waits.")
    PERSONA = word("persona", "A persona was set aside.")
    TASK = word("task", "Three claims of a task ended without an end of it.")
    CLAIM = word("claim", "A claim is over, and nobody has put that on record.")
    PULL = word("pull", "A sprint could not be published.")
    MAIL = word("mail", "Unread mail to the human asks for something.")


class Budget(Described):
    """What a budget is for."""

    SPRINT = word("sprint", "All runs of a sprint.")
    DAY = word("day", "All runs of the team that end on one day in local time, those of dispatches too.")
    PERSONA = word("persona", "The runs of one persona in one sprint.")
    AGENT = word("agent", "The runs of one agent that end on one day, in sprints and dispatches.")
    RUN = word("run", "One run.")


class LaunchReason(Described):
    """Why a persona is launched."""

    BATCH = word("batch", "It belongs to the first batch of the sprint.")
    MAIL = word("mail", "It has unread mail.")
    REVIEW = word("review", "It is asked for a review; that counts towards `max_reviews`, and not `max_attempts`.")
    RETRY = word("retry", "Its last run did not end well, or its supervisor was lost.")
    TASK = word("task", "A task of a dispatch is its to do.")
    PULL = word("pull", "It is a pull request that was taken; nobody runs.")


def kinds_table(of: Literal["", "dispatches", "claims", "sessions", "commands", "forges"] = "") -> str:
    """Return the Markdown table of the kinds written for sprints, or for what else is named."""
    tables = {
        "dispatches": _OF_DISPATCHES, "claims": _OF_CLAIMS, "sessions": _OF_SESSIONS, "commands": _OF_COMMANDS,
        "forges": _OF_FORGES,
    }  # fmt: skip
    others, every = tables.get(of, ()), tuple(part for table in tables.values() for part in table)
    kinds = [kind for kind in Kind if kind.startswith(others or every) == bool(others)]
    rows = [f"| `{kind}` | {kind.writer} | {kind.meaning} |" for kind in kinds]
    return "\n".join(["| kind | written by | meaning |", "|---|---|---|", *rows])


def words_table(words: type[Described], head: str = "status") -> str:
    """Return the Markdown table of the statuses, modes or reasons of one noun."""
    return "\n".join([f"| {head} | meaning |", "|---|---|", *(f"| `{each}` | {each.meaning} |" for each in words)])
