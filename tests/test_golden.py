"""A team that an earlier version left behind, read and gone on with: what was written once is readable for ever.

What is in `tests/golden/`, and why none of it is ever made anew to let a test pass, is told in its README.md. Only the
console scripts are used here, never a module, so that the code may be rebuilt around the data.

Some figures depend on the moment at which they are asked for, because a sprint is still open: `MOVING` names them, and
they are left out of the comparison.
"""

from __future__ import annotations

import hashlib
import json
import mailbox
import os
import shutil
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from team_mail.mail.log.event import Draft
from team_mail.mail.log.log import EventLog

from .console import as_text, run_command

GOLDEN = Path(__file__).parent / "golden"
BIN = Path(sys.executable).parent
CLEAN = {
    name: value
    for name, value in os.environ.items()
    if not name.startswith(("TEAM_", "_TEAM", "PYTHON", "EDITOR", "VISUAL", "GIT_", "COV"))
} | {
    "GIT_AUTHOR_NAME": "Team", "GIT_AUTHOR_EMAIL": "team@example.org", "GIT_COMMITTER_NAME": "Team",
    "GIT_COMMITTER_EMAIL": "team@example.org", "GIT_CONFIG_GLOBAL": "/dev/null",
}  # fmt: skip
KEYS = [
    "v", "seq", "id", "ts", "kind", "sender", "recipients", "subject", "body", "thread", "reply_to", "priority", "ref",
    "run", "data", "prev", "hash",
]  # fmt: skip
# Every kind of event, with the keys that its data have.
DATA = {
    "dispatch.finished": "dispatch failed seconds successful",
    "dispatch.resumed": "dispatch supervisor",
    "dispatch.started": "agent base branch config dispatch supervisor tasks tasks_blob",
    "gate.judged": "commit dispatch exit gate mark passed score seconds sprint tick tree tries",
    "log.opened": "format",
    "log.recovered": "bytes quarantine",
    "log.repaired": "gaps",
    "log.sealed": "",
    "mail.acked": "",
    "mail.archived": "",
    "mail.bounced": "recipient",
    "mail.read": "",
    "mail.restored": "",
    "mail.sent": "attachments body_blob cc due key of payload recipient type",
    "mail.tagged": "tag",
    "mail.trashed": "",
    "mail.unarchived": "",
    "mail.unread": "",
    "mail.untagged": "tag",
    "patch.approved": "",
    "patch.captured": "deletions dispatch files insertions patch persona sprint task",
    "patch.conflicted": "dispatch files persona signature tick tip",
    "patch.held": "files persona tick why",
    "patch.landed": "commit dispatch files how persona tick",
    "patch.refused": "persona tick why",
    "patch.rejected": "gate persona tick why",
    "persona.skipped": "persona sprint why",
    "run.finished": "cut detail dispatch exit output persona result result_blob seconds sprint status task",
    "run.lost": "dispatch orderly persona task why",
    "run.started": "agent attempt base dispatch input input_blob mail persona reason sprint supervisor task tick",
    "run.stopped": "",
    "scheduler.paused": "",
    "scheduler.resumed": "",
    "sprint.finished": "outcome sprint",
    "sprint.started": "base base_branch branch id mode personas reason rule sprint",
    "task.finished": "dispatch error persona status task",
    "tick.done": "head idle launched mode seen sprint tick until",
    "weave.done": "conflicts dispatch order sprint start tick tip",
}
DIGEST = "54df195672a897e137437ac2023d67d4e0e5efde95e0be01b92fe202e3eae961"  # of all that is in team/
# By command: paths into its JSON, `*` for each of a list, that tell how long ago something began.
MOVING = {
    "status": ("sprint.seconds", "runs.*.since", "held.*.unsigned"),
    "history": ("*.seconds",),
    "report 3": (
        "wall", "busy", "bars.*.end", "bars.*.seconds", "measured.ratio", "speedup", "personas.*.seconds",
        "personas.*.waiting",
    ),
}  # fmt: skip
NEWER = {"agents.shell.litter", "workspace.root"}  # settings that there were none of then
PLACE = "/tmp/golden-team"  # where it was made, as some answers say
LONGEST = timedelta(days=366)  # no sprint may take longer, whatever its settings say


def events_in(mail: Path) -> list[dict]:
    files = [*sorted(mail.glob("segments/*.jsonl")), mail / "events.jsonl"]
    return [json.loads(line) for path in files for line in path.read_bytes().splitlines()]


LOG = events_in(GOLDEN / "team" / "mail")
DISPATCHES = [event["data"]["dispatch"] for event in LOG if event["kind"] == "dispatch.started"]


