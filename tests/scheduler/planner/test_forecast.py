"""A roadmap for the next sprint, forecast from the log of past ones: the same personas, files and durations."""

import json

import pytest
from team_mail.scheduler.errors import NotReady
from team_mail.scheduler.planner.forecast import LATEST, from_sprint
from team_mail.scheduler.planner.item import Phase
from team_mail.scheduler.planner.overlap import overlaps
from team_mail.scheduler.planner.to_tasks import work_order
from team_mail.scheduler.planner.work_plan import draw
from team_mail.scheduler.state.facts import Fact
from team_mail.scheduler.state.fold import fold
from team_mail.scheduler.state.sprints import State
from team_mail.scheduler.tasks.reader import read_input


class Log:
    """A log told run by run; each is launched, captured and finished in one go."""

    def __init__(self):
        self.facts: list[Fact] = []

    def tell(self, kind, run, **data):
        seq = len(self.facts) + 1
        self.facts.append(Fact(seq, f"2026-01-01T09:{seq:02}:00Z", kind, "scheduler", None, run, data, f"{seq:032x}"))

    def run(self, persona, *, files=(), seconds: float | None = 60.0, status="ok", sprint=1):
        run = f"run-{len(self.facts)}"
        data = {"sprint": sprint, "persona": persona}
        self.tell(
            "run.started", run, **data, attempt=1, tick=1, base="b" * 40, agent="shell", reason="", mail=[],
            supervisor={},
        )  # fmt: skip
        if files:
            self.tell("patch.captured", run, **data, patch={"sha256": "a" * 64, "size": 9}, files=list(files))
        if seconds is not None:
            self.tell("run.finished", run, **data, status=status, seconds=seconds, detail="")
        return self

    @property
    def state(self) -> State:
        return fold(self.facts)


def forecast(log):
    return {item.id: item for item in from_sprint(log.state).items}


def test_a_forecast_has_each_personas_files_and_median_duration():
    """The files of its latest patches come first; the duration is the median of its successful runs."""
    log = Log().run("ann", files=["a.py", "b.py"], seconds=60).run("bob", seconds=30, sprint=2)
    log.run("ann", files=["b.py", "c.py"], seconds=90).run("ann", seconds=600, status="failed").run("ann", seconds=80)

    roadmap = forecast(log)

    assert list(roadmap) == ["ann", "bob"]
    assert (roadmap["ann"].files, roadmap["ann"].estimate) == (("b.py", "c.py", "a.py"), 80)
    assert (roadmap["bob"].files, roadmap["bob"].estimate) == ((), 30)
    assert from_sprint(log.state).phases == (Phase(""),)


def test_only_the_latest_patches_count():
    """Files of older patches are left out."""
    log = Log()
    for number in range(LATEST + 2):
        log.run("ann", files=[f"{number}.py"])

    assert forecast(log)["ann"].files == ("6.py", "5.py", "4.py", "3.py", "2.py")


def test_a_persona_without_success_is_forecast_by_its_patch():
    """With a patch, its failed runs give the duration; without patch and success, it is left out."""
    log = Log().run("ann", files=["a.py"], seconds=40, status="failed").run("bob", seconds=50, status="failed")
    log.run("cyd", files=["c.py"], seconds=50, status="timeout").run("dan", files=["d.py"], seconds=None)

    roadmap = forecast(log)

    assert list(roadmap) == ["ann"]
    assert roadmap["ann"].estimate == 40


def test_runs_of_dispatches_are_ignored():
    """They show how long a task took, not a persona's usual work."""
    log = Log().run("ann", files=["a.py"], sprint=0).run("bob", files=["b.py"])

    assert list(forecast(log)) == ["bob"]


def test_file_names_are_taken_literally():
    """A name that looks like a glob is one file, and overlaps only with itself."""
    log = Log().run("ann", files=["app/[id]/page.tsx"]).run("bob", files=["app/[id]/page.tsx"])
    log.run("cyd", files=["app/i/page.tsx", "what?.txt"]).run("dan", files=["whats.txt"])

    shared = overlaps(from_sprint(log.state))

    assert [(overlap.left, overlap.right, overlap.ordered) for overlap in shared] == [("ann", "bob", False)]


def test_a_forecast_with_any_file_names_can_be_dispatched():
    """A character that no glob can hold becomes `?`."""
    odd = ["a\\b", "new\nline", ":top", "!not"]
    foretold = from_sprint(Log().run("forge", files=odd).state)

    given = read_input(json.dumps(work_order(draw(foretold, ())).document).encode(), ["forge"])

    assert given.tasks[0].files[:4] == ("a?b", "new?line", "?top", "?not")


def test_personas_that_left_are_not_forecast():
    """The next sprint is that of its participants."""
    log = Log().run("ann").run("bob")
    assert [item.id for item in from_sprint(log.state, ["bob", "cyd"]).items] == ["bob"]


def test_a_team_without_past_sprints_has_no_forecast():
    """The error says what to do instead."""
    with pytest.raises(NotReady, match="run a sprint first"):
        from_sprint(State())
    with pytest.raises(NotReady):
        from_sprint(Log().run("ann", seconds=None).state)
