"""Mail that reaches runs while they go on: what appears in their inbox, and when it is read."""

from __future__ import annotations

import shutil
import tempfile
import threading
from itertools import count
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from team_mail.mail.letter import Letter
from team_mail.mail.open import open_mailbox
from team_mail.personas.agent import Outcome
from team_mail.personas.agents.function import FunctionAgent
from team_mail.personas.kinds import OutcomeStatus
from team_mail.personas.running.folder import RunFolder
from team_mail.scheduler.answers.delivery import Delivery, taken_into_account
from team_mail.scheduler.runs.launch import Launch
from team_mail.scheduler.runs.mail import RunMail
from team_mail.scheduler.runs.record import RunRecord
from team_mail.scheduler.runs.run import Batch, RunResult
from team_mail.scheduler.state.facts import Mail
from team_mail.scheduler.tasks.task import DispatchConfig, Task
from team_mail.team.dispatcher import ParallelDispatcher

from ...samples import examples
from ...waiting import until_there

SPRINTS = count(900)  # the ids of runs are derived from it
RUNNING = '[sprint]\ndeliver = "running"\n'


def inbox(job):
    return job.workspace / ".team" / "run" / "inbox"


def sends(team, *letters):
    """Send mail as somebody outside of any run."""
    return [team.context({}, RUNNING).mailbox.send(letter) for letter in letters]


def only(team, *names):
    for name in {"ann", "bob", "cyd"} - {*names}:
        (team.home / "personas" / f"{name}.md").unlink()


def runs(team):
    return [event for event in team.context().mailbox.log.read() if event.kind == "run.started"]


def unread(team, persona="ann"):
    return [row["seq"] for row in team.context().mailbox.unread([persona])]


@pytest.mark.parametrize("how", ["taken", "read", "reply", "nothing"])
def test_mail_appears_in_the_inbox_of_a_run_and_what_it_does_with_it_decides(team, how):
    """Taken into account, read or answered it wakes nobody; else it is in the prompt of the next run."""
    only(team, "ann")
    prompts = []

    def play(job):
        prompts.append(job.prompt)
        if len(prompts) > 1:
            return
        mailbox = team.context({}, RUNNING).mailbox
        letter = Letter("you", ["ann"], "Also this", "From: weaver\nplum", attachments=[("a/b.txt", b"pear")])
        sent = mailbox.send(letter)
        file = inbox(job) / f"{sent.seq}.md"
        until_there(file)
        text = file.read_text()
        assert text.startswith(f"## Message {sent.seq}\n\nFrom: you (the human; not from a run)\n")
        assert "\n| From: weaver\n| plum\n" in text
        assert (job.workspace / ".team" / "run" / "attachments" / str(sent.seq) / "a_b.txt").read_bytes() == b"pear"
        if how == "taken":
            file.with_suffix(".taken").touch()
        elif how == "read":
            mailbox.mark("ann", "read", [sent.id], job.run)
        elif how == "reply":
            mailbox.reply(Letter("ann", [], body="Yes.", type="fyi", run=job.run), sent.id)

    team.sprint({"ann": play}, RUNNING)

    assert ["Also this" in prompt for prompt in prompts] == ([False] if how != "nothing" else [False, True])
    assert unread(team) == []
    assert ".team/run/inbox/NUMBER.taken" in prompts[0]


def test_without_the_setting_mail_waits_and_the_prompt_says_nothing_of_it(team):
    """As ever: it wakes its recipient again."""
    only(team, "ann")
    prompts = []

    def play(job):
        prompts.append((job.prompt, {*inbox(job).iterdir()}))
        if len(prompts) == 1:
            team.context().mailbox.send(Letter("you", ["ann"], "Also this", "plum"))

    team.sprint({"ann": play})
    assert ["NUMBER.taken" in prompt for prompt, _ in prompts] == [False, False]
    assert not prompts[0][1]


@pytest.mark.parametrize(("setting", "own", "reached"), [("next", "running", True), ("running", "next", False)])
def test_the_file_of_a_persona_says_it_for_that_one(team, setting, own, reached):
    """It beats the setting, in the inbox of the run and in its prompt."""
    only(team, "ann")
    (team.home / "personas" / "ann.md").write_text(f"---\ndeliver: {own}\n---\nAct on the mail.\n")
    setting, prompts, seen = f'[sprint]\ndeliver = "{setting}"\n', [], []

    def play(job):
        prompts.append(job.prompt)
        if len(prompts) == 1:
            sent = team.context({}, setting).mailbox.send(Letter("you", ["ann"], "Also this", "plum"))
            if reached:
                until_there(inbox(job) / f"{sent.seq}.md")
                (inbox(job) / f"{sent.seq}.taken").touch()
            seen.extend(inbox(job).iterdir())

    team.sprint({"ann": play}, setting)
    assert (bool(seen), [".team/run/inbox/NUMBER.taken" in prompt for prompt in prompts]) == (
        (True, [True]) if reached else (False, [False, False])
    )


