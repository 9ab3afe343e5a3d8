"""The warden: it starts keepers, is the subreaper of what they leave, and ends with its last run."""

import ctypes
import os
import signal
import sys
import threading
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from team_mail.mail.ancestors import part_of
from team_mail.personas.errors import RunCut, RunLeft
from team_mail.personas.keeping.words import ROOM
from team_mail.personas.running import process as module
from team_mail.personas.running.mail_process import MailProcess
from team_mail.personas.running.process import is_going, rejoin
from team_mail.personas.running.warden_process import leased

from ...waiting import until_there

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a process may leave its group")
PR_GET_CHILD_SUBREAPER = 37
# Clears its environment, leaves its session, forks twice, and kills the keeper above the agent and perhaps more.
KILLER = (
    "mkfifo up; setsid env -i sh -c '(setsid sh -c "
    '"echo \\$\\$ > up; until test -s pid; do :; done; {kill}; exec sleep 60") & exit\' & '
    "cat up > pid; exec sleep 60"
)


def wardens() -> list[psutil.Process]:
    """Return the wardens that this process has started."""
    living = [child for child in psutil.Process().children() if child.status() != psutil.STATUS_ZOMBIE]
    return [child for child in living if "warden" in child.cmdline()]


def test_a_process_that_kills_its_keeper_is_ended_whatever_its_environment_and_session(job, shell, survivors):
    """Nothing about it tells whose it is, but the warden is its parent once the keeper is gone."""
    this = job()
    outcome = shell(KILLER.format(kill="kill -9 $PPID").replace("$PPID", "'$PPID'")).play(this)
    assert outcome.detail == "the run's keeper ended before the run: it was killed"
    assert not psutil.pid_exists(int((this.workspace / "pid").read_text()))
    assert not survivors(this.run)


def test_runs_share_a_warden_that_ends_with_the_last(job, shell):
    """It is small, and is no child of anybody afterwards."""
    this, seen = job(), []
    with leased():
        for _ in range(2):
            assert shell("true").play(this).status == "ok"
            (warden,) = wardens()
            seen.append(warden.pid)
            assert warden.cwd() == "/"
            assert set(warden.environ()) <= {"LD_LIBRARY_PATH", "LC_CTYPE"}
        size = warden.memory_info().rss
    assert len(set(seen)) == 1
    assert not psutil.pid_exists(seen[0])
    print(f"warden: {size / 1e6:.1f} MB")
    assert size < 12_000_000


@pytest.mark.parametrize("depth", [1, 12])
def test_a_keeper_has_words_of_its_own_whether_or_not_they_find_room(job, shell, depth):
    """Everybody reads its run, home and workspace there, be they longer than what the warden keeps for them."""
    this = replace(job(), home=Path("/" + "/".join(["h" * 200] * depth)))
    assert (
        shell("cat /proc/$PPID/cmdline > words; tr '\\0' ' ' < /proc/$PPID/environ > variables").play(this).status
        == "ok"
    )

    words = (this.workspace / "words").read_text().rstrip("\0").split("\0")
    assert (len(str(this.home)) > ROOM) == (depth == 12)
    assert part_of(words) == ["keeper", this.run, str(this.home), str(this.workspace)]
    assert words[0] == sys.executable
    assert "TEAM_" not in (this.workspace / "variables").read_text()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may look into a keeper")
def test_a_keeper_has_nothing_open_of_another_run(job, shell):
    """Its own pipes and lock, and the warden's lifeline to read: who is killed is noticed by the others."""
    one, two = job(), job()
    two = replace(two, run=f"{two.run}-two", folder=two.folder.with_name("two"))
    os.mkfifo(one.workspace / "go")
    with leased():
        thread = threading.Thread(target=shell("echo > up; cat go").play, args=[one])
        thread.start()
        until_there(one.workspace / "up", thread.is_alive)
        assert shell("ls -l /proc/$PPID/fd > open").play(two).status == "ok"
        (one.workspace / "go").write_text("on\n")
        thread.join()

    links = [row.split(" -> ")[1] for row in (two.workspace / "open").read_text().splitlines()[1:]]
    assert not [link for link in links if "inotify" in link or "socket:" in link or link.startswith(str(one.folder))]
    assert links.count(f"{two.folder}/alive") == 1
    assert len(links) <= 10


def test_nothing_becomes_the_subreaper_of_a_program_that_runs_agents(job, shell):
    """Its own children that lose their parents are adopted by whoever adopted them before."""
    answer = ctypes.c_int(7)
    with leased():
        assert shell("true").play(job()).status == "ok"
        ctypes.CDLL(None).prctl(PR_GET_CHILD_SUBREAPER, ctypes.byref(answer))
    assert answer.value == 0


