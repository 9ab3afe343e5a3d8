"""What is read of a long history: the same as if the whole log were folded, for each question that is asked of it."""

from __future__ import annotations

import random
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from team_mail.mail.clock import ManualClock, rfc3339
from team_mail.mail.log.event import Draft
from team_mail.mail.log.log import EventLog
from team_mail.mail.log.memory import MemoryLog
from team_mail.mail.query.memory import MemoryProjections
from team_mail.mail.query.rows import FileProjections
from team_mail.scheduler.estimate import estimate
from team_mail.scheduler.planner.forecast import from_sprint
from team_mail.scheduler.state import reading
from team_mail.scheduler.state.dispatches import read_dispatch, under_way
from team_mail.scheduler.state.fold import fold
from team_mail.scheduler.state.metrics import measure
from team_mail.scheduler.state.summary import summary

NAMES = ("ann", "bob", "cyd", "dee")
BASES = ("a" * 40, "b" * 40)
SUPERVISOR = {"boot": "b", "pid": 1, "start": "2"}
BLOB = {"sha256": "2" * 64, "size": 9}
UNDOES = {"unread": "read", "unarchived": "archived", "restored": "trashed"}


class Story:
    """A team's past, told at random: everything that a later sprint, or a later file of the log, may still change."""

    def __init__(self, log, clock, seed):
        self.log, self.clock, self.dice = log, clock, random.Random(seed)
        self.number = self.runs = self.mails = 0
        self.held: list[str] = []
        self.letters: list[tuple[str, str]] = []
        self.open: list[tuple[str, str, str]] = []

    def tell(self, *drafts):
        self.clock.sleep(7)
        return self.log.append(drafts)

    def chance(self, share):
        return self.dice.random() < share

    def by(self, kind, sender="scheduler", **data):
        rest = {name: data.pop(name) for name in ("run", "ref") if name in data}
        return Draft(kind, sender, data=data, **rest)

    def sprint(self, *, end=True):
        self.number += 1
        mode = "sequential" if self.chance(0.3) else "parallel"
        names = NAMES if self.chance(0.7) else NAMES[:2]
        self.tell(
            self.by(
                "sprint.started", sprint=self.number, id=f"s{self.number}", base_branch="main",
                base=self.dice.choice(BASES), branch=f"team/sprint-{self.number}", mode=mode, rule="r",
                reason="unread mail for ann" if self.chance(0.5) else "asked for", personas=[*names],
            )
        )  # fmt: skip
        for tick in (1, 2):
            runs = [self.run(name, tick) for name in names if tick == 1 or self.chance(0.4)]
            self.mail()
            waiting = [(name, run) for name, run in runs if self.end(name, run)]
            self.weave(tick, waiting)
            self.tell(self.by("tick.done", sprint=self.number, tick=tick, mode=mode, launched=len(runs)))
            if self.chance(0.3):
                self.tell(self.by("tick.done", idle="nothing"))
        if self.chance(0.2):
            self.tell(self.by("persona.skipped", sprint=self.number, persona="dee", why="tired"))
        if self.chance(0.2):
            self.tell(self.by("budget.spent", sprint=self.number, budget="sprint", day=""))
        if self.chance(0.2):
            self.tell(Draft("scheduler.paused" if self.chance(0.5) else "scheduler.resumed", "you"))
        if self.chance(0.2):
            self.tell(self.by("sprint.started", "mallory", sprint=99), self.by("run.lost", "mallory", run="run-1"))
        if end:
            outcome = self.dice.choice(("converged", "spent"))
            self.tell(self.by("sprint.finished", sprint=self.number, outcome=outcome))
            self.dispatch()
            if self.chance(0.4) and self.held:
                self.tell(Draft("patch.approved", "you", ref=self.dice.choice(self.held), data={"code": "c"}))

    def run(self, name, tick):
        self.runs += 1
        run = f"{self.dice.randrange(16**4):04x}-run-{self.runs}"
        self.tell(
            self.by(
                "run.started", run=run, sprint=self.number, persona=name, attempt=tick, tick=tick, base=BASES[0],
                agent=self.dice.choice(("shell", "opus")), reason="batch", mail=[], supervisor=SUPERVISOR,
            )
        )  # fmt: skip
        return name, run

    def end(self, name, run):
        """End a run; return whether it left a patch."""
        if self.chance(0.1):
            self.tell(self.by("run.lost", run=run, persona=name, why="its scheduler is gone"))
            if self.chance(0.5):
                self.open.append((name, run, "late"))
            return False
        changed, status = self.chance(0.7), self.dice.choice(("ok", "ok", "ok", "failed", "limited"))
        if changed and status == "ok":
            files = [f"{name}.md", "all.md"]
            self.tell(self.by("patch.captured", run=run, sprint=self.number, persona=name, patch=BLOB, files=files))
        usage = {"input": self.dice.randrange(900), "output": 9, "usd": self.dice.random()}
        until = {"until": rfc3339(self.clock.now() + timedelta(hours=1))} if status == "limited" else {}
        seconds = round(self.dice.uniform(1, 99), 3)
        self.tell(
            self.by(
                "run.finished", run=run, sprint=self.number, persona=name, agent="shell", status=status,
                seconds=seconds, detail="exit 0", usage=usage, **until,
            )
        )  # fmt: skip
        return changed and status == "ok"

    def weave(self, tick, waiting):
        """Decide patches, those that were approved or held before among them."""
        again = [("ann", run) for run in self.held if self.chance(0.3)]
        landed, conflicts = [], []
        for name, run in [*waiting, *again]:
            if run in self.held:
                self.held.remove(run)
                self.tell(Draft("patch.approved", "you", ref=run, data={"code": "c"}))
            how = self.dice.choice(("landed", "landed", "landed", "conflicted", "held", "refused", "rejected"))
            commit = {"commit": f"c-{run}"} if how == "landed" else {"why": "so"}
            self.tell(self.by(f"patch.{how}", "weaver", ref=run, persona=name, tick=tick, **commit))
            if how == "landed":
                landed.append(run)
            elif how == "conflicted" and landed:
                conflicts.append([landed[0], run, ["all.md"]])
            elif how == "held":
                self.held.append(run)
        for name, run, _ in self.open:
            self.tell(self.by("run.finished", run=run, persona=name, status="ok", seconds=1.0, detail="late"))
        self.open.clear()
        done = {"sprint": self.number, "tick": tick, "start": "a", "tip": "b", "order": landed, "conflicts": conflicts}
        self.tell(
            self.by("gate.judged", "weaver", mark="m", tree=f"t{self.number}", passed=True),
            self.by("weave.done", "weaver", **done),
        )

    def mail(self):
        """Send a letter to one or two; some are marked, at once or much later, and some marks are undone."""
        to = tuple(self.dice.sample((*NAMES, "gone"), self.dice.choice((1, 2))))
        data = {"type": self.dice.choice(("note", "question"))} if self.chance(0.7) else {}
        (event,) = self.tell(Draft("mail.sent", "bob", to, "Chapter", "Text", data=data))
        self.letters += [(event.id, name) for name in to]
        for _ in range(3):
            ref, name = self.dice.choice(self.letters)
            verb = self.dice.choice(("read", "read", "read", "archived", "trashed", "unread", "restored", "acked"))
            self.tell(Draft(f"mail.{verb}", name, ref=ref))

    def dispatch(self):
        """Start a dispatch that may go on for ever; its events must not be taken for those of a sprint."""
        own, task = f"dispatch-{self.number}", f"task-{self.number}"
        start = {"base": BASES[0], "branch": "team/x", "agent": None, "supervisor": SUPERVISOR}
        self.tell(self.by("dispatch.started", dispatch=own, tasks=[{"task_id": task}], **start))
        launch = {
            "sprint": 0,
            "persona": "ann",
            "attempt": 1,
            "tick": 0,
            "base": BASES[0],
            "agent": "shell",
            "mail": [],
        }
        about = {"dispatch": own, "task": task}
        run = f"run-of-{own}"
        self.tell(self.by("run.started", run=run, reason="task", supervisor=SUPERVISOR, **launch, **about))
        if self.chance(0.8):
            self.tell(self.by("run.finished", run=run, persona="ann", status="ok", seconds=2.0, detail="", **about))
            self.tell(self.by("dispatch.finished", dispatch=own, seconds=2.0))


