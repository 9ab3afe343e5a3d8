"""The contract of `Projections`: the same tests for every implementation."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from team_mail.mail.letter import Letter
from team_mail.mail.log.blobs import MemoryBlobs
from team_mail.mail.log.event import Draft
from team_mail.mail.log.log import EventLog
from team_mail.mail.log.memory import MemoryLog
from team_mail.mail.mailbox import Mailbox
from team_mail.mail.query.memory import MemoryProjections
from team_mail.mail.query.rows import FileProjections
from team_mail.mail.query.statement import of_mailbox

from ..postgres import remote_log

ROOT = Path(__file__).parents[2]
ARGUMENTS = {
    "agents": [], "as_of_seq": 99, "as_of_ts": "~", "base": "", "before": 9, "channel": "review", "days": ["2", "2026"],
    "dispatch": None, "ids": [], "key": "?", "lately": 0, "limit": 9, "most": 9, "now": "2026", "persona": "ada",
    "roster": [], "runs": [], "sender": None, "seq": 2, "session": "login", "since": "2", "sprint": None,
    "state": "all", "status": None, "tag": None, "thread": "", "type": None, "unread": False, "until": 9,
    "words": ["work"], "written": "",
}  # fmt: skip


@pytest.fixture(params=["files", "files that rotate", "memory", "memory over files", "PostgreSQL that rotates"])
def mailbox(request, tmp_path):
    """A mailbox over each implementation; the last one shows that the fake works over any log."""
    size = 2048 if request.param == "files that rotate" else 1 << 20
    if request.param.startswith("PostgreSQL"):
        log = remote_log(request, tmp_path / "mail", segment_bytes=2048)
        return Mailbox(log, MemoryBlobs(), FileProjections(log))
    log = MemoryLog() if request.param == "memory" else EventLog(tmp_path / "mail", segment_bytes=size)
    files = request.param.startswith("files")
    return Mailbox(log, MemoryBlobs(), FileProjections(log) if files else MemoryProjections(log))


def names():
    """Every projection that is shipped, by the name that `rows` takes."""
    for path in sorted(ROOT.glob("[ms]*/*/sql/duckdb/*.sql")):
        package = ".".join(path.relative_to(ROOT).parts[:2])
        if path.stem != "columns":
            yield path.stem if package == "mail.query" else f"{package}.{path.stem}"


def arguments(name):
    *package, stem = name.split(".")
    text = ROOT.joinpath(*(package or ["mail", "query"]), "sql", "duckdb", f"{stem}.sql").read_text()
    wanted = {*re.findall(r"\$([a-z_]+)", text), *(["persona"] if of_mailbox(text) or '"letters"' in text else [])}
    return {key: ARGUMENTS[key] for key in wanted}


def test_every_shipped_projection_runs_on_an_empty_log_and_on_one_with_mail(mailbox):
    """Each has its SQL, and no argument that the test would not know."""
    before = {name: mailbox.projections.rows(name, **arguments(name)) for name in names()}
    assert len(before) > 40
    mailbox.send(Letter("boss", ["ada", "ben"], "Work", "Do the work."))
    after = {name: mailbox.projections.rows(name, **arguments(name)) for name in names()}
    assert [name for name, rows in before.items() if not isinstance(rows, list)] == []
    assert [name for name, rows in after.items() if not all(isinstance(row, dict) for row in rows)] == []
    assert before != after


def test_rows_are_those_of_the_log_as_of_now(mailbox):
    """A question sees every event that was appended before it, however often it is asked."""
    for number in range(30):
        event = mailbox.send(Letter("boss", ["ada"], f"mail {number}", payload={"n": [number, None, "\u2028'"]}))
        newest = mailbox.inbox("ada")[0]
        assert (newest.seq, newest.subject, newest.payload) == (event.seq, event.subject, event.data["payload"])
    assert len(mailbox.inbox("ada")) == 30


def test_marks_show_in_the_rows_of_that_persona_alone(mailbox):
    """Read state is per recipient, also in a slice that was made before the mark."""
    event = mailbox.send(Letter("boss", ["ada", "ben"], "Work"))
    assert not mailbox.inbox("ada")[0].read
    mailbox.log.append([Draft("mail.read", "ada", ref=event.id)])
    assert mailbox.inbox("ada")[0].read
    assert not mailbox.inbox("ben")[0].read


def test_the_projections_of_another_package_are_named_by_it(mailbox):
    """`scheduler.state.dispatched` is found although mail knows nothing of the scheduler."""
    mailbox.log.append([Draft("dispatch.started", "scheduler", data={"dispatch": "d1", "tasks": []})])
    rows = mailbox.projections.rows("scheduler.state.dispatched", dispatch="d1", written="d1", since=0)
    listed = mailbox.projections.rows("scheduler.state.dispatches")
    assert [row["kind"] for row in rows] == [row["kind"] for row in listed] == ["dispatch.started"]
