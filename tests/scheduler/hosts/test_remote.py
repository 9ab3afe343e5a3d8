"""What the leader of a team with workers says and does, with workers in threads of this process."""

from __future__ import annotations

import json
import pickle
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from team_mail.mail.errors import UsageError
from team_mail.mail.log.blobs import MemoryBlobs
from team_mail.mail.log.event import Draft, derived_id
from team_mail.mail.process import myself
from team_mail.personas.agent import Assignment, Outcome
from team_mail.personas.capture.commits import Kept
from team_mail.personas.errors import PersonaError
from team_mail.personas.kinds import OutcomeStatus
from team_mail.personas.persona import Persona, parse_persona
from team_mail.personas.setup.preparation import Prepared
from team_mail.personas.spending.usage import Usage
from team_mail.personas.workspace import Captured, Mirror
from team_mail.scheduler.context import Context
from team_mail.scheduler.errors import NotReady
from team_mail.scheduler.hosts.handed import Handed, NotUnderstood, Returned
from team_mail.scheduler.hosts.live import Heard, Telling, put_whole
from team_mail.scheduler.hosts.remote import MOST_EPOCHS, RemoteRunner
from team_mail.scheduler.hosts.worker import GIVEN_BACK, RETURNED, HostWorker
from team_mail.scheduler.limits.routing import Choice
from team_mail.scheduler.progress import Progress
from team_mail.scheduler.runs.launch import Launch
from team_mail.scheduler.runs.run import Batch, RunResult
from team_mail.scheduler.runs.watch import Watch
from team_mail.scheduler.settings.settings import Settings
from team_mail.scheduler.state.facts import Mail, Patch
from team_mail.team.api.sprints import preview_tick, tick
from team_mail.team.api.worker import WorkRequest, work

ANN = Launch("ann", "shell", 1, 1, "batch", "first launch of the sprint")
BATCH = Batch(1, 1, "", "team/sprint-1", 60.0)
GONE = {"host": "elsewhere", "boot": "another", "pid": 7, "start": "1"}


class Leading:
    """A leader with one run in a thread, and all that it says."""

    def __init__(self, context: Context, threads: ThreadPoolExecutor) -> None:
        self.context, self.told, self._heard = context, [], threading.Condition()
        self.watch = Watch(context, threading.Event())
        self._threads = threads

    def run(self, launch: Launch = ANN):
        return self._threads.submit(lambda: RemoteRunner(self.context, self.watch, self.tell).run(launch, BATCH))

    def tell(self, progress: Progress) -> None:
        with self._heard:
            self.told.append(progress.text)
            self._heard.notify_all()

    def until(self, words: str) -> str:
        with self._heard:
            assert self._heard.wait_for(lambda: any(words in text for text in self.told), 20), self.told
            return next(text for text in self.told if words in text)

    def offered(self, epoch: int) -> str:
        """Wait for an epoch of the run to be offered, and return the run."""
        for event in self.context.mailbox.log.follow(0):
            if event.kind == "run.offered" and event.data["epoch"] == epoch:
                return event.run
        raise AssertionError

    def write(self, kind: str, run: str, epoch: int, **data: object) -> None:
        own = derived_id(kind.removeprefix("run."), run, str(epoch))
        self.context.append([Draft(kind, "scheduler", run=run, data={"epoch": epoch, "worker": GONE, **data}, id=own)])

    def data(self, kind: str) -> list[dict]:
        return [event.data for event in self.context.mailbox.log.read() if event.kind == kind]


@pytest.fixture
def leading(team) -> Iterator[Leading]:
    (team.home / "personas" / "ann.md").write_text("---\nid: ann\nlabels: [gpu, big]\n---\nDo your part.\n")
    context = team.context({"ann": lambda job: None}, '[workers]\noffer = true\npatience = "0.1s"\n')
    with ThreadPoolExecutor(2) as threads:
        leading = Leading(context, threads)
        with leading.watch:
            yield leading
            leading.watch.end()


