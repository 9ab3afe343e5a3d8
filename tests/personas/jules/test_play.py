"""Runs that sessions of Jules play, against the shipped fake: one session for one piece of work, whatever happens."""

from __future__ import annotations

import io
import itertools
import json
import subprocess
import threading
from dataclasses import replace

import pytest
from team_mail.mail.clock import ManualClock
from team_mail.mail.letter import Letter
from team_mail.mail.open import open_mailbox
from team_mail.personas.jules.agent import jules_agent
from team_mail.personas.jules.client import JulesClient
from team_mail.personas.jules.fake import FakeJules, Play
from team_mail.personas.jules.orders import Orders
from team_mail.personas.jules.play import Place, Player, _read_words, goes_on
from team_mail.personas.jules.record import SENT, Record, Records
from team_mail.personas.jules.session import read_session
from team_mail.personas.running.folder import MERGED, RunFolder
from team_mail.personas.running.mail_process import MailProcess
from team_mail.personas.streams.printer import Printer
from team_mail.personas.streams.stream import read_stream
from team_mail.personas.web.api import JsonApi

from ...samples import each_once

KEY = "AIza-secret"


class Cut(BaseException):
    """The run is killed."""


class Cutting(ManualClock):
    """A clock that kills the run at the n-th sleep."""

    def __init__(self, sleeps):
        super().__init__()
        self.left = sleeps

    def sleep(self, seconds):
        self.left -= 1
        if not self.left:
            raise Cut
        super().sleep(seconds)


class Scene:
    """A repository whose branch went on since Jules began, a workspace of it, and a team's folder."""

    def __init__(self, folder):
        self.folder, self.shop, self.home = folder, folder / "shop", folder / "shop" / ".team"
        self.shop.mkdir()
        self.git("init", "-q", "-b", "main")
        self.begun = self.commit("list.txt", "a\nb\nc\n")
        self.patch = self.change("list.txt", "a\nbee\nc\n")
        self.head = self.commit("list.txt", "a\nb\nc\nd\n")
        self.runs = 0

    def git(self, *words, cwd=None):
        own = ("-c", "user.name=x", "-c", "user.email=x@y")
        ended = subprocess.run(["git", *own, *words], cwd=cwd or self.shop, check=True, capture_output=True, text=True)
        return ended.stdout

    def commit(self, name, text):
        (self.shop / name).write_text(text)
        self.git("add", ".")
        self.git("commit", "-qm", name)
        return self.git("rev-parse", "HEAD").strip()

    def change(self, name, text):
        (self.shop / name).write_text(text)
        patch = self.git("diff")
        self.git("checkout", "-q", ".")
        return patch

    def player(self, jules, *, run="", tries=3, clock=None, **orders):
        """A player in a workspace of its own."""
        self.runs += 1
        workspace = self.folder / f"run{self.runs}"
        self.git("clone", "-q", "--shared", str(self.shop), str(workspace))
        RunFolder(workspace).make()
        clock = clock or ManualClock()
        client = JulesClient(jules.key, url=jules.url, tries=tries, clock=clock)
        place = Place("ann", "sprints", "sprint 1", run or f"run{self.runs}", workspace, self.home)
        whole = Orders("sources/github/acme/shop", "main", "you", url=jules.url, remote="")
        return Player(client, replace(whole, **orders), place, "Mind it.", (KEY,), Printer(io.StringIO()), clock)

    @property
    def record(self):
        return Records(self.home).read("ann", "sprints")


@pytest.fixture(scope="module")
def scene_of_all(tmp_path_factory):
    return Scene(tmp_path_factory.mktemp("jules"))


@pytest.fixture
def scene(scene_of_all, tmp_path):
    """The scene, with a team's folder of its own for each test."""
    scene_of_all.home = tmp_path / ".team"
    return scene_of_all


def transcript(player):
    return read_stream(player.printer.out.getvalue().encode())


def result(player):
    return json.loads((player.place.workspace / ".team/run/jules.json").read_text())


def mails(player):
    folder = player.place.workspace / ".team/run/outbox"
    return {path.name: path.read_text() for path in folder.iterdir()}