class Golden:
    """A copy of the golden team, and the commands."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = folder / ".team"
        folder.mkdir()
        self.git("init", "--quiet", "--initial-branch=main")
        self.git("fetch", "--quiet", "--update-head-ok", str(GOLDEN / "repository.bundle"), "refs/*:refs/*")
        self.git("reset", "--quiet", "--hard")
        shutil.copytree(GOLDEN / "team", self.home)

    def run(self, command: str, *words: str) -> subprocess.CompletedProcess[str]:
        return as_text(run_command(command, *words, cwd=self.folder, env=CLEAN))

    def document(self, command: str, *words: str, code: int = 0):
        ended = self.run(command, *words, "--json")
        assert ended.returncode == code, ended.stderr
        return json.loads(ended.stdout)

    def ask(self, command: str, questions: list[list[str]], *, copies: bool = True) -> list:
        """Return what each question to a command is answered, as JSON; without the Parquet copies if so said."""
        answers = []
        for words in questions:
            for copy in [] if copies else self.home.glob("mail/segments/*.parquet"):
                copy.unlink()
            answers.append(json.loads(self.run(command, *words, "--json").stdout))
        return answers

    def git(self, *words: str) -> str:
        return subprocess.run(
            ["git", *words], cwd=self.folder, env=CLEAN, check=True, capture_output=True, text=True
        ).stdout.strip()

    def events(self) -> list[dict]:
        return events_in(self.home / "mail")

    def news(self, *kinds: str) -> list[dict]:
        """Return the events of some kinds that are not in the golden log itself."""
        known = {event["id"] for event in LOG}
        return [event for event in self.events() if event["kind"] in kinds and event["id"] not in known]

    def log(self) -> bytes:
        return (self.home / "mail" / "events.jsonl").read_bytes()


@pytest.fixture
def golden(tmp_path: Path) -> Golden:
    return Golden(tmp_path / "project")


def recorded(command: str) -> list[dict]:
    return json.loads((GOLDEN / "expected" / f"{command}.json").read_text())


def without(document, path: str):
    """Return a document without what stands at a path."""
    step, _, rest = path.partition(".")
    if step == "*":
        return [without(item, rest) for item in document]
    if not rest:
        return {key: value for key, value in document.items() if key != step}
    return document | {step: without(document[step], rest)}


def known_then(document):
    """Return a document without what was not told then: runs vouch for mail, which came through no channel."""
    items = document if isinstance(document, list) else [document]
    for item in items:
        assert item.pop("verified", True) is True
        assert item.pop("channel", None) is None
        assert (item.pop("teams", {}), item.pop("channels", {})) == ({}, {})
        assert not item.pop("waiting", ())
        assert item.pop("parked", {}) == {}
        assert item.pop("claimed", []) == []
    return document


def before_usage(document):
    """Return a document without what runs used, which no event said then: no sum may know a figure of theirs."""
    if isinstance(document, list):
        return [before_usage(item) for item in document]
    if not isinstance(document, dict):
        return document
    sums = document.get("usage", {})
    assert "tokens_unknown" not in sums or (sums["input"], sums["usd"], sums["usd_unknown"]) == (
        None,
        None,
        sums["runs"],
    )
    assert document.get("usd_per_patch") is None
    newer = {"usage", "usd_per_patch"} | ({"landed"} if isinstance(document.get("landed"), int) else set())
    assert document.get("instead_of", []) == []
    assert document.get("route") is None
    assert document.get("agents", [document.get("agent")]) == [document.get("agent")]
    assert (document.get("unjudged", []), document.get("gates", [])) == ([], [])
    newer |= {"unjudged", "gates"}
    newer |= {"route", "instead_of", "agents"} | (
        {"agent", "places", "worker"} if {"since", "attempt"} <= {*document} else set()
    )
    return {key: before_usage(value) for key, value in document.items() if key not in newer}


def comparable(words: list[str], document):
    """Return a document without what depends on the moment, its numbers rounded: Python 3.12 adds floats better."""
    document = before_usage(document)
    for path in MOVING.get(" ".join(words), ()):
        document = without(document, path)
    if words[:1] != ["config"]:
        document = known_then(document)
    if words[:1] == ["config"]:
        document = {key: value for key, value in document.items() if key not in NEWER}
    return json.loads(json.dumps(document), parse_float=lambda text: round(float(text), 9))


def same(golden: Golden, command: str, cases: list[dict], **how) -> None:
    """Ask again what was asked then, and expect the same answers, and not a byte of the log changed."""
    before = golden.log()
    answers = golden.ask(command, [case["words"] for case in cases], **how)
    for case, answer in zip(cases, answers, strict=True):
        expected = json.loads(json.dumps(case["output"]).replace(PLACE, str(golden.folder)))
        if case["words"] == ["config"]:  # a setting that is new since then has its default
            assert {answer.pop(key)["from"] for key in {*answer} - {*expected}} <= {"default"}
        if case["words"] == ["status"]:  # what it did not tell then
            assert answer.pop("dispatches")[0]["cut_off"]
            assert answer.pop("needs")
            assert answer.pop("tasks") == []
        assert comparable(case["words"], answer) == comparable(case["words"], expected), [command, *case["words"]]
    assert golden.log() == before


def too_late() -> bool:
    """Tell whether the open sprint is older than any sprint may become: then it can only end by its deadline."""
    (started,) = (e["ts"] for e in LOG if e["kind"] == "sprint.started" and e["data"]["sprint"] == 3)
    return datetime.now(UTC) - datetime.fromisoformat(started) >= LONGEST


# -- what is there


def test_the_golden_log_holds_every_kind_with_all_its_data():
    """A golden set without the interesting kinds would prove nothing; nor would one that somebody has changed."""
    data_of: dict[str, set[str]] = {}
    for event in LOG:
        data_of.setdefault(event["kind"], set()).update(event["data"])
        assert [*event] == KEYS
        assert event["v"] == 1
    assert {kind: " ".join(sorted(keys)) for kind, keys in data_of.items()} == DATA
    digest = hashlib.sha256()
    for path in sorted(path for path in (GOLDEN / "team").rglob("*") if path.is_file()):
        digest.update(f"{path.relative_to(GOLDEN).as_posix()}\0".encode() + path.read_bytes())
    assert digest.hexdigest() == DIGEST


# -- what is read of it


def test_the_mail_reads_as_it_did(golden):
    """Inboxes, threads, searches, what was sent and how far it got; Parquet copies are made on the way."""
    same(golden, "team-mail", recorded("team-mail"))
    assert [*golden.home.glob("mail/segments/*.parquet")]


def test_the_mail_reads_as_it_did_where_there_are_no_copies(golden):
    """The lines alone are enough: a Parquet copy is a cache."""
    asked = (["inbox", "-p", "jon", "--all"], ["stats"], ["search", "日本語"])
    same(golden, "team-mail", [case for case in recorded("team-mail") if case["words"] in asked], copies=False)


def test_the_sprints_read_as_they_did(golden):
    """Status, history and figures; what would be done next is the same as far as no clock is asked."""
    cases = recorded("scheduler")
    dry = [case for case in cases if "--dry-run" in case["words"]]
    same(golden, "scheduler", [case for case in cases if case not in dry])
    before = golden.log()
    for case, answer in zip(dry, golden.ask("scheduler", [case["words"] for case in dry]), strict=True):
        expected = case["output"]
        for key in ("sprint", "mode", "rule", "lost", "weave", "base", "branch", "woven", "troubles"):
            assert answer[key] == expected[key], case["words"]
        launches = [] if too_late() else [(run["persona"], run["attempt"]) for run in expected["launches"]]
        assert [(run["persona"], run["attempt"]) for run in answer["launches"]] == launches
    assert golden.log() == before


def test_the_dispatches_and_the_roster_read_as_they_did(golden):
    """Roster, settings, a plan made of past sprints, indexes and traces; tasks that could be dispatched again."""
    same(golden, "team", recorded("team"))


def test_bodies_and_attachments_in_blobs_come_back_whole(golden, tmp_path):
    """A long body, and files of any bytes and any name, as a mail reader gets them."""
    assert golden.run("team-mail", "export", "mbox", str(tmp_path / "mail")).returncode == 0
    with closing(mailbox.mbox(tmp_path / "mail")) as box:
        mails = {str(mail["subject"]): mail for mail in box}
    parts = [*mails["Two files"].walk()][2:]
    assert [part.get_payload(decode=True) for part in parts] == [bytes(range(256)), "Länge\n".encode()]
    sent = next(e for e in LOG if e["subject"] == "A long one")
    mail = golden.document("team-mail", "read", sent["id"], "--peek", "-p", "jon")
    assert mail["body"] == "All work and no play.\n" * 3000
    assert golden.document("team-mail", "verify")["damage"] == []


# -- how it goes on


def test_mail_goes_on_in_the_old_log(golden):
    """An old message is answered and acknowledged, a repeated key is still known, and the chain holds."""
    seqs = {event["subject"]: str(event["seq"]) for event in LOG if event["kind"] == "mail.sent"}
    for words in (
        ("reply", seqs["To read"], "-b", "At last.", "-p", "jon"),
        ("ack", seqs["To read again"], "-p", "jon"),
        (
            "send",
            "--to",
            "jon",
            "-s",
            "A task",
            "-b",
            "Do it.",
            "--key",
            "build-417",
            "--from",
            "ann",
            "-t",
            "task",
            "--due",
            "2026-01-01",
            "--payload",
            '{"steps": [1, 2.5, null, "ß"]}',
            "--priority",
            "urgent",
        ),
    ):
        assert golden.run("team-mail", *words).returncode == 0
    assert [event["sender"] for event in golden.news("mail.sent")] == ["jon"]
    thread = golden.document("team-mail", "thread", seqs["To read"], "-p", "jon")
    assert [mail["sender"] for mail in thread] == ["eve", "jon"]
    assert golden.document("team-mail", "verify")["damage"] == []


def test_the_open_sprint_is_gone_on_with_and_a_held_patch_lands(golden):
    """The two runs that were cut off are lost and played again; what waited, and what is approved now, lands."""
    (held,) = golden.document("scheduler", "status")["held"]
    assert golden.run("scheduler", "approve", held["run"]).returncode == 0
    late = too_late()
    done = golden.document("scheduler", "sprint", "--set", "sprint.deadline=366d", code=4 if late else 0)
    assert (done["sprint"], done["converged"]) == (3, not late)
    assert {e["data"]["persona"] for e in golden.news("run.lost")} == {"cyd", "dan"}
    assert {e["data"]["persona"] for e in golden.news("patch.landed")} == {"eve", "fay"} | (
        set() if late else {"cyd", "dan"}
    )
    assert golden.git("show", "team/sprint-3:.github/workflows/release.yml") == "on: push # release"
    plan = golden.git("show", "team/sprint-3:plan.txt")
    assert "eve: second thoughts" in plan
    assert late or "cyd: sprint 3, attempt 3" in plan
    assert before_usage(golden.document("scheduler", "history"))[:2] == recorded("scheduler")[1]["output"][:2]


def test_the_open_sprint_ends_by_its_deadline_where_that_is_over(golden):
    """As its settings say: nobody is launched any more, what waits lands, and the human is told."""
    done = golden.document("scheduler", "sprint", "--set", "sprint.deadline=1s", code=4)
    assert (done["converged"], golden.news("run.started")) == (False, [])
    assert [e["data"]["persona"] for e in golden.news("patch.landed")] == ["eve"]
    (end,) = (event["data"] for event in golden.news("sprint.finished"))
    assert (end["sprint"], end["outcome"]) == (3, "deadline")


def test_the_dispatch_that_was_cut_off_is_gone_on_with(golden):
    """What had succeeded is not done again, and feeds what comes after it."""
    name = DISPATCHES[-1]
    done = golden.document("team", "dispatch", "--resume", name)
    assert [(task["task_id"], task["status"]) for task in done["results"]] == [
        ("dig", "success"), ("load", "success"), ("sail", "success"),
    ]  # fmt: skip
    assert [e["data"]["task"] for e in golden.news("run.lost")] == ["load"]
    assert [(e["data"]["task"], e["data"]["attempt"]) for e in golden.news("run.started")] == [("load", 2), ("sail", 1)]
    assert golden.news("run.started")[1]["data"]["input"] == {"both": {"file": "load.txt"}}
    files = golden.git("ls-tree", "--name-only", f"team/dispatch-{name[-8:]}").split()
    assert {"dig.txt", "load.txt", "sail.txt"} <= {*files}


ODD = (None, True, -1, 7, 10**12, 0.5, "", "x", "\x1b[2J", [], [1], [["a", "b", "c"]], {}, {"patch": 1}, {"size": "x"})


def test_events_of_odd_forms_stop_no_command(golden: Golden):
    """Whoever writes the file of the log can write any event; one that the engine never writes counts for nothing."""
    log = EventLog(golden.home / "mail")
    last = {event.kind: event for event in log.read() if not event.kind.startswith(("mail.", "log."))}
    data = [
        (event, changed)
        for event in last.values()
        for changed in ({}, *({**event.data, name: odd} for name in event.data for odd in ODD))
    ]
    log.append([Draft(event.kind, event.sender, ref=event.ref, run=event.run, data=changed) for event, changed in data])
    commands = (
        ("scheduler", "status"), ("scheduler", "history"), ("scheduler", "report"), ("scheduler", "--dry-run"),
        ("scheduler", "sprint", "--dry-run"), ("team", "trace", "--index"), ("team", "plan", "--from-sprint"),
    )  # fmt: skip
    for command, *words in commands:
        ended = golden.run(command, *words)
        assert "Traceback" not in ended.stderr, (words, ended.stderr[-2000:])
        assert "\x1b[2J" not in ended.stdout
    assert len(data) > 1000
    assert {sprint["sprint"] for sprint in golden.document("scheduler", "history", "--limit", "999")} >= {1, 2}