@pytest.mark.parametrize(
    ("own", "mail", "priority"),
    [(0, (), "normal"), (7, (), "high"), (-1, ("normal", "low"), "low"), (-1, ("low", "urgent", "high"), "urgent")],
)
def test_a_run_is_as_urgent_as_its_mail_or_its_persona(leading, own, mail, priority):
    """Workers take the most urgent first, as a scheduler launches on its own machine."""
    ann = parse_persona(f"---\nid: ann\npriority: {own}\n---\nDo your part.\n", Path("ann.md"))
    leading.context = replace(leading.context, roster=leading.context.roster._replace(personas=(ann,)))
    letters = [Mail("ann", 1, "m", "", "bob", "", "note", each, None) for each in mail]
    leading.run(replace(ANN, mail=tuple(letters)))
    leading.offered(1)
    assert [data["priority"] for data in leading.data("run.offered")] == [priority]


def test_it_is_said_once_what_would_take_a_run_that_nobody_takes(leading):
    """The words are a command that can be copied; the run waits on."""
    result = leading.run()
    said = leading.until("no worker")
    assert said == (
        "ann (attempt 1): no worker with agent shell and labels gpu,big has taken it; it waits: "
        "team worker --agents shell --labels gpu,big"
    )
    assert not result.done()
    leading.watch.end()
    assert result.result(20).given_up
    assert sum("no worker" in text for text in leading.told) == 1
    assert [data["why"] for data in leading.data("run.recalled")] == ["its scheduler ends it"]
    assert [data["orderly"] for data in leading.data("run.lost")] == [True]


def test_a_dry_run_says_that_runs_are_offered(leading):
    """Where the log is in files nobody knows of workers, so it says which command is one."""
    notes = " ".join(preview_tick(leading.context).plan.notes)
    assert "offered to workers, each of them a `team worker` in this folder" in notes


def test_a_run_that_no_worker_returns_is_given_up_in_the_end(leading):
    """What is wrong may be the run itself: it must not end one host after the other."""
    result = leading.run()
    for epoch in range(1, MOST_EPOCHS + 1):
        run = leading.offered(epoch)
        leading.write("run.taken", run, epoch)
    assert result.result(20).given_up
    (lost,) = leading.data("run.lost")
    assert lost["why"] == "5 workers did not return it; of the last one: its worker is gone (process 7 on elsewhere)"
    assert not lost["orderly"]


def test_what_an_old_epoch_returns_counts_for_nothing(leading):
    """A worker that was given up may come back; its run has been offered to another one."""
    result = leading.run()
    run = leading.offered(1)
    leading.write("run.taken", run, 1)
    leading.offered(2)
    blobs = leading.context.mailbox.blobs
    old, new = (Returned.of(blobs, RunResult(Outcome("ok", 0, 1.0, text)), None).put(blobs) for text in ("old", "new"))
    leading.write("run.returned", run, 1, result=old, why="")
    leading.write("run.taken", run, 2, worker=myself())
    leading.write("run.returned", run, 2, result=new, why="", worker=myself())
    assert result.result(20).outcome.detail == "new"
    assert [data["detail"] for data in leading.data("run.finished")] == ["new"]


def test_mail_and_reports_that_are_not_the_runs_own_are_not_written(leading):
    """A worker that was taken over returns what it likes; the leader writes for that run and its persona alone."""
    result = leading.run()
    run, blobs = leading.offered(1), leading.context.mailbox.blobs
    forged = [
        Draft("run.finished", "scheduler", run=run, data={"status": "ok"}),
        Draft("report.given", "scheduler", run="another", data={}),
        Draft("report.given", "weaver", run=run, data={}),
    ]
    asked = ("What?", "m", Draft("mail.sent", "weaver", ("ann",), "Do it", run=run))
    returned = Returned.of(
        blobs, RunResult(Outcome("ok", 0, 1.0, "exit 0")), b"out", reports=tuple(forged), asked=asked
    )
    leading.write("run.taken", run, 1, worker=myself())
    leading.write("run.returned", run, 1, worker=myself(), result=returned.put(blobs), why="")
    assert result.result(20).outcome.status == "ok"
    written = [event.kind for event in leading.context.mailbox.log.read()][-1:]
    assert written == ["run.finished"]
    assert not leading.data("report.given")
    assert not leading.data("mail.sent")
    assert (leading.context.home / "runs" / run / "output.log").read_bytes() == b"out"