@pytest.mark.parametrize("number", [signal.SIGKILL, pytest.param(signal.SIGTERM, marks=pytest.mark.storm)])
def test_a_run_is_cut_off_with_its_warden_and_the_next_gets_another(job, shell, survivors, number):
    """No process is without a keeper, and no keeper without a warden; nobody takes that for a person's wish."""
    this = job()
    with leased():
        with pytest.raises(RunCut, match="its warden was killed"):
            shell(f"kill -{number:d} $(ps -o ppid= -p $PPID); exec sleep 60").play(this)
        assert not survivors(this.run)
        assert shell("true").play(this).status == "ok"


def test_a_keeper_or_warden_that_an_agent_has_stopped_goes_on(job, shell):
    """SIGSTOP costs some seconds, and no run waits for its timeout."""
    with leased():
        this = job()
        assert shell("kill -STOP $(ps -o ppid= -p $PPID)").play(this).status == "ok"
        assert shell("kill -STOP $PPID").play(this).status == "ok"
        assert shell("true").play(this).status == "ok"


def test_a_stopped_warden_of_another_process_goes_on_when_its_run_is_rejoined(job, shell, survivors):
    """Its scheduler is gone, and so is whoever would have noticed."""
    leave = threading.Event()
    this = replace(job(timeout=60.0), leave=leave)
    os.mkfifo(this.workspace / "up")
    thread = threading.Thread(target=lambda: ((this.workspace / "up").read_text(), leave.set()))
    thread.start()
    with pytest.raises(RunLeft):
        shell("kill -STOP $(ps -o ppid= -p $PPID); echo > up").play(this)
    thread.join()
    outcome = rejoin(replace(this, leave=None), "sh", module.RunLimits())
    assert outcome is not None
    assert (outcome.status, outcome.seconds < 30) == ("ok", True)
    assert not is_going(this.folder)


def test_two_runs_at_once_end_independently(job, shell, survivors):
    """One of them kills its keeper; the other one goes on."""
    one, two = job(), job()
    two = replace(two, run=f"{two.run}-two", folder=two.folder.with_name("two"))
    os.mkfifo(one.workspace / "go")
    with leased():
        outcomes = {}

        def play() -> None:
            outcomes["two"] = shell("cat go").play(two)

        thread = threading.Thread(target=play)
        thread.start()
        assert shell("kill -9 $PPID; sleep 60").play(one).status == "failed"
        (one.workspace / "go").write_text("on\n")
        thread.join()
    assert outcomes["two"].status == "ok"
    assert not survivors(one.run)


def test_a_run_that_may_outlive_its_scheduler_is_left_and_rejoined(job, shell, survivors):
    """Between the two nobody waits for it, and its end is known all the same; a second process is no hindrance."""
    leave = threading.Event()
    this = replace(job(), leave=leave)
    os.mkfifo(this.workspace / "up")
    os.mkfifo(this.workspace / "go")
    thread = threading.Thread(target=lambda: ((this.workspace / "up").read_text(), leave.set()))
    thread.start()
    with pytest.raises(RunLeft):
        shell("echo > up; cat go; exit 3").play(this)
    thread.join()
    assert is_going(this.folder)

    (this.workspace / "go").write_text("on\n")
    outcome = rejoin(replace(this, leave=None), "sh", module.RunLimits())
    assert outcome is not None
    assert (outcome.status, outcome.exit, outcome.detail) == ("failed", 3, "exit 3")
    assert not is_going(this.folder)
    assert not survivors(this.run)


def test_a_run_that_was_left_is_stopped_by_whoever_rejoins_it(job, shell, survivors):
    """As a person asked for its end while nobody led."""
    leave = threading.Event()
    this = replace(job(), leave=leave)
    os.mkfifo(this.workspace / "up")
    thread = threading.Thread(target=lambda: ((this.workspace / "up").read_text(), leave.set()))
    thread.start()
    with pytest.raises(RunLeft):
        shell("echo > up; exec sleep 60").play(this)
    thread.join()
    later = replace(this, leave=None)
    later.stop.set()
    outcome = rejoin(later, "sh", module.RunLimits())
    assert outcome is not None
    assert (outcome.status, outcome.detail) == ("stopped", "stopped")
    assert not survivors(this.run)


def test_the_end_of_a_run_comes_after_its_mail_is_sent(job, shell, tmp_path):
    """What it leaves at its very end is on record when its scheduler is told that it is over."""
    from team_mail.mail.log.log import EventLog
    from team_mail.personas.running.folder import RunFolder

    this = job()
    RunFolder(this.workspace).make()
    mail = MailProcess(this.workspace, "bob", this.run, tmp_path)
    letter = "printf -- '---\\nto: you\\nsubject: Bye\\n---\\nx\\n' > .team/run/outbox/bye.md"
    assert shell(letter).play(replace(this, mail=mail.command)).status == "ok"
    (sent,) = [event for event in EventLog(tmp_path / "mail").read() if event.kind == "mail.sent"]
    assert (sent.sender, sent.subject, sent.run) == ("bob", "Bye", this.run)
