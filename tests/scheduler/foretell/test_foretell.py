"""Conflicts told while they are cheap: real sprints whose runs meet each other, or what has landed."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import threading
import time
from contextlib import suppress

import pytest
from team_mail.mail.clock import SystemClock
from team_mail.scheduler.foretell.looker import Looker, OpenRun
from team_mail.scheduler.sprint.status import status

from ...conftest import start_over
from ...waiting import until_there

PATIENCE = 30.0
AT_ONCE = '[sprint]\ngather = "0s"\nretry_backoff = "0s"\n'


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Rounds follow each other at once."""
    monkeypatch.setattr("team_mail.scheduler.foretell.foreteller.PAUSE", 0.02)


def inbox(job):
    return job.workspace / ".team/run/inbox"


def told(job, number=1):
    """Wait for a notice and return it."""
    notice, end = inbox(job) / f"conflict-{number}.md", time.monotonic() + PATIENCE
    until_there(notice, lambda: time.monotonic() < end)
    return notice.read_text()


def events(team, kind="run.foretold"):
    return [event for event in team.context().mailbox.log.read() if event.kind == kind]


def once(play):
    """What a persona does in its first run; in another one it gives its change up."""
    return lambda job: play(job) if job.attempt == 1 else start_over(job)


class Meet:
    """Scripts that write at the same time: nobody ends before all are through with what they wait for."""

    def __init__(self, number):
        self.barrier = threading.Barrier(number)

    def all(self):
        self.barrier.wait(PATIENCE)


def test_two_runs_that_change_the_same_lines_are_told_once_each(team):
    """Three lines: who and where, what it is becoming, what to do; the first one goes on, the other one stays out."""
    meet, notices, left = Meet(2), {}, {}

    def script(name):
        def play(job):
            team.replaced(3, f"{name} was here")(job)
            notices[name] = told(job)
            meet.all()
            (job.workspace / f"{name}.txt").write_text("more\n")  # another look, which tells nothing new
            left[name] = sorted(path.name for path in inbox(job).iterdir())

        return once(play)

    team.sprint({"ann": script("ann"), "bob": script("bob")}, AT_ONCE)
    first, last = sorted(notices.values(), key=lambda text: "You were there first" not in text)
    assert "Stay out of line 4 of poem.txt" in last
    assert "You were there first" in first
    for name, other in (("ann", "bob"), ("bob", "ann")):
        who, what, advice = notices[name].splitlines()
        assert who.startswith(f"{other} (run ")
        assert "poem.txt, line 4" in who
        assert f"`{other} was here`" in what
        assert advice
    assert left == {"ann": ["conflict-1.md"], "bob": ["conflict-1.md"]}
    assert sorted(event.data["persona"] for event in events(team)) == ["ann", "bob"]
    assert all(event.data["delivered"] for event in events(team))


def test_runs_that_do_not_meet_are_told_nothing(team):
    """Other lines of the same file merge without anybody."""
    meet = Meet(3)

    def script(name, line):
        def play(job):
            team.replaced(line, f"{name} was here")(job)
            meet.all()
            if name == "cyd":  # by now a look has come: this one meets ann
                team.replaced(3, "cyd too")(job)
                told(job)
            meet.all()

        return once(play)

    team.sprint({"ann": script("ann", 3), "bob": script("bob", 13), "cyd": script("cyd", 23)}, AT_ONCE)
    assert {event.data["persona"] for event in events(team)} == {"ann", "cyd"}


def test_a_run_is_told_that_the_base_moved_with_all_that_it_takes_to_take_it_in(team):
    """The command does it, the merged file shows it, and the patch lands without a conflict then."""
    landed = threading.Event()

    def bob(job):
        team.replaced(3, "bob")(job)
        notice = told(job, 2) if (inbox(job) / "conflict-1.md").exists() else told(job)
        if "The base moved" not in notice:
            notice = told(job, 2)
        who, what, advice = notice.splitlines()
        assert who.startswith("ann (run ")
        assert "has landed: poem.txt, line 4" in who
        assert "`ann`" in what
        merged = next(inbox(job).glob("*.merged")).read_text()
        assert "<<<<<<<" in merged
        assert "ann" in merged
        assert "bob" in merged
        subprocess.run(shlex.split(advice.split("`")[1]), cwd=job.workspace, check=False, capture_output=True)
        text = (job.workspace / "poem.txt").read_text()
        assert "<<<<<<<" in text
        (job.workspace / "poem.txt").write_text(settled(text))
        subprocess.run(shlex.split(advice.split("`")[3]), cwd=job.workspace, check=True)
        landed.set()

    team.sprint({"ann": team.replaced(3, "ann"), "bob": once(bob)}, AT_ONCE)
    assert landed.is_set()
    assert "patch.conflicted" not in team.kinds("patch")
    assert sorted(team.text("team/sprint-1")[3:5]) == ["ann", "bob"]


def settled(text):
    marks = ("<<<<<<<", "=======", ">>>>>>>")
    return "".join(row for row in text.splitlines(keepends=True) if not row.startswith(marks))


@pytest.mark.parametrize("word", ["off", "yield"])
def test_the_settings_say_what_is_told(team, word):
    """Nothing at all, or that the later one is to leave the place."""
    notices, meet = {}, Meet(2)

    def script(name):
        def play(job):
            team.replaced(3, f"{name} was here")(job)
            if word != "off":
                notices[name] = told(job)
            meet.all()

        return once(play)

    team.sprint({"ann": script("ann"), "bob": script("bob")}, f'{AT_ONCE}foretell = "{word}"\n')
    assert len(events(team)) == (0 if word == "off" else 2)
    assert sum("put it back as it is in your base" in text for text in notices.values()) == (word == "yield")


