"""Workers: they claim tasks, have them played, and each task is done once, whatever becomes of a worker."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections import Counter
from contextlib import contextmanager
from pathlib import Path

import pytest
from team_mail.mail.errors import UsageError
from team_mail.mail.open import open_mailbox
from team_mail.scheduler.claims.claims import Claims, NewTask
from team_mail.team.api.worker import WorkRequest, work

from ..console import Started
from ..waiting import until_there

# Tells in a folder outside that it was started, and waits until it may go on.
AGENT = """
cat > /dev/null
echo $TEAM_RUN >> {out}/started
while test -e {out}/wait; do sleep 0.05; done
echo $TEAM_RUN >> {out}/ended
echo "$TEAM_RUN" > "work-$TEAM_RUN"
test "$TEAM_PERSONA" != bob
"""


class Work:
    """A team whose agent leaves a mark for each start and end, and its claims."""

    def __init__(self, team, out):
        self.team, self.out = team, out
        out.mkdir()
        (out / "agent.sh").write_text(AGENT.format(out=out))
        (team.home / "team.toml").write_text(f'[agents.shell]\ncommand = ["sh", "{out}/agent.sh"]\n')
        self.claims = Claims(open_mailbox(team.home))

    def add(self, name, **fields):
        self.claims.add(NewTask(name, to=fields.pop("to", "ann"), **fields), "you")

    def state(self, name):
        moment = self.claims.moment()
        return str(moment.state(moment.task(name)))

    def task(self, name):
        return self.claims.moment().task(name)

    def hold(self):
        (self.out / "wait").touch()

    def go(self):
        (self.out / "wait").unlink()

    def marks(self, name):
        path = self.out / name
        return path.read_text().split() if path.exists() else []

    def start(self, *words):
        """Start a worker as a process of its own."""
        with (self.out / "said").open("ab") as said, Path(os.devnull).open("rb") as nothing:
            env = {name: value for name, value in os.environ.items() if not name.startswith("TEAM_")}
            streams = [nothing.fileno(), said.fileno(), said.fileno()]
            return Started("team", ["worker", *words], self.team.folder, env, streams)


@pytest.fixture
def at_work(team, tmp_path):
    return Work(team, tmp_path / "out")


def test_tasks_are_played_and_done(at_work, team):
    """Each by its persona, in an order that respects what comes after what; the patch is on a branch of the task."""
    at_work.add("poem", input={"lines": 3})
    at_work.add("song", after=["poem"])
    at_work.add("wrong", to="bob")
    at_work.add("anything", to="")
    heard = []
    done = work(WorkRequest(drain=True, slots=2, home=team.home), listener=lambda progress: heard.append(progress.text))
    assert done.document() == {
        "successful": 2, "failed": 1, "late": 0, "released": 0, "returned": 0, "given_back": 0, "interrupted": False,
    }  # fmt: skip
    assert [at_work.state(name) for name in ("poem", "song", "wrong", "anything")] == ["done", "done", "failed", "open"]
    assert len(at_work.marks("ended")) == 3
    end = at_work.task("song").end
    assert end
    files = team.git("ls-tree", "--name-only", end.data["output"]["branch"]).split()
    assert len([name for name in files if name.startswith("work-")]) == 2, "it began with the work of the one before"
    assert any("poem: ann has it" in text for text in heard)
    failed = at_work.task("wrong").end
    assert failed
    assert "exit 1" in failed.error


def test_a_worker_of_one_persona_takes_what_is_for_anybody(at_work, team):
    """Nobody else is told; and a persona that is not on the roster is refused."""
    at_work.add("anything", to="")
    at_work.add("other", to="cyd")
    assert work(WorkRequest(["ann"], drain=True, home=team.home)).succeeded
    assert (at_work.state("anything"), at_work.state("other")) == ("done", "open")
    with pytest.raises(UsageError, match="no persona 'anna'; did you mean ann"):
        work(WorkRequest(["anna"], home=team.home))


def test_a_task_waits_until_one_commit_has_all_that_it_comes_after(at_work, team):
    """Two branches are merged by a person; then it goes on from there."""
    at_work.add("one")
    at_work.add("two")
    at_work.add("both", after=["one", "two"])
    heard = []
    work(WorkRequest(drain=True, home=team.home), listener=lambda progress: heard.append(progress.text))
    assert at_work.state("both") == "open"
    (told,) = [text for text in heard if text.startswith("both: not yet")]
    assert "merge them into main" in told
    for name in ("one", "two"):
        end = at_work.task(name).end
        assert end
        team.git("merge", "--quiet", "--no-edit", end.data["output"]["branch"])
    work(WorkRequest(drain=True, home=team.home))
    assert at_work.state("both") == "done"


def test_a_worker_that_is_ended_gives_its_task_back(at_work, team):
    """The next one goes on with the same dispatch, and the run that was ended is another attempt."""
    at_work.add("poem")
    at_work.hold()
    ends = []

    @contextmanager
    def held(end):
        ends.append(end)
        yield ends

    ended = threading.Thread(target=lambda: (until_there(at_work.out / "started"), ends[0]()))
    ended.start()
    done = work(WorkRequest(home=team.home), interrupts=held)
    ended.join()
    assert (done.document()["released"], done.interrupted, at_work.state("poem")) == (1, True, "open")
    at_work.go()
    assert work(WorkRequest(drain=True, home=team.home)).succeeded
    assert at_work.task("poem").claims[0].why == "its worker was ended"
    assert team.kinds("dispatch") == ["dispatch.started", "dispatch.finished", "dispatch.resumed", "dispatch.finished"]


def test_what_was_taken_away_is_ended_and_not_used(at_work, team):
    """A person forces the claim away: the next renewal sees that, and ends the run."""
    at_work.add("poem")
    at_work.hold()

    def take():
        until_there(at_work.out / "started")
        at_work.claims.take_away("poem", None, "you", "it hangs", force=True)

    taking = threading.Thread(target=take)
    taking.start()
    ends = []

    @contextmanager
    def held(end):
        ends.append(end)
        yield []

    def listen(progress):
        if "given back" in progress.text:
            ends[0]()

    done = work(WorkRequest(home=team.home, lease="1s"), listener=listen, interrupts=held)
    taking.join()
    assert done.document()["released"] == 1
    assert at_work.state("poem") == "open"
    assert at_work.marks("ended") == []


def test_a_killed_worker_loses_no_task_and_none_is_done_twice(at_work):
    """Its runs end with it; the next worker has its tasks at once, goes on with them, and each is done once."""
    for number in range(2):
        at_work.add(f"t{number}")
    at_work.hold()
    worker = at_work.start("--slots", "2")
    try:
        until_there(at_work.out / "started")
        while len(at_work.marks("started")) < 2:
            assert worker.poll() is None
            time.sleep(0.02)
    finally:
        worker.send_signal(signal.SIGKILL)
        worker.wait(60)
    second = at_work.start("--drain", "--slots", "2")
    while not all(len(at_work.task(f"t{number}").claims) == 2 for number in range(2)):
        assert second.poll() is None
        time.sleep(0.02)
    at_work.go()
    assert second.wait(60) == 0, (at_work.out / "said").read_text()
    assert [at_work.state(f"t{number}") for number in range(2)] == ["done", "done"]
    assert sorted(Counter(at_work.marks("ended")).values()) == [1, 1], "the first runs came to no end"
    assert at_work.team.kinds("dispatch").count("dispatch.started") == 2


def test_a_worker_that_was_suspended_beyond_its_lease_is_late(at_work):
    """Another one has done the task meanwhile: what the first one delivers is kept as late, and its work not used."""
    at_work.add("poem")
    at_work.hold()
    first = at_work.start("--lease", "1s")
    try:
        until_there(at_work.out / "started")
        with open_mailbox(at_work.team.home).log.lock:  # else it could be suspended while it holds the lock
            first.send_signal(signal.SIGSTOP)
        at_work.go()
        second = at_work.start("--drain")
        while len(at_work.task("poem").claims) < 2:
            if second.poll() is not None:
                second = at_work.start("--drain")
            time.sleep(0.05)
        assert second.wait(60) == 0, (at_work.out / "said").read_text()
        end = at_work.task("poem").end
        assert end
        assert end.token == at_work.task("poem").claims[1].token
        first.send_signal(signal.SIGCONT)
        while not at_work.task("poem").late:
            assert first.poll() is None
            time.sleep(0.02)
    finally:
        first.send_signal(signal.SIGCONT)
        first.send_signal(signal.SIGTERM)
        first.wait(60)
    (late,) = at_work.task("poem").late
    assert late.token == at_work.task("poem").claims[0].token
    assert late.data["output"]["branch"] != end.data["output"]["branch"]
    assert at_work.task("poem").end == end


@pytest.mark.storm
def test_a_worker_killed_in_each_of_many_tasks(at_work):
    """Each of 100 tasks has its worker killed at a random moment: every one is done once, and none is lost."""
    dice, names = random.Random(5), [f"t{number}" for number in range(100)]
    for name in names:
        at_work.add(name)
    for name in names:
        worker = at_work.start("--drain", "--quiet")
        while not at_work.task(name).claims and worker.poll() is None:
            time.sleep(0.005)
        time.sleep(dice.random() * 0.8)
        worker.send_signal(signal.SIGKILL)
        worker.wait(60)
    last = at_work.start("--drain", "--quiet")
    assert last.wait(600) == 0, (at_work.out / "said").read_text()
    print(Counter(at_work.state(name) for name in names), Counter(len(at_work.task(name).claims) for name in names))
    assert {at_work.state(name) for name in names} == {"done"}
    assert all(at_work.task(name).end for name in names)
