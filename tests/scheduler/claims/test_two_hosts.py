"""Claims of two hosts whose log is on a server: neither has to lead, for the log decides who was first."""

from __future__ import annotations

import threading

import pytest
from team_mail.mail.directory import Directory
from team_mail.mail.errors import LedElsewhere
from team_mail.mail.log.blobs import MemoryBlobs
from team_mail.mail.log.event import Draft
from team_mail.mail.mailbox import Mailbox
from team_mail.mail.process import myself
from team_mail.mail.query.rows import FileProjections
from team_mail.scheduler.claims.claims import Claims, NewTask
from team_mail.scheduler.errors import LeaseConflict

from ...postgres import needs_postgres, remote_log

pytestmark = needs_postgres
TASKS = 100


@pytest.fixture
def logs(request, tmp_path):
    """The log as seen by three hosts, of which the third one leads."""
    from team_mail.mail.remote.connection import Server
    from team_mail.mail.remote.postgres import PostgresLog

    third = remote_log(request, tmp_path / "c" / "mail")
    servers = [Server(third.server.address) for _ in range(2)]
    logs = [PostgresLog(tmp_path / name / "mail", server) for name, server in zip("ab", servers, strict=True)]
    with third.beat(myself(), {"is": "scheduler"}, leads=True):
        yield (*logs, third)
    for server in servers:
        server.close()


def test_of_two_hosts_that_claim_a_task_at_once_one_has_it(logs):
    """A hundred times; the other one is told who has it."""
    claims = [
        Claims(Mailbox(log, MemoryBlobs(), FileProjections(log), Directory(frozenset({"ada", "bob"}), {}, "you")))
        for log in logs[:2]
    ]
    for number in range(TASKS):
        claims[0].add(NewTask(f"t{number}"), "you")
    start, won, lost = threading.Barrier(2), [], []

    def claim_all(own: Claims, owner: str) -> None:
        for number in range(TASKS):
            start.wait()
            try:
                own.claim(f"t{number}", owner, 60)
                won.append((f"t{number}", owner))
            except LeaseConflict:
                lost.append((f"t{number}", owner))

    threads = [threading.Thread(target=claim_all, args=pair) for pair in zip(claims, ("ada", "bob"), strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    names = [f"t{number}" for number in range(TASKS)]
    assert sorted(name for name, _ in won) == sorted(name for name, _ in lost) == sorted(names)
    taken = [(claim.task, claim.owner) for claim in claims[1].moment().fold.current]
    assert sorted(taken) == sorted(won)
    assert [event.kind for event in logs[2].read()].count("claim.taken") == TASKS


FREE = (
    "mail.sent", "claim.taken", "task.opened", "session.created", "run.stopped", "dispatch.stopped", "scheduler.paused",
    "schedule.resumed", "patch.approved", "task.finished", "command.started",
)  # fmt: skip
LED = (
    "run.started", "run.offered", "run.finished", "patch.landed", "sprint.finished", "deploy.approved", "notice.sent",
    "schedule.fired", "dispatch.started", "task.finished",
)  # fmt: skip


def test_what_people_say_and_take_needs_no_lead(logs):
    """It counts from whatever host it comes; what the scheduler says of its runs counts from the one that leads."""
    for kind in FREE:
        logs[0].append([Draft(kind, "ada")])
    for kind in ("run.taken", "run.returned"):
        logs[0].append([Draft(kind, "scheduler", run="r")])
    for kind in LED:
        with pytest.raises(LedElsewhere):
            logs[0].append([Draft("mail.sent", "ada"), Draft(kind, "scheduler")])
        logs[2].append([Draft(kind, "scheduler")])