def test_an_agent_that_bends_its_inbox_is_told_nothing_and_harms_nobody(team, tmp_path):
    """A link leads nowhere; a folder that is gone is made again; a notice that was deleted is not written again."""
    outside, notices, meet = tmp_path / "outside", {}, Meet(3)
    outside.mkdir()

    def ann(job):
        shutil.rmtree(inbox(job))
        inbox(job).symlink_to(outside)
        team.replaced(3, "ann")(job)
        meet.all()

    def bob(job):
        shutil.rmtree(inbox(job))
        team.replaced(3, "bob")(job)
        while not inbox(job).is_dir():
            with suppress(FileNotFoundError):
                until_there(inbox(job))
        notices["bob"] = told(job)
        (inbox(job) / "conflict-1.md").unlink()
        team.replaced(4, "bob more")(job)
        (job.workspace / "other.txt").write_text("bob\n")
        meet.all()
        assert not (inbox(job) / "conflict-1.md").exists()

    def cyd(job):  # meets bob a second time, elsewhere: so a round has come after bob's second change
        team.replaced(20, "cyd")(job)
        meet.all()

    team.sprint({"ann": once(ann), "bob": once(bob), "cyd": once(cyd)}, AT_ONCE)
    assert list(outside.iterdir()) == []
    delivered = {event.data["persona"]: event.data["delivered"] for event in events(team)}
    assert delivered == {"ann": False, "bob": True}


def test_foreign_text_is_escaped(team):
    """Names of files and the lines of others are one line each, and control nothing."""
    name, notices, meet = "a\x1b[2J\nb\u202e.txt", {}, Meet(2)

    def script(who):
        def play(job):
            (job.workspace / name).write_text(f"{who} \x1b]0;title\x07\n")
            notices[who] = told(job)
            meet.all()

        return once(play)

    team.sprint({"ann": script("ann"), "bob": script("bob")}, AT_ONCE)
    for notice in notices.values():
        assert len(notice.splitlines()) == 3
        assert "a\\x1b[2J\\nb\\u202e.txt" in notice
        assert not set(notice) & {"\x1b", "\x07", "\u202e"}


def test_a_later_scheduler_tells_nothing_again_and_people_see_where_runs_are(team):
    """What was told is on record; where a run is, the status says while it goes on."""
    meet, seen, runs = Meet(2), {}, []

    def script(name):
        def play(job):
            team.replaced(3, f"{name} was here")(job)
            told(job)
            runs.append(job)
            meet.all()
            if name == "bob":
                seen["before"] = len(events(team))
                look_anew(team, runs)
                seen["after"] = len(events(team))
                context = team.context()
                current = status(context, context.clock.now())
                seen["where"] = {pulse.run.persona: pulse.places.shown for pulse in current.runs if pulse.places.files}
                seen["json"] = [run["places"] for run in current.document()["runs"] if run["places"]]
            meet.all()

        return once(play)

    team.sprint({"ann": script("ann"), "bob": script("bob")}, AT_ONCE)
    assert seen["before"] == seen["after"] == 2
    assert seen["where"] == {"ann": "poem.txt:4", "bob": "poem.txt:4"}
    assert seen["json"] == [[{"file": "poem.txt", "lines": [[4, 4]]}]] * 2


def look_anew(team, runs):
    """Look at runs as a scheduler does that has just taken them over."""
    context, base = team.context(), team.git("rev-parse", "main")
    with Looker(context, SystemClock(), lambda: False) as looker:
        looker.round([
            OpenRun(job.run, job.persona, context.mirror.left(job.run, base), job.folder) for job in runs
        ], moved=True)  # fmt: skip
        assert all(each.applied and each.applied.changes for each in looker._watched.values())


def test_what_is_removed_after_the_end_of_a_run_is_none_of_its_changes(team):
    """A run may end while it is looked at; then its workspace goes, file by file."""
    seen = []

    def ann(job):
        context, base = team.context(), team.git("rev-parse", "main")
        (job.workspace / "poem.txt").unlink()
        run = OpenRun(job.run, job.persona, context.mirror.left(job.run, base), job.folder)
        with Looker(context, SystemClock(), lambda: False) as looker:
            for is_open in (False, True):
                looker.round([run], moved=True, is_open=lambda _, is_open=is_open: is_open)
                applied = looker._watched[job.run].applied
                seen.append(applied and applied.files)

    team.sprint({"ann": ann}, f'{AT_ONCE}foretell = "off"\n')
    assert seen == [None, ("poem.txt",)]


def test_who_begins_to_look_anew_tells_nothing_again(team, monkeypatch):
    """What is stored for looking is thrown away when it is too much; what was told is on record."""
    begun, often, enter = [], threading.Event(), Looker.__enter__
    monkeypatch.setattr("team_mail.scheduler.foretell.looker._MOST_PACKS", -1)
    monkeypatch.setattr("team_mail.scheduler.foretell.looker._ROUNDS", 1)

    def counted(self):
        begun.append(self)
        if len(begun) > 3:
            often.set()
        return enter(self)

    monkeypatch.setattr(Looker, "__enter__", counted)

    def script(name):
        def play(job):
            team.replaced(3, f"{name} was here")(job)
            told(job)
            assert often.wait(PATIENCE)

        return once(play)

    team.sprint({"ann": script("ann"), "bob": script("bob")}, AT_ONCE)
    assert sorted(event.data["persona"] for event in events(team)) == ["ann", "bob"]