@pytest.mark.parametrize(
    ("state", "age", "over", "reported", "on"),
    [
        ("IN_PROGRESS", 10, False, True, True),  # its run was stopped, or gave up asking
        ("IN_PROGRESS", 2000, False, True, False),  # for ever, as far as anybody knows
        ("AWAITING_USER_FEEDBACK", 2000, False, True, True),  # it waits for a person, who may take their time
        ("AWAITING_PLAN_APPROVAL", 2000, False, False, True),
        ("COMPLETED", 2000, False, True, True),  # its change could not be taken
        ("COMPLETED", 10, True, True, False),  # it was
        ("COMPLETED", 10, True, False, True),  # the machine went down before anybody knew
        ("FAILED", 10, False, False, False),
    ],
)
def test_which_session_a_run_goes_on_with(scene, state, age, over, reported, on):
    """One that somebody waits for, that is at work not for too long, or whose change nobody has."""
    session = read_session({"id": "1", "state": state})
    record = type("Record", (), {"over": over})()
    assert goes_on(record, session, age, 1800.0, reported=reported) is on


def test_a_change_is_made_where_jules_made_it(scene):
    """At its own base: nothing that landed since is taken back, and words, commands and plan are in the stream."""
    with FakeJules(
        Play(scene.patch, scene.begun, says="Done.", asks="Which b?\x1b", notes="Now then."), key=KEY
    ) as jules:
        player = scene.player(jules, plan="human", pull_request=True, asks="lead")
        clock = player.clock
        clock.sleep = lambda seconds: (type(clock).sleep(clock, seconds), answer(jules))
        assert player.play() == 0
    (body,) = jules.sessions.values()
    assert body["title"].startswith("ann: sprint 1 [team-mail ")
    assert body["sourceContext"]["githubRepoContext"] == {"startingBranch": "main"}
    assert (body["requirePlanApproval"], body["automationMode"]) == (True, "AUTO_CREATE_PR")
    assert body["prompt"].endswith("\n\nMind it.")
    assert (player.place.workspace / "list.txt").read_text() == "a\nbee\nc\n"
    assert result(player) == {
        "session": scene.record.session, "url": scene.record.url, "state": "COMPLETED", "outcome": "changed",
        "base": scene.begun,
    }  # fmt: skip
    said = transcript(player)
    assert (said.finished, said.failed, said.text) == (True, None, "Done.")
    assert [call.tool for call in said.calls] == ["bash"]
    plan, note, question = sorted(mails(player).values(), key=lambda text: ("Jules asks" in text, "says" in text))
    assert "| 1. Look\n| 2. Change it: and test\n\nApprove it: reply" in plan
    assert 'to: "you"\n' in plan
    assert "`lead` gets it" in body["prompt"]
    assert 'to: "lead"\nsubject: "Jules asks: Which b?\\\\x1b"\ntype: "question"\n' in question
    assert 'to: "lead"\nsubject: "Jules says: Now then."\ntype: "fyi"\n' in note
    assert scene.record.over


def test_who_answers_a_run_is_told_to_its_session(tmp_path, job):
    """Unless the settings name somebody: as the oracle or the human of the team, whoever is asked by any run."""
    this = replace(job(), answers="lead")
    agent = jules_agent("jules", Orders("sources/github/acme/shop", "main", "you"))
    words = agent._argv(this, tmp_path / "prompt.md", {})
    assert words[words.index("--answers") + 1] == "lead"
    given = _read_words(words[words.index("--orders") :])
    assert (given.answers, given.prompt) == ("lead", tmp_path / "prompt.md")
    assert "--answers" not in agent._argv(job(), tmp_path / "prompt.md", {})


def new_file(name, mode="100644"):
    return f"diff --git a/{name} b/{name}\nnew file mode {mode}\n--- /dev/null\n+++ b/{name}\n@@ -0,0 +1 @@\n+x\n"


def answer(jules):
    """Approve and answer, as a person would."""
    for name in jules.sessions:
        jules.approve(name)
        if jules.state(name) == "AWAITING_USER_FEEDBACK":
            JulesClient(jules.key, url=jules.url).send_message(name, "The first")