@pytest.fixture(scope="module", params=[1, pytest.param(2, marks=pytest.mark.storm)])
def story(request, tmp_path_factory):
    """A story of thirty sprints in many small files of a log, which is only read."""
    clock = ManualClock(datetime(2026, 3, 1, tzinfo=UTC))
    log = EventLog(tmp_path_factory.mktemp("past") / "mail", clock=clock, segment_bytes=40_000)
    story = Story(log, clock, request.param)
    for _ in range(29):
        story.sprint()
    story.sprint(end=request.param % 2 == 0)
    assert len([*log.segments]) > 5
    return story


@pytest.fixture
def past(story):
    """The story, and the projections over it."""
    return story, FileProjections(story.log)


def whole(past):
    story, projections = past
    return reading.state_of(projections, NAMES, rfc3339(story.clock.now()))


def decided_since(state, number):
    """Return the parts of a state that are about the sprints from a number on, or not decided yet."""
    runs = [run for run in state.runs if run.sprint >= number]
    patches = [patch for patch in state.patches if patch.sprint >= number or patch.status in {"held", "pending"}]
    return runs, patches


@pytest.mark.parametrize("sprints", [1, 3, 20])
def test_a_state_since_some_sprints_is_that_of_the_whole_log(past, sprints):
    """Runs and patches of these sprints are all there, what waits for a person is, and no sprint is cut short."""
    story, projections = past
    full = whole(past)

    state = reading.state_of(projections, NAMES, rfc3339(story.clock.now()), sprints)

    first = full.sprints[-sprints].number
    assert decided_since(state, first) == decided_since(full, first)
    assert state.sprints[-sprints:] == full.sprints[-sprints:]
    assert [sprint.number for sprint in state.sprints] == [sprint.number for sprint in full.sprints[-20:]]
    assert (state.aside, state.paused, state.unread, state.refused) == (
        full.aside, full.paused, full.unread, full.refused,
    )  # fmt: skip
    assert state.sprint == full.sprint
    assert {key for key in full.reported if key[1] >= first} <= state.reported