BIG, DEEP = "x" * (2 << 20), json.loads("[" * 100 + "]" * 100)
CAPTURED = {"patch": "", "files": ["a"], "insertions": 1, "deletions": 0}
KEPT = {"where": "a\0b", "heads": ["\x1b[2J"] * 3000, "commits": 2**70, "bundle": "eA=="}


@pytest.mark.parametrize(
    "changes",
    [
        {"outcome": {"detail": BIG}}, {"outcome": {"detail": "a\0b"}}, {"outcome": {"detail": "\ud800"}},
        {"outcome": {"seconds": float("inf")}}, {"outcome": {"seconds": float("nan")}},
        {"outcome": {"seconds": -1e300}},
        {"outcome": {"exit": 2**70}}, {"outcome": {"output": DEEP}}, {"outcome": {"output": BIG}},
        {"outcome": {"usage": {"input": -5, "output": 2**70, "usd": float("nan")}}},
        {"outcome": {"usage": {"usd": -1e9, "input": -1, "output": -1}}},
        {"outcome": {"usage": {"model": BIG, "session": "a\0b"}}},
        {"outcome": {"until": "0001-01-01T00:00:00+14:00"}}, {"outcome": {"until": "2026-01-01T00:00:00"}},
        {"outcome": {"status": "stopped"}}, {"outcome": {"base": "--output=/tmp/x"}},
        {"given_up": True, "lost": BIG}, {"given_up": True, "lost": "a\0b"}, {"given_up": True},
        {"captured": CAPTURED, "base": "--upload-pack=x"}, {"captured": CAPTURED | {"files": [BIG, "a\0b", "../x"]}},
        {"captured": CAPTURED | {"insertions": 2**70, "deletions": -3}},
        {"captured": CAPTURED | {"notes": [BIG, "\0"]}},
        {"captured": CAPTURED | {"kept": [KEPT], "asks": True}}, {"captured": CAPTURED | {"kept": [KEPT] * 300}},
        {"captured": CAPTURED | {"trouble": [BIG]}},
        {"read": ["no id", BIG, "a\0b"]}, {"read": ["x"] * 20_000}, {"resumed": BIG}, {"resumed": "a\0b"},
        {"unsent": [["../../x", "eA==", BIG], ["a\0b", "eA==", "\0"]]}, {"unsent": [["", "", ""]] * 3000},
        {"asked": ["What?", BIG, None]}, {"asked": ["a\0b", "no id", None]},
        {"output": "../../../etc/passwd"}, {"patch": "../x", "captured": CAPTURED}, {"output": "0" * 64},
        {"reports": [{"kind": "report.given", "sender": "scheduler", "run": "RUN", "data": {"a": DEEP}}]},
        {"reports": [{"kind": "report.given", "sender": "scheduler", "run": "RUN", "id": "no id"}]},
        {"reports": [{"kind": "report.given", "sender": "scheduler", "run": "RUN", "body": BIG}]},
    ],
    ids=lambda changes: json.dumps(changes)[:60],
)  # fmt: skip
def test_whatever_a_worker_returns_its_run_has_one_end_and_its_leader_goes_on(leading, changes):
    """It may be of somebody who took the worker over, and is no more than one run that came to nothing."""
    result = leading.run()
    run, blobs = leading.offered(1), leading.context.mailbox.blobs
    plain = Returned.of(blobs, RunResult(Outcome("ok", 0, 1.0, "exit 0", usage=Usage(1, 1, 1))), b"out")
    document = json.loads(plain.model_dump_json())
    for name, value in json.loads(json.dumps(changes).replace('"RUN"', json.dumps(run))).items():
        if name == "outcome":
            usage = document["result"]["outcome"]["usage"] | value.get("usage", {})
            document["result"]["outcome"] |= value | {"usage": usage}
        elif name in document["result"]:
            document["result"][name] = value
        else:
            document[name] = value
    if document["result"]["captured"] and not document["patch"]:
        document["patch"] = blobs.put(b"no patch").sha256
    leading.write("run.taken", run, 1, worker=myself())
    leading.write(
        "run.returned", run, 1, worker=myself(), result=blobs.put(json.dumps(document).encode()).sha256, why=""
    )
    ended = result.result(20)
    assert len(leading.data("run.finished") + leading.data("run.lost")) == 1, ended
    tokens = [each["usage"] for each in leading.data("run.finished")]
    assert all(value >= 0 for usage in tokens for value in usage.values() if isinstance(value, int | float))
    assert not any(data.get("base", "").startswith("-") for data in leading.data("patch.captured"))