@pytest.mark.parametrize(
    ("play", "code", "outcome", "text"),
    [
        (Play(says="All is well."), 0, "unchanged", "without a change set.\n\nAll is well."),
        (Play(end="failed"), 1, "broken", "Jules failed: the environment could not be set up"),
        (Play("--- a/list.txt\n+++ b/list.txt\n@@ -1 +1 @@\n-z\n+y\n"), 1, "untaken", "does not apply to"),
        (Play("x", base="1" * 40), 1, "untaken", "1111, which is not in this repository: fetch it (`git fetch"),
        (Play("x", base="HEAD"), 1, "untaken", "which is no id of a commit"),
        (Play("--- a/x\n+++ b/../../x\n@@ -0,0 +1 @@\n+y\n"), 1, "untaken", "does not apply"),
        (Play(new_file(".team/Run/outbox/x.md")), 1, "untaken", "has .team/Run/outbox/x.md, and .team/run belongs to"),
        (Play(new_file(".team", "120000")), 1, "untaken", "has .team, and .team/run belongs to the run"),
    ],
)
def test_each_end_is_an_outcome_of_its_own(scene, play, code, outcome, text):
    """No change is none, and a change that cannot be made here is lost to nobody: the session is gone on with."""
    with FakeJules(play, key=KEY) as jules:
        player = scene.player(jules)
        assert player.play() == code
        assert result(player)["outcome"] == outcome
        assert text in (transcript(player).failed or transcript(player).text)
        assert scene.record.over is ("not in this repository" not in text)
        assert scene.git("status", "--porcelain", cwd=player.place.workspace).strip() == "?? .team/"
        (scene.home / "runs" / player.place.run).mkdir(parents=True)  # the machine went down before the keeper's report
        scene.player(jules).play()
        assert len(jules.sessions) == (1 if outcome != "broken" else 2)
        scene.player(jules).play()  # the folder of that run was removed long after its end
        assert len(jules.sessions) == (1 if not scene.record.over else 3 if outcome == "broken" else 2)


def test_a_session_whose_create_was_not_answered_is_found(scene):
    """By the mark in its title: at once, and by the next run if this one is cut off before it can look."""
    with FakeJules(Play(scene.patch, scene.begun), key=KEY) as jules:
        jules.lost = 1
        assert scene.player(jules).play() == 0
        assert len(jules.sessions) == 1
    with FakeJules(Play(scene.patch, scene.begun), key=KEY) as jules:
        scene.home = scene.home.with_name("another")
        jules.lost = 1
        with pytest.raises(Cut):
            scene.player(jules, clock=Cutting(1)).play()
        assert (len(jules.sessions), scene.record.session) == (1, "")
        assert scene.player(jules).play() == 0
        assert [*jules.sessions] == [scene.record.session]


@pytest.mark.parametrize("sleeps", [1, 3, 4])
def test_a_run_that_is_killed_leaves_a_session_that_the_next_one_goes_on_with(scene, sleeps):
    """Whenever it is: there is one session, and its question is the same mail."""
    with FakeJules(Play(scene.patch.rstrip("\n"), scene.begun, asks="Which?"), key=KEY) as jules:
        first = scene.player(jules, clock=Cutting(sleeps))
        with pytest.raises(Cut):
            first.play()
        second = scene.player(jules)
        second.clock.sleep = lambda _: answer(jules)
        assert second.play() == 0
    assert [*jules.sessions] == [scene.record.session]
    assert mails(first).items() <= mails(second).items()
    assert (second.place.workspace / "list.txt").read_text() == "a\nbee\nc\n"
    assert scene.record.run == second.place.run


class Dying(JsonApi):
    """A connection whose run is killed before or after the n-th request."""

    def _exchanged(self, *request):
        number = next(self._clock.requests)
        if (number, "before") == self._clock.end:
            raise Cut
        try:
            return super()._exchanged(*request)
        finally:
            if (number, "after") == self._clock.end:
                raise Cut


