"""Questions that runs end with: who is asked, once, and what the answer does."""

from __future__ import annotations

import json

import pytest
from team_mail.mail.letter import Letter
from team_mail.personas.agents.function import FunctionAgent
from team_mail.personas.streams.transcript import Transcript
from team_mail.scheduler.answers.questions import Asker, last_question
from team_mail.scheduler.tasks.task import DispatchConfig, Task
from team_mail.team.dispatcher import ParallelDispatcher

from ...on_server import log_file
from ..sprint.test_crash import crashed

ASKS = "I read it all.\n\nShould the poem rhyme, or not?"


def says(text):
    """Return what a coding agent prints whose last message is this."""
    return json.dumps({"type": "result", "subtype": "success", "is_error": False, "result": text}) + "\n"


def asking(text=ASKS, more=lambda _: None):
    def play(job):
        more(job)
        job.say(says(text))

    return play


def until_answered(job):
    """Ask, and do the work once there is an answer."""
    if "It should rhyme." in job.prompt:
        job.say(says("Done."))
    else:
        job.say(says(ASKS))


def questions(team):
    return [event for event in team.context().mailbox.log.read() if event.data.get("type") == "question"]


def finished(team):
    return [event for event in team.context().mailbox.log.read() if event.kind == "run.finished"]


def only(team, *names):
    for name in {"ann", "bob", "cyd"} - {*names}:
        (team.home / "personas" / f"{name}.md").unlink()


def test_a_last_message_that_asks_is_one_mail_to_the_human_and_the_answer_wakes(team):
    """The sprint ends as unanswered and says whom to answer; asking was no attempt spent."""
    only(team, "ann")
    ended = team.sprint({"ann": until_answered}, "[sprint]\nmax_attempts = 1\n")

    assert (ended.outcome, ended.runs) == ("unanswered", 1)
    (mail,) = questions(team)
    assert (mail.sender, mail.recipients, mail.subject) == ("ann", ("you",), "Should the poem rhyme, or not?")
    assert "it changed nothing" in mail.body
    assert "| I read it all." in mail.body
    assert f"team-mail reply {mail.id} --persona you -b" in mail.body
    mailbox = team.context().mailbox
    (end,) = finished(team)
    assert (end.data["status"], end.data["question"], mail.run) == ("ok", mail.id, end.run)
    (closing,) = [each for each in mailbox.inbox("you") if each.subject.startswith("Sprint 1")]
    assert f"team-mail read {mail.id}" in mailbox.read("you", closing.id, peek=True).body

    mailbox.reply(Letter("you", [], body="It should rhyme."), mail.id)
    again = team.sprint({"ann": until_answered}, "[sprint]\nmax_attempts = 1\n")

    assert (again.outcome, again.runs, len(questions(team))) == ("converged", 1, 1)


def test_a_question_that_nobody_has_answered_is_not_asked_again(team):
    """A schedule that starts its persona again and again must not fill anybody's inbox; after an answer it may ask."""
    only(team, "ann")
    for _ in range(2):
        assert team.sprint({"ann": asking()}).outcome == "unanswered"
    (mail,) = questions(team)
    assert [end.data["question"] for end in finished(team)] == [mail.id] * 2
    team.sprint({"ann": asking("Another thing?")})
    assert len(questions(team)) == 2
    team.context().mailbox.reply(Letter("you", [], body="Yes.", type="fyi"), questions(team)[1].id)
    team.sprint({"ann": asking("Another thing?")})
    assert len(questions(team)) == 3


def test_the_oracle_is_asked_instead_and_its_answer_wakes_within_the_sprint(team):
    """It is launched for the question as for any mail; what it asks itself goes to the human."""
    only(team, "ann", "bob")
    (team.home / "personas" / "bob.md").write_text("---\nid: bob\nscheduled: mail\n---\nAnswer.\n")

    def answer(job):
        mailbox = team.context().mailbox
        (asked,) = [each for each in mailbox.inbox("bob") if each.type == "question"]
        mailbox.reply(Letter("bob", [], body="It should rhyme.", run=job.run), asked.id)

    ended = team.sprint({"ann": until_answered, "bob": answer}, '[team]\noracle = "bob"\n[sprint]\nmax_attempts = 1\n')

    assert (ended.outcome, ended.runs) == ("converged", 3)
    assert [mail.recipients for mail in questions(team)] == [("bob",)]
    assert f"team-mail reply {questions(team)[0].id} -b" in questions(team)[0].body


def test_a_question_may_have_anything_in_it(team):
    """A log takes no NUL, and a terminal obeys what is not escaped; a run whose end is not written never ends."""
    only(team, "ann")
    text = "\x1b[2J\0\ud800 I read it.\r\n\r\nWhich\0 one\x1b[1m?\r\n" + "".join(f"- the {n}th\r\n" for n in range(99))
    assert team.sprint({"ann": asking(text)}).outcome == "unanswered"
    (mail,) = questions(team)
    assert mail.subject == "Which\\x00 one\\x1b[1m?"
    assert {*mail.body} & {"\0", "\x1b", "\r", "\ud800"} == set()
    assert "| - the 98th" in mail.body