@pytest.mark.parametrize("worker", [{"boot": []}, {"pid": {}}, {"boot": myself()["boot"], "pid": -1}, {"x": 1}])
@pytest.mark.parametrize("result", ["", "../../x", "0" * 64, "x"])
def test_whoever_says_that_it_has_a_run_may_be_nobody(leading, worker, result):
    """Then it counts as gone, and the run is offered again; or what it returns cannot be read."""
    leading.run()
    run = leading.offered(1)
    leading.write("run.taken", run, 1, worker=worker)
    if result:
        leading.write("run.returned", run, 1, worker=worker, result=result, why="")
        end = leading.until("ann")
        assert end
    else:
        assert leading.offered(2) == run


def test_what_cannot_be_read_is_lost_and_says_so(leading):
    """The result of another version, or a blob that is gone."""
    result = leading.run()
    run, blobs = leading.offered(1), leading.context.mailbox.blobs
    leading.write("run.taken", run, 1, worker=myself())
    leading.write("run.returned", run, 1, worker=myself(), result=blobs.put(b'{"v": 99}').sha256, why="")
    assert "what its worker returned cannot be read" in result.result(20).lost


def test_a_worker_gives_back_what_it_does_not_understand_and_takes_it_no_more(leading):
    """Another one may be newer."""
    worker = HostWorker(leading.context, frozenset({"shell"}), frozenset({"gpu", "big"}), drain=True)
    data = {
        "persona": "ann", "epoch": 1, "base": "", "agent": "shell", "labels": [], "priority": "normal",
        "timeout": 60.0, "job": leading.context.mailbox.blobs.put(b"{}").sha256, "bundle": "",
    }  # fmt: skip
    leading.context.append([Draft("run.offered", "scheduler", run="r", data=data)])
    assert worker.run() == {GIVEN_BACK: 1}
    leading.context.append([Draft("run.offered", "scheduler", run="r", data=data | {"epoch": 2})])
    assert len(leading.data("run.taken")) == 1