@pytest.mark.parametrize(("number", "when"), each_once(range(8), ("before", "after")))
def test_there_is_one_session_wherever_a_run_is_killed(scene, number, when):
    """Before or after any request to Jules; the next run brings its change home."""
    with FakeJules(Play(scene.patch, scene.begun, says="Done."), key=KEY) as jules:
        first = scene.player(jules)
        first.clock.requests, first.clock.end = itertools.count(), (number, when)
        first.client._api = Dying(jules.url, lambda: {"X-Goog-Api-Key": KEY}, clock=first.clock)
        with pytest.raises(Cut):
            first.play()
        second = scene.player(jules)
        assert second.play() == 0
        assert [*jules.sessions] == [scene.record.session]
    assert (second.place.workspace / "list.txt").read_text() == "a\nbee\nc\n"
    assert scene.record.earlier == ()


class Once(JulesClient):
    """A client whose run is killed when it has sent a message."""

    def send_message(self, session, prompt, *, done=None):
        super().send_message(session, prompt, done=done)
        raise Cut


def test_an_answer_reaches_jules_once_though_its_run_is_killed_at_that(scene):
    """The next run asks by the same mail, sees that Jules has heard the answer, and counts it as read."""
    (scene.home / "personas").mkdir(parents=True)
    (scene.home / "personas" / "ann.md").write_text("---\nid: ann\n---\nMind it.\n")
    mailbox = open_mailbox(scene.home, create=True)

    def person(_):
        """Answer the question once; once the answer is read, let the session end."""
        threading.Event().wait(0.02)  # for the mail process
        questions = [row for row in mailbox.inbox("you") if row.type == "question"]
        if questions and not mailbox.inbox("ann"):
            mailbox.reply(Letter("you", [], body="The first"), str(questions[0].seq))
        if mailbox.inbox("ann") and not mailbox.unread(["ann"]):
            jules.change(scene.record.session, Play(says="Done."))

    def played(player):
        player.clock.sleep = person
        with MailProcess(player.place.workspace, "ann", player.place.run, scene.home, "you"):
            return player.play()

    with FakeJules(Play(end="stuck", asks="Which?"), key=KEY) as jules:
        first = scene.player(jules)
        first.client = Once(KEY, url=jules.url)
        with pytest.raises(Cut):
            played(first)
        assert mailbox.unread(["ann"])
        assert played(scene.player(jules)) == 0
        assert jules.said(scene.record.session) == ["The first"]
    assert len([row for row in mailbox.inbox("you") if row.type == "question"]) == 1


def test_a_session_that_was_deleted_is_replaced(scene):
    """As its run cannot go on with it, whatever the record says."""
    with FakeJules(Play(end="stuck"), key=KEY) as jules:
        with pytest.raises(Cut):
            scene.player(jules, clock=Cutting(2)).play()
        gone = scene.record.session
        jules.delete(gone)
        jules.play = Play(says="Done.")
        assert scene.player(jules).play() == 0
    assert scene.record.earlier == (gone,)


def test_a_session_that_is_stuck_is_given_up_for_another(scene):
    """Once it has been at work for longer than a run may take."""
    with FakeJules(Play(end="stuck"), key=KEY) as jules:
        clock = Cutting(9)
        with pytest.raises(Cut):
            scene.player(jules, clock=clock).play()
        jules.play = Play(scene.patch, scene.begun)
        clock.current, clock.left = clock.current.replace(year=2027), 99
        player = scene.player(jules, clock=clock)
        assert player.play() == 0
        assert scene.record.earlier == (next(iter(jules.sessions)),)
    assert len(jules.sessions) == 2
    assert "is IN_PROGRESS: https://jules.google.com/session/" in player.printer.out.getvalue()


def test_a_pull_request_and_a_base_that_is_not_here_are_fetched(scene, tmp_path):
    """From the repository that Jules works on; the change of another line of history is merged into the run's base."""
    origin = tmp_path / "origin"
    scene.git("clone", "-q", "--bare", str(scene.shop), str(origin))
    work = tmp_path / "work"
    scene.git("clone", "-q", str(origin), str(work))
    (work / "list.txt").write_text("a\nb\nc\nd\ne\n")
    scene.git("commit", "-qam", "By somebody else", cwd=work)
    other = scene.git("rev-parse", "HEAD", cwd=work).strip()
    (work / "list.txt").write_text("first\na\nb\nc\nd\ne\n")
    patch = scene.git("diff", cwd=work)
    scene.git("commit", "-qam", "By Jules", cwd=work)
    scene.git("push", "-q", "origin", "HEAD:refs/pull/7/head", f"{other}:refs/heads/other", cwd=work)

    with FakeJules(Play(patch, other), key=KEY) as jules:
        player = scene.player(jules, remote=str(origin))
        assert player.play() == 0
        assert (player.place.workspace / "list.txt").read_text() == "first\na\nb\nc\nd\n"
        assert result(player)["base"] == scene.head

        jules.play = Play(pull_request="https://github.com/acme/shop/pull/7")
        player = scene.player(jules, remote=str(origin))
        player.place = replace(player.place, work="another")
        assert player.play() == 0
        assert (player.place.workspace / "list.txt").read_text() == "first\na\nb\nc\nd\ne\n"
        assert result(player)["base"] == scene.head