def test_sprints_of_any_age_are_summed_up_as_from_the_whole_log(past):
    """Also those whose patches were held, and approved in a later one."""
    story, projections = past
    full, now = whole(past), story.clock.now()
    for before in (None, 25, 9, 2):
        spans = reading.read_spans(projections, 7, before)
        state = reading.read_sprints(projections, spans)
        numbers = [span.number for span in spans]
        shown = [summary(state, sprint, now) for sprint in state.sprints if sprint.number in numbers]
        assert shown == [summary(full, sprint, now) for sprint in full.sprints if sprint.number in numbers]
        assert len(shown) == min(7, (before or 31) - 1)


def test_the_figures_of_a_sprint_are_those_from_the_whole_log(past):
    """With the mail that was sent in it, and the sequential sprint that it is compared with."""
    story, projections = past
    full, now = whole(past), story.clock.now()
    compared = 0
    for sprint in full.sprints[::3]:
        (span,) = reading.read_spans(projections, 1, sprint.number + 1)
        state = reading.read_sprints(projections, [span])
        own, rival = state.sprints[0], reading.read_rival(projections, sprint.base, sprint.personas)
        state = reading.replace(state, sprints=(rival,)) if rival else state
        mails = reading.count_mails(projections, span, own.ended)
        assert mails == sent_in(story.log, sprint)
        assert measure(state, own, now, mails) == measure(full, sprint, now, mails)
        compared += measure(full, sprint, now).measured is not None
    assert compared


def sent_in(log, sprint):
    counts, within = Counter(), False
    for event in log.read():
        if event.kind == "sprint.started" and event.sender == "scheduler":
            within = event.data["sprint"] == sprint.number
        elif event.kind == "sprint.finished":
            within = False
        elif within and event.kind == "mail.sent":
            counts[event.data.get("type") or "note"] += 1
    return dict(counts)


def test_what_is_open_however_old_it_is_is_found(past):
    """Runs without an end, unread mail, and mail of those who left: as a fold over all events tells it."""
    story, projections = past
    started, ended = {}, set()
    marks: dict[tuple[str, str], set[str]] = {}
    letters = []
    for event in story.log.read():
        verb = event.kind.partition(".")[2]
        if event.kind == "run.started":
            started[event.run] = event.seq
        elif event.kind in {"run.finished", "run.lost"} and event.sender == "scheduler":
            ended.add(event.run)
        elif event.kind == "mail.sent":
            letters.append(event)
        elif event.kind.startswith("mail."):
            own = marks.setdefault((event.ref, event.sender), set())
            own.discard(UNDOES[verb]) if verb in UNDOES else own.add(verb)
    open_ = [run for run in started if run not in ended]
    unread = [
        (letter.seq, name)
        for letter in letters
        for name in sorted(letter.recipients)
        if name in NAMES and not marks.get((letter.id, name), set()) & {"read", "archived", "trashed"}
    ]
    lost = [
        letter.seq
        for letter in letters
        if "gone" in letter.recipients and "read" not in marks.get((letter.id, "gone"), ())
    ]

    assert [run.id for run in reading.read_going(projections, None)] == open_
    assert {run.id for run in under_way(projections)} <= {*open_}
    assert [(row["seq"], row["persona"]) for row in projections.rows("unread", roster=[*NAMES])] == unread
    assert [row["seq"] for row in projections.rows("unreachable", roster=[*NAMES])] == lost
    assert unread
    assert lost