TEXTS = st.text(st.characters(codec="utf-8"), max_size=8)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3), max_leaves=6,
)  # fmt: skip
LAUNCHES = st.builds(
    Launch, TEXTS, TEXTS, st.integers(1, 9), st.integers(0, 9), TEXTS, TEXTS,
    mail=st.lists(
        st.builds(Mail, TEXTS, st.integers(1, 99), *[TEXTS] * 6, st.none() | TEXTS), max_size=2
    ).map(tuple),
    estimate=st.none() | st.floats(0, 1e6), timeout=st.none() | st.floats(1, 1e6), last_attempt=st.booleans(),
    assignment=st.none() | st.builds(Assignment, TEXTS, TEXTS, TEXTS, st.dictionaries(TEXTS, JSON, max_size=3)),
    previous=st.none() | st.builds(
        Patch, TEXTS, TEXTS, st.integers(0, 9), TEXTS, TEXTS, st.integers(0, 9), st.integers(0, 9), TEXTS, TEXTS,
        files=st.lists(TEXTS, max_size=2).map(tuple), why=TEXTS,
    ),
    route=st.none() | st.builds(Choice, TEXTS, TEXTS, agents=st.lists(TEXTS, max_size=2).map(tuple)),
    answer_only=st.booleans(),
)  # fmt: skip
OUTCOMES = st.builds(
    Outcome, st.sampled_from(OutcomeStatus), st.none() | st.integers(0, 255), st.floats(0, 1e6), TEXTS,
    cut=st.booleans(), output=JSON, until=st.none() | st.datetimes(timezones=st.just(UTC)), hopeless=st.booleans(),
    usage=st.builds(Usage, st.none() | st.integers(0, 10**9), st.none(), st.none() | st.integers(0, 10**9)),
)  # fmt: skip
RESULTS = st.builds(
    RunResult, OUTCOMES,
    st.none() | st.builds(
        Captured, st.binary(max_size=40), st.lists(TEXTS, max_size=3).map(tuple), st.integers(0, 9), st.integers(0, 9),
        notes=st.lists(TEXTS, max_size=2).map(tuple), asks=st.booleans(),
        kept=st.lists(
            st.builds(Kept, TEXTS, st.lists(TEXTS, max_size=2).map(tuple), st.integers(0, 9), st.binary(max_size=20)),
            max_size=2,
        ).map(tuple),
    ),
    base=st.sampled_from(["", "0" * 40]),
    prepared=st.none() | st.builds(Prepared, outcome=st.none() | OUTCOMES, output=st.binary(max_size=20)),
)  # fmt: skip


@given(LAUNCHES, st.builds(Batch, st.integers(0, 9), st.integers(0, 9), TEXTS, TEXTS, st.none() | st.floats(0, 1e6)))
def test_what_is_offered_is_nothing_but_values(launch, batch):
    """JSON of it is the same launch and batch again, and so is what a pool of processes would be given."""
    team = [Persona(launch.persona, "Name", "prompt", paths=("a/**",), extra={"mode": "x"}, source=Path("/x"))]
    handed = Handed.of(launch, batch, mail=["m1"], team=team, settings=Settings(), session="s")
    again = Handed.parsed(handed.model_dump_json().encode())
    assert again == handed
    assert again.launch == replace(launch, mail=())
    assert again.batch == batch
    assert pickle.loads(pickle.dumps((launch, batch))) == (launch, batch)
    assert "/x" not in handed.model_dump_json(), "no path of this host"


@given(RESULTS, st.binary(max_size=50))
def test_what_is_returned_is_nothing_but_values(result, output):
    """The patch is a blob, and the same result again with it."""
    blobs = MemoryBlobs()
    returned = Returned.of(blobs, result, output, read=("m1",))
    again = Returned.parsed(blobs.read(returned.put(blobs)))
    assert again.whole(blobs) == result
    assert blobs.read(again.output) == output
    assert pickle.loads(pickle.dumps(result)) == result


@pytest.mark.parametrize("data", [b"", b"[]", b'{"v": 1}', b'{"v": 2}', b"\xff"])
def test_what_is_no_document_is_not_understood(data):
    """It may be of another version, or of somebody else."""
    for kind in (Handed, Returned):
        with pytest.raises(NotUnderstood):
            kind.parsed(data)


@pytest.mark.parametrize(
    ("labels", "said"),
    [("[GPU]", "has 'GPU'"), ("[a, b, c, d, e, f, g]", "has 7 labels; write 6 at most"), ("gpu", None)],
)
def test_labels_of_a_persona_are_few_plain_words(labels, said):
    """They are part of the names of queues."""
    text = f"---\nlabels: {labels}\n---\nWork.\n"
    if said:
        with pytest.raises(PersonaError, match=said):
            parse_persona(text, Path("ann.md"))
    else:
        assert parse_persona(text, Path("ann.md")).labels == ("gpu",)


def said(epoch: int, **more: object) -> str:
    return json.dumps({"run": "r", "epoch": epoch, **more})