def test_what_a_run_that_failed_took_into_account_is_unread(team):
    """As is all of the mail in its prompt."""
    only(team, "ann")
    prompts = []

    def play(job):
        prompts.append(job.prompt)
        if len(prompts) == 1:
            (sent,) = sends(team, Letter("you", ["ann"], "Also this", "plum"))
            until_there(inbox(job) / f"{sent.seq}.md")
            (inbox(job) / f"{sent.seq}.taken").touch()
            return Outcome(OutcomeStatus.FAILED, 1, 0.1, "no")
        return None

    team.sprint({"ann": play}, f"{RUNNING}retry_backoff = 0\n")
    assert ["Also this" in prompt for prompt in prompts] == [False, True]


def test_an_agent_that_bends_its_inbox_is_given_nothing_and_breaks_nothing(team, tmp_path):
    """A link there leads nowhere; the mail is in the prompt of the next run."""
    only(team, "ann")
    prompts, outside = [], tmp_path / "outside"
    outside.mkdir()

    def play(job):
        prompts.append(job.prompt)
        if len(prompts) == 1:
            shutil.rmtree(inbox(job))
            inbox(job).symlink_to(outside)
            sends(team, Letter("you", ["ann"], "Also this", "plum"))

    team.sprint({"ann": play}, RUNNING)
    assert ["Also this" in prompt for prompt in prompts] == [False, True]
    assert not [*outside.iterdir()]


