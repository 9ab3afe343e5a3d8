"""The mail of runs: what a launch is given, and what a lost run left behind."""

from __future__ import annotations

import pytest
from team_mail.mail.letter import Letter
from team_mail.personas.agent import Assignment, Outcome
from team_mail.personas.running.folder import RunFolder
from team_mail.scheduler.runs.batch import BatchRunner
from team_mail.scheduler.runs.launch import Launch
from team_mail.scheduler.runs.mail import RunMail
from team_mail.scheduler.runs.record import RunRecord
from team_mail.scheduler.runs.run import Batch, RunResult

MAIL = "---\nto: bob\nsubject: Half done\n---\nThe rest is in the notes.\n"


def test_what_a_lost_run_left_in_its_outbox_is_sent_by_whoever_finds_it(team):
    """Also if it is found twice, and without a workspace there is nothing to do."""
    context = team.context({"ann": None})
    launches = [Launch(persona, "script", 1, 1, "batch", "") for persona in ("ann", "cyd")]
    base = team.git("rev-parse", "HEAD")
    for _ in range(2):
        workspace = context.mirror.workspace(launches[0].run, base, "ann")
        folder = RunFolder(workspace.path)
        folder.make()
        (folder.path / "outbox" / "note.md").write_text(MAIL)
        with BatchRunner(context).opened() as runs:
            runs.take_over(launches, [Batch(1, 1, base, "team/sprint-1")] * 2, ())
    (event,) = [event for event in context.mailbox.log.read() if event.kind == "mail.sent"]
    assert (event.sender, event.recipients, event.subject, event.run) == (
        "ann", ("bob",), "Half done", launches[0].run,
    )  # fmt: skip
    assert not workspace.exists


def test_unread_mail_is_in_the_workspace_as_files(team):
    """With its attachments, whose names cannot lead out of their folder."""
    context, seen = team.context(), {}
    context.mailbox.send(letter := Letter("bob", ["ann"], "Look", "At this.", attachments=[("../../x\n.md", b"data")]))

    def play(job):
        folder = job.workspace / ".team" / "run"
        seen.update(
            {
                path.relative_to(folder).as_posix(): path.read_bytes()
                for name in ("inbox", "attachments")
                for path in (folder / name).rglob("*")
                if path.is_file()
            }
        )

    team.sprint({"ann": play})
    assert len(seen) == 2
    (text,) = [data.decode() for name, data in seen.items() if name.startswith("inbox/")]
    assert "From: bob" in text
    assert letter.body in text
    (name,) = [name for name in seen if name.startswith("attachments/")]
    assert (name.split("/")[2], seen[name]) == ("_.._x_.md", b"data")


def test_mail_that_could_not_be_sent_comes_back_to_its_author(team):
    """With the reason and the text, which would be gone with the workspace."""

    def play(job):
        outbox = job.workspace / ".team" / "run" / "outbox"
        if job.attempt == 1:
            (outbox / "odd.md").write_text("---\nto: nobody-here\nsubject: Important\n---\nThe text.\n")
            (outbox / "folder").mkdir()

    team.sprint({"ann": play, "bob": None})
    (mail,) = [
        event for event in team.context().mailbox.log.read() if event.kind == "mail.sent" and "ann" in event.recipients
    ]
    assert mail.sender == "scheduler"
    assert mail.subject.startswith("Not sent: folder, odd.md")
    assert "nobody-here" in mail.body
    (attachment,) = mail.data["attachments"]
    assert attachment["name"] == "odd.md"
    assert b"The text." in team.context().mailbox.blobs.read(attachment["sha256"])


@pytest.mark.parametrize("nested", [False, True])
def test_of_two_runs_that_choose_at_once_the_first_on_record_has_the_message(team, nested):
    """Neither sees the other's start while it chooses, as two processes may; a run that starts later has none."""
    context = team.context()
    context.mailbox.send(Letter("you", ["ann"], "Look", "At this."))
    (mail,) = [row["id"] for row in context.mailbox.unread(["ann"])]
    record = RunRecord(context.append, context.mailbox.blobs)
    first, second, third = (
        Launch("ann", "shell", 1, 0, "task", "", assignment=Assignment("d" * 32, task, "")) for task in "abc"
    )
    one, two = RunMail(context), RunMail(context)
    chosen: list[tuple[str, ...]] = []

    def put(launch):
        def on_record(mails):
            chosen.append(tuple(mails))
            record.started(launch, Batch(0, 0, "", ""), mails)

        return on_record

    def put_second(mails):
        one.choose(first, put(first))
        put(second)(mails)

    if nested:  # the second one chooses, then the first chooses and is put on record
        two.choose(second, put_second)
    else:
        one.choose(first, put(first))
        two.choose(second, put(second))
    two.choose(third, put(third))

    assert chosen == [(mail,), (mail,) if nested else (), ()]
    assert (one.of(first), two.of(second), two.of(third)) == ([mail], [], [])
    record.ended(first, RunResult(Outcome("failed", 1, 0.0, "exit 1")))
    assert two.of(second) == ([mail] if nested else [])


def test_a_run_is_given_what_is_unread_at_that_moment(team, monkeypatch):
    """Whatever has happened to mail meanwhile, in any process; where nothing has, it is not asked for again."""
    context, asked = team.context(), []
    unread = context.mailbox.unread
    monkeypatch.setattr(context.mailbox, "unread", lambda roster: asked.append(roster) or unread(roster))
    mail, others = RunMail(context), team.context().mailbox

    def given(name):
        chosen = []
        mail.choose(Launch("ann", "shell", 1, 0, "task", "", assignment=Assignment("d" * 32, name, "")), chosen.extend)
        assert chosen == [row["id"] for row in others.unread(["ann"])]
        return len(chosen)

    assert [given("a"), given("b"), len(asked)] == [0, 0, 1]
    seqs = [others.send(Letter(sender, ["ann"], "Look", "At this.")).seq for sender in ("you", "bob")]
    others.send(Letter("you", ["bob"], "Not to her", "At all."))
    assert [given("c"), given("d"), len(asked)] == [2, 2, 2]
    others.read("ann", str(seqs[0]))
    assert given("e") == 1
    others.mark("ann", "trashed", [str(seqs[1])])
    assert given("f") == 0


def test_mail_of_a_run_whose_scheduler_is_gone_is_free(team):
    """Its process is not there, and its run's folder has no keeper."""
    context = team.context()
    context.mailbox.send(Letter("you", ["ann"], "Look", "At this."))
    (mail,) = [row["id"] for row in context.mailbox.unread(["ann"])]
    gone = Launch("ann", "shell", 1, 0, "task", "", assignment=Assignment("d" * 32, "a", ""))
    record = RunRecord(context.append, context.mailbox.blobs, {"host": "elsewhere", "boot": "", "pid": 1, "start": 1})
    record.started(gone, Batch(0, 0, "", ""), [mail])
    assert context.taken(["ann"], sprints=True) == {}