def test_an_oracle_that_is_nobody_is_told_before_anything_starts(team):
    """Nobody would ever answer."""
    context = team.context({}, '[team]\noracle = "zoe"\n')
    assert "[team] oracle = 'zoe' is no persona" in "".join(context.standing_troubles())


@pytest.mark.parametrize(
    ("text", "changes", "asks"),
    [
        ("Shall I proceed?", False, True),
        ("Done. Shall I add more?", True, False),
        ("Done. Anything else?", False, False),
        ("Which one, then?", True, True),
    ],
)
def test_an_offer_asks_only_where_nothing_was_done(team, text, changes, asks):
    """A courtesy at the end of work must bother nobody, and who only waits for a yes must not pass for done."""
    only(team, "ann")
    more = team.replaced(3, "ann") if changes else lambda _: None
    ended = team.sprint({"ann": asking(text, more)})
    assert ended.outcome == ("unanswered" if asks else "converged")
    assert len(questions(team)) == asks


def test_output_that_is_no_stream_and_a_setting_leave_last_words_alone(team):
    """Of plain text nobody knows where the last message begins."""
    assert team.sprint({"ann": lambda job: job.say("Which one?\n")}).converged
    assert team.sprint({"ann": asking()}, "[sprint]\nquestions = false\n").converged
    assert questions(team) == []


def test_a_run_that_asked_by_mail_itself_is_not_asked_for_twice(team):
    """Its own mail is the question; one that was answered while it ran is none any more."""
    only(team, "ann", "bob")

    def mails(answered):
        def play(job):
            mailbox = team.context().mailbox
            sent = mailbox.send(Letter(job.persona, ["you"], "Rhyme?", "Or not?", type="question", run=job.run))
            if answered:
                mailbox.reply(Letter("you", [], body="Yes.", type="fyi"), sent.id)
            job.say(says("Which one?" if not answered else "Done."))

        return play

    ended = team.sprint({"ann": mails(answered=False), "bob": mails(answered=True)})

    assert ended.outcome == "unanswered"
    ends = {end.data["persona"]: end.data.get("question") for end in finished(team)}
    assert ends == {"ann": next(mail.id for mail in questions(team) if mail.sender == "ann"), "bob": None}
    assert sorted(mail.sender for mail in questions(team)) == ["ann", "bob"]


def test_a_task_asks_again_once_it_was_answered(team):
    """It is gone on with after the answer, and what it asks then must not be taken for what it has asked before."""
    context = team.context()
    asker = [Asker("ann", run, ("dispatch", "task")) for run in ("run-1", "run-2", "run-3")]
    said = [Transcript(text, known=True) for text in ("Which one?", "Which other one?")]
    first, again = (last_question(context, each, said[0]).draft for each in asker[:2])
    assert first.id == again.id
    context.append([first])
    assert last_question(context, asker[1], said[1]).draft.id == first.id
    context.mailbox.reply(Letter("you", [], body="That one."), first.id)
    assert last_question(context, asker[2], said[1]).draft.id != first.id


@pytest.mark.parametrize("at", [3, 5, 7, 8])
def test_a_scheduler_that_is_killed_asks_once(team, at):
    """Wherever it was killed: the id of the mail is the run's."""
    only(team, "ann")
    assert crashed(team, {"ann": asking()}, at, lambda _: 0)
    ended = team.sprint({"ann": asking()})
    assert ended.outcome == "unanswered"
    asked = [event.run for event in questions(team)]
    assert len(asked) == len({*asked})
    assert [end.data["question"] for end in finished(team)] == [mail.id for mail in questions(team)]


def test_a_task_that_ends_in_a_question_has_failed_and_says_what_it_asks(tmp_path, monkeypatch):
    """Its question is mail, once however often it is tried; one with a result has done its work."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TEAM_DISPATCH_REPOSITORY", "false")

    def play(job):
        job.say(says(ASKS))
        return {"made": True} if job.assignment.task == "b" else None

    dispatcher = ParallelDispatcher(DispatchConfig(), agent=FunctionAgent(play), home=tmp_path / ".team")
    done = dispatcher.dispatch([
        Task(task_id="a", agent="forge", retries=1, retry_backoff=0.01), Task(task_id="b", agent="scribe"),
    ])  # fmt: skip

    assert {each.task_id: each.status for each in done.results} == {"a": "error", "b": "success"}
    assert "it asks: Should the poem rhyme, or not?" in str(done.results[0].error)
    lines = map(json.loads, log_file(tmp_path / ".team").read_text().splitlines())
    sent = [event["sender"] for event in lines if event["kind"] == "mail.sent"]
    assert sorted(sent) == ["forge", "scribe"]