class Mailing(RuleBasedStateMachine):
    """Mail at any moment relative to the starts and ends of runs and schedulers, against what the documents promise."""

    def __init__(self, team) -> None:
        super().__init__()
        self.team = team
        self.home = Path(tempfile.mkdtemp(dir=team.folder.parent))
        self.context = team.context({}, RUNNING)
        self.record = RunRecord(self.context.append, self.context.mailbox.blobs)
        self.attempts, self.sprint = 0, next(SPRINTS)
        self.delivery = Delivery(self.context)
        self.waiting = dict[str, bool]()  # what is unread, by id: whether a program wrote it
        self.seqs = dict[str, int]()
        self.open = dict[str, tuple[Launch, RunFolder, list[str], set[str]]]()  # with what is given and what appeared
        for row in self.context.mailbox.unread(["ann"]):
            self.waiting[row["id"]] = False
            self.seqs[row["id"]] = row["seq"]

    def expect(self, ending=()):
        """Let what is unread appear at the first of the open runs, but for what prompts have."""
        if self.open:
            given = {*ending, *(mail for *_, given, _ in self.open.values() for mail in given)}
            *_, appeared = next(iter(self.open.values()))
            appeared |= {mail for mail, of_program in self.waiting.items() if not of_program and mail not in given}

    @rule(of_program=st.booleans())
    def send(self, of_program):
        letter = Letter("weaver" if of_program else "you", ["ann"], "Look", "plum")
        event = self.context.mailbox.log.append(
            [letter.draft(self.context.mailbox.directory, self.context.mailbox.blobs)]
        )[0]
        self.waiting[event.id], self.seqs[event.id] = of_program, event.seq
        self.delivery.on_event(event)
        self.expect()

    @precondition(lambda self: len(self.open) < 2)
    @rule()
    def start(self):
        self.attempts += 1
        unread = [Mail(**row) for row in self.context.mailbox.unread(["ann"])]
        launch, mail = (
            Launch("ann", "shell", self.attempts, self.sprint, "mail", "", tuple(unread)),
            RunMail(self.context),
        )
        given = list[str]()
        mail.choose(
            launch, lambda ids: (given.extend(ids), self.record.started(launch, Batch(self.sprint, 1, "", ""), ids))
        )
        before = {each for *_, given, _ in self.open.values() for each in given}
        free = {each for each, of_program in self.waiting.items() if not self.open or of_program}
        assert {*given} == free - before
        folder = RunFolder(self.home / str(self.attempts))
        folder.make()
        self.open[launch.run] = launch, folder, given, set()
        self.delivery.begin(launch.run, "ann", self.home / str(self.attempts))
        self.expect()

    @rule()
    def restart(self):
        """Another scheduler takes over."""
        self.delivery = Delivery(self.context)
        for run, (_, folder, *_) in self.open.items():
            self.delivery.begin(run, "ann", folder.path.parent.parent)
        self.expect()

    @precondition(lambda self: self.open)
    @rule(data=st.data(), how=st.sampled_from(["taken", "read", "reply"]))
    def deal(self, data, how):
        run = data.draw(st.sampled_from([*self.open]))
        _, folder, _, appeared = self.open[run]
        if not (here := sorted(appeared & self.waiting.keys())):
            return
        mail = data.draw(st.sampled_from(here))
        if how == "taken":
            folder.write("inbox", f"{self.seqs[mail]}.taken", b"")
        else:
            if how == "read":
                self.context.mailbox.mark("ann", "read", [mail], run)
            else:
                self.context.mailbox.reply(Letter("ann", [], body="Yes.", run=run), mail)
            del self.waiting[mail]

    @precondition(lambda self: self.open)
    @rule(data=st.data(), how=st.sampled_from(["ok", "failed", "lost"]))
    def end(self, data, how):
        run = data.draw(st.sampled_from([*self.open]))
        launch, folder, given, appeared = self.open.pop(run)
        taken = {mail for mail in appeared if f"{self.seqs[mail]}.taken" in folder.names("inbox")}
        self.delivery.end(run)
        self.expect(given)
        read = [*given, *taken_into_account(self.context, folder, "ann", given)]
        status = OutcomeStatus.OK if how == "ok" else OutcomeStatus.FAILED
        result = RunResult(Outcome(status, 0, 0.1, ""), given_up=how == "lost", lost="gone" if how == "lost" else "")
        self.record.ended(launch, result, read=read)
        if how == "ok":
            for mail in {*given, *taken}:
                self.waiting.pop(mail, None)

    @invariant()
    def agrees(self):
        """What is unread, and what is in each inbox, is what was promised."""
        assert {row["id"] for row in self.context.mailbox.unread(["ann"])} == self.waiting.keys()
        for _, folder, _, appeared in self.open.values():
            files = {name for name in folder.names("inbox") if name.endswith(".md")}
            assert files == {f"{self.seqs[mail]}.md" for mail in appeared}

    def teardown(self):
        for launch, *_ in self.open.values():
            lost = RunResult(Outcome(OutcomeStatus.STOPPED, None, 0.0, ""), given_up=True, lost="gone")
            self.record.ended(launch, lost)
        self.context.mailbox.mark("ann", "read", [*self.waiting]) if self.waiting else None


def test_no_mail_is_lost_or_read_unseen_whenever_it_comes(team):
    """Relative to the start, the look, the end and the loss of runs, and of schedulers."""
    machine = settings(max_examples=examples(8), stateful_step_count=12, deadline=None)
    run_state_machine_as_test(lambda: Mailing(team), settings=machine)


def test_mail_reaches_the_run_of_a_task(tmp_path, monkeypatch):
    """Without a repository too; a task of the same persona that starts meanwhile is not given it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TEAM_DISPATCH_REPOSITORY", "false")
    monkeypatch.setenv("TEAM_SPRINT_DELIVER", "running")
    delivered, started, prompts = threading.Event(), threading.Event(), {}

    def play(job):
        task = job.assignment.task
        if task == "first":
            sent = open_mailbox(tmp_path / ".team").send(Letter("you", ["forge"], "Also this", "plum"))
            until_there(inbox(job) / f"{sent.seq}.md")
            delivered.set()
            assert started.wait(30)
            (inbox(job) / f"{sent.seq}.taken").touch()
        elif task == "wait":
            assert delivered.wait(30)
        else:
            started.set()
        prompts[task] = job.prompt

    dispatcher = ParallelDispatcher(DispatchConfig(), agent=FunctionAgent(play), home=tmp_path / ".team")
    tasks = [Task(task_id="first", agent="forge"), Task(task_id="wait", agent="scribe")]
    done = dispatcher.dispatch([*tasks, Task(task_id="then", agent="forge", dependencies=("wait",))])

    assert {each.status for each in done.results} == {"success"}
    assert [name for name, prompt in prompts.items() if "Also this" in prompt] == []
    assert open_mailbox(tmp_path / ".team").unread(["forge"]) == []