def test_output_that_comes_out_of_order_is_put_where_it_belongs(tmp_path):
    """A piece that is lost leaves a line; the whole takes its place, and whoever follows the file reads on."""
    from base64 import b64encode

    used = []
    heard = Heard(tmp_path, "here", lambda run: 1 if run == "r" else None, lambda *said: used.append(said))
    for at, text in ((0, b"one\n"), (4, b"two\n"), (4, b"two\n"), (12, b"four\n")):
        heard.take(said(1, at=at, output=b64encode(text).decode()))
    heard.take(said(1, usage={"input": 5}))
    for junk in ("", "7", "[]", '{"run": "r"}', said(2, output="eA=="), said(1, output="!!!", at=-1), said(1, at="x")):
        heard.take(junk)
    log = tmp_path / "runs" / "r" / "output.log"
    shown = log.read_text().splitlines()
    assert [shown[0], shown[1], shown[-1]] == ["one", "two", "four"]
    assert "left out" in shown[3]
    assert [(run, usage.input) for run, usage in used] == [("r", 5)]
    assert (tmp_path / "runs" / "r" / "heartbeat").exists()
    put_whole(log.parent, b"one\ntwo\nthree\nfour\n")
    assert log.read_text() == "one\ntwo\nthree\nfour\n"
    inode = log.stat().st_ino
    put_whole(log.parent, b"one\ntwo\nthree\nfour\nfive\n")
    assert (log.stat().st_ino, log.read_text()[-5:]) == (inode, "five\n")


class Words:
    """Words that are heard at once."""

    def __init__(self, heard: Heard) -> None:
        self.say = heard.take

    def hear(self, stop: threading.Event) -> Iterator[str]:
        del stop
        return iter(())

    def close(self) -> None:
        pass


@pytest.mark.parametrize(("place", "kept"), [("here", b"one\n"), ("elsewhere", b"one\none\n")])
def test_what_a_worker_of_the_leaders_own_folder_prints_is_in_its_file_once(tmp_path, place, kept):
    """What it says comes from the file in which the leader keeps what others say: kept, it would be said again."""
    used = threading.Event()
    heard = Heard(tmp_path, "here", lambda _: 1, lambda _, usage: used.set() if usage.input == 5 else None)
    folder = tmp_path / "runs" / "r"
    folder.mkdir(parents=True)
    (folder / "output.log").write_bytes(b"one\n")
    (folder / "usage.json").write_text(json.dumps(Usage(5, 0, 0).document()))
    with Telling(Words(heard), place) as telling:
        telling.begin("r", 1, folder)
        assert used.wait(20)
        telling.end("r")
    assert (folder / "output.log").read_bytes()[: len(kept)] == kept
    assert (place != "here") or not (folder / "heartbeat").exists()


def test_a_tick_ends_while_its_runs_go_on_and_a_later_one_takes_what_came_of_them(leading):
    """Whoever starts `scheduler tick` by cron leaves its runs with the workers."""
    context = leading.context
    assert tick(context).left
    assert len(leading.data("run.offered")) == 3
    assert not leading.data("run.finished")
    home = context.home.with_name(".elsewhere")
    theirs = replace(context, home=home, mirror=Mirror(context.git.directory, home / "workspaces"))
    worker = HostWorker(theirs, frozenset({"shell"}), frozenset({"gpu", "big"}), slots=3, drain=True)
    assert worker.run() == {RETURNED: 3}
    tick(context)
    assert [data["status"] for data in leading.data("run.finished")] == ["ok"] * 3
    assert len(leading.data("run.started")) == 3


def test_an_agent_need_not_be_there_where_the_leader_is(team):
    """Its program is wherever the workers are; its table is in the settings of both."""
    context = team.context({}, '[agents.far]\ncommand = ["no-such-program"]\n[workers]\noffer = true\n')
    assert context.troubles(["far"], "") == []
    assert context.agents["far"].trouble()
    with pytest.raises(NotReady, match="no-such-program"):
        work(WorkRequest(home=context.home, agents=["far"]))
    with pytest.raises(UsageError, match="label 'GPU'"):
        work(WorkRequest(home=context.home, agents=["scripted"], labels=["GPU"]))