def test_what_a_run_did_is_read_by_its_id_alone(past):
    """A run of any age has the patch and the end that the whole log gives it."""
    _, projections = past
    full = whole(past)
    patches = {patch.run: patch for patch in full.patches}
    for run in full.runs[::12]:
        state = fold(fact for fact in reading.read_run_facts(projections, run.id) if fact.data.get("dispatch") is None)
        own = next(each for each in state.runs if each.id == run.id)
        assert own == run
        patch, known = state.patch(run.id), patches.get(run.id)
        assert (patch and (patch.status, patch.files, patch.commit)) == (
            known and (known.status, known.files, known.commit)
        )


def test_a_dispatch_of_any_age_is_found_by_a_task(past):
    """Others are not read for it."""
    _, projections = past
    assert read_dispatch(projections, task="task-3").id == "dispatch-3"
    assert [attempt.run for attempt in read_dispatch(projections, "dispatch-3").of("task-3")] == ["run-of-dispatch-3"]


@pytest.mark.parametrize("size", [1 << 20, 20_000])
def test_who_reads_a_growing_log_reads_what_one_does_who_opens_it(tmp_path, size):
    """No answer rests on what the log was like when the question was first asked, in one file or in several."""
    clock = ManualClock(datetime(2026, 3, 1, tzinfo=UTC))
    log = EventLog(tmp_path / "mail", clock=clock, segment_bytes=size)
    story, lasting = Story(log, clock, 7), FileProjections(log)
    story.tell(story.by("tick.done", idle="nothing"))
    answered = Counter()
    for _ in range(6):
        head, now = log.head().seq, rfc3339(clock.now())
        questions = [
            ("began", {"before": None, "limit": 500}), ("began", {"before": story.number, "limit": 2}),
            ("paused", {"before": head, "limit": 1}), ("held", {"before": head}), ("limited", {"now": now}),
            ("refused", {"now": now, "since": 1}), ("going", {"roster": None}), ("going", {"roster": [*NAMES]}),
            ("ended", {"since": ""}), ("latest", {"roster": [*NAMES], "most": 2}), ("played", {"agents": ["opus"]}),
            ("schedule", {"since": head // 2, "until": head, "lately": 3}), ("mails", {"since": 1, "until": head}),
        ]  # fmt: skip
        named = [(f"scheduler.state.{name}", arguments) for name, arguments in questions]
        named += [("unread", {"roster": [*NAMES]}), ("unreachable", {"roster": [*NAMES]})]
        opened = FileProjections(log)
        for name, arguments in named:
            rows = lasting.rows(name, **arguments)
            assert rows == opened.rows(name, **arguments), (name, arguments)
            answered[name] += bool(rows)
        story.sprint()
        story.run("dee", 1)  # it does not end
        story.tell(Draft("mail.sent", "bob", ("gone",), "Chapter", "Text"))
        story.tell(Draft("scheduler.paused", "you"), story.by("tick.done", idle="paused"))
    assert all(answered.values()), answered


def test_who_has_not_run_lately_is_judged_by_its_last_runs():
    """The last twenty runs of a persona are found behind any number of sprints without it."""
    clock = ManualClock(datetime(2026, 3, 1, tzinfo=UTC))
    log = MemoryLog(clock=clock)
    story, projections = Story(log, clock, 5), MemoryProjections(log)
    for _ in range(12):
        story.sprint()
    full = fold(reading.read_facts(projections, 12))
    recent = fold(reading.read_facts(projections, 1))
    recent = reading.replace(recent, runs=tuple(run for run in recent.runs if run.persona != "cyd"))

    state = reading.with_past(projections, recent, ["cyd", "ann", "nobody"])

    own = [run for run in full.runs if run.persona == "cyd"][-20:]
    assert [run for run in state.runs if run.persona == "cyd"] == own
    assert from_sprint(state, ["cyd"]).items[0].id == "cyd"
    assert estimate([], state.runs).past == 0
    assert reading.read_played(projections, ["opus", "none"]) == {"opus"}