def test_a_session_starts_from_what_its_run_finds_if_that_is_pushed(scene, tmp_path):
    """The newest commit, with the merge of a patch that conflicted; its branch is there as long as it is needed."""
    origin = tmp_path / "origin"
    scene.git("clone", "-q", "--bare", str(scene.shop), str(origin))
    marks = scene.change("list.txt", "a\n<<<<<<<\nb\n=======\nbe\n>>>>>>>\nc\nd\n")
    settled = "a\nb and be\nc\nd\n"
    started = []

    def play(body):
        branch = body["sourceContext"]["githubRepoContext"]["startingBranch"]
        started.append(scene.git("rev-parse", branch, cwd=origin).strip())
        (found := tmp_path / "found").mkdir()
        scene.git("clone", "-q", "--branch", branch, str(origin), str(found))
        assert "<<<<<<<" in (found / "list.txt").read_text()
        (found / "list.txt").write_text(settled)
        return Play(scene.git("diff", cwd=found), started[0], says="Settled.")

    with FakeJules(play, key=KEY) as jules:
        player = scene.player(jules, remote=str(origin), push=True)
        merged = player.place.workspace / MERGED
        merged.parent.mkdir(parents=True)
        merged.write_text(marks)
        scene.git("apply", str(merged), cwd=player.place.workspace)
        assert player.play() == 0
    assert (player.place.workspace / "list.txt").read_text() == settled
    assert result(player)["base"] == scene.head != started[0]
    assert scene.git("branch", "--list", "team-mail/*", cwd=origin) == ""
    (body,) = jules.sessions.values()
    assert "what it says is merged into them is." in body["prompt"]

    refused = scene.player(jules, push=True)
    refused.place = replace(refused.place, work="another")
    assert refused.play() == 1
    assert "there is no remote to push to" in transcript(refused).failed


def test_no_more_sessions_are_created_at_once_than_the_settings_say(scene):
    """Among all runs of a team, as each is a process of its own."""
    with FakeJules(Play(), key=KEY, burst=2, create_takes=0.05) as jules:
        players = [scene.player(jules, creates=2, run=f"r{number}", tries=1) for number in range(5)]
        for number, player in enumerate(players):
            player.place = replace(player.place, work=f"task {number}")
            player.clock = type("Quick", (ManualClock,), {"sleep": lambda self, _: threading.Event().wait(0.01)})()
        threads = [threading.Thread(target=player.play) for player in players]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert (len(jules.sessions), jules.most_flying) == (5, 2)
    assert len([*Records(scene.home).all()]) == 5


def test_work_with_a_long_name_has_a_record_of_its_own(scene):
    """Whatever it shares with others, such as the beginning, or letters that no file may have in its name."""
    records, works = Records(scene.home), ["x" * 300 + "1", "x" * 300 + "2", "a/b", "a_b"]
    for work in works:
        records.write(Record("ann", work, "run", work, "", "2026-01-01T00:00:00Z"))
    assert [records.read("ann", work).mark for work in works] == works


def test_mail_of_a_run_is_for_its_session(scene):
    """What stood in the prompt of a new one is not said again."""
    with FakeJules(Play(says="Done."), key=KEY) as jules:
        player = scene.player(jules)
        (player.place.workspace / ".team/run/inbox/4.md").write_text("x")
        assert player.play() == 0
    assert scene.record.heard == {"4": SENT}
    assert jules.said(scene.record.session) == []
