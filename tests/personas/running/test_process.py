"""An agent's processes: whatever they do, they end in time, the outcome says how, and none survives (T15, A8)."""

import json
import os
import re
import sys
import threading
import time

import psutil
import pytest
from team_mail.personas.agents.command import CommandAgent
from team_mail.personas.kinds import OutcomeStatus
from team_mail.personas.running.process import RunLimits

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a process may leave its group")
HOP = (
    'trap "" TERM; setsid sh "$0" "$1" & exit 0'  # starts its successor and ends: a list of pids is always out of date
)
DAEMONS = (
    """mkfifo up; (setsid env -i sh -c '(setsid sh -c "echo > up; exec sleep 60" {run} &); exec sleep 60' {run} &)"""
)
STORM = {
    # name: (script, timeout, status, what the detail says)
    "exits": ("exit 3", 20, "failed", "exit 3"),
    "crashes": ("kill -SEGV $$", 20, "failed", "killed by SIGSEGV"),
    "hangs": ("sleep 60", 0.3, "timeout", "no end within 0.3s"),
    "ignores TERM": ("trap '' TERM; while :; do sleep 0.05; done", 0.3, "timeout", "no end within 0.3s"),
    "has no time": ("sleep 60", 0, "timeout", "no end within 0s"),
    "stops itself": ("kill -STOP $$", 0.3, "timeout", "no end within 0.3s"),
    "stops its keeper": ("kill -STOP $PPID; sleep 60", 0.3, "timeout", "no end within 0.3s"),
    "holds the pipe": ("sleep 60 & echo said", 20, "ok", "exit 0; ended 1 process that it left behind"),
    "forks": ("for i in $(seq 100); do sleep 60 & done", 20, "ok", "exit 0; ended 100 processes"),
    "double-forks, setsid, no environment": ("{daemons}; cat up", 20, "ok", "exit 0; ended 2 processes"),
    "hops": ("echo '{hop}' > hop; sh hop {run}; trap '' TERM; exec sleep 60", 0.3, "timeout", "no end within 0.3s"),
    "floods output": ("exec yes", 0.3, "timeout", "no end within 0.3s; output over 100 kB, "),
    "fills the disk": ("while :; do head -c 900000 /dev/zero >> f$((n+=1)); done", 20, "quota", "more than 8 MB in"),
    "writes one huge file": ("exec head -c 99000000 /dev/zero > huge", 20, "quota", "more than 8 MB in its workspace"),
}  # fmt: skip


@LINUX
@pytest.mark.parametrize("name", STORM)
def test_an_agent_is_ended_in_time_with_all_its_processes(job, output, survivors, name):
    """Whatever it does, it ends within its timeout and grace period, with a reason, and its tree is gone (T15)."""
    script, timeout, status, detail = STORM[name]
    this, limits = job(timeout=timeout), RunLimits(output=100_000, workspace=8_000_000, grace=0.2)
    command = ("sh", "-c", script.replace("{hop}", HOP).replace("{daemons}", DAEMONS))
    began = time.monotonic()
    outcome = CommandAgent("a", command, limits=limits).play(this)
    took = time.monotonic() - began

    assert outcome.status == status
    assert outcome.detail.startswith(detail)
    assert not survivors(this.run)
    assert took < (timeout if timeout < 20 else 5) + limits.grace + 3
    size = (this.folder / "output.log").stat().st_size
    assert size < 100_200
    if outcome.cut:
        assert re.search(r"(?m)^\[output cut here: \d+ bytes left out\]$", output(this))
    ended = json.loads((this.folder / "ended.json").read_text())
    print(
        f"{name}: {outcome.detail}; {took:.2f} s of {timeout:g} + {limits.grace:g}, {ended['survivors']} killed, 0 left"
    )


FINAL = """echo '{"type": "result", "is_error": %s, "result": "Done."}'; """


@LINUX
@pytest.mark.parametrize(
    ("script", "timeout", "settle", "status", "detail"),
    [
        (
            FINAL % "false" + "exec sleep 60",
            20,
            0.3,
            "ok",
            "finished, but still running 0.3s after its",
        ),
        (
            FINAL % "false" + "exec sleep 60",
            0.5,
            30,
            "ok",
            "finished, but still running 30s after its",
        ),
        (FINAL % "true" + "exec sleep 60", 20, 0.3, "failed", ", but the agent reported an error: Done."),
        (FINAL % "false" + "sleep 1; exit 3", 20, 30, "failed", "exit 3, after a final event that says success"),
        (FINAL % "false" + "kill -9 $$", 20, 30, "failed", "killed by SIGKILL"),
        (FINAL % "false" + "exec sleep 60", 0.3, None, "timeout", "no end within 0.3s"),
        ("""echo '{"type": "result", "status": "ok"}'; exec sleep 60""", 0.5, 0.1, "timeout", "no end within 0.5s"),
    ],
    ids=["waits", "timeout comes first", "says error", "exit code", "killed", "not asked for", "a script's own JSON"],
)
def test_an_agent_that_does_not_end_after_its_final_event_is_ended(
    job, shell, survivors, script, timeout, settle, status, detail
):
    """What it has finished is not dropped because something that it started keeps it open."""
    this, limits = job(timeout=timeout), RunLimits(grace=0.2, settle=settle)
    outcome = shell(script, limits=limits).play(this)
    assert (outcome.status, detail in outcome.detail) == (status, True)
    assert not survivors(this.run)


def test_an_agent_goes_on_after_a_final_event_that_was_not_the_last(job, shell, output):
    """A new turn takes the time that it needs."""
    more = """echo '{"type": "assistant", "message": {"content": "More."}}'; sleep 0.6; """
    outcome = shell(f"{FINAL % 'false'}{more}{FINAL % 'false'}", limits=RunLimits(grace=0.2, settle=0.3)).play(job())
    assert (outcome.status, outcome.detail) == ("ok", "exit 0")


def test_an_agent_that_does_nothing_is_ended(job, shell):
    """It is idle if it prints nothing and changes no file; time has passed since it did either."""
    limits = RunLimits(grace=0.2, idle=0.4)
    outcome = shell(
        "sleep 0.2; mkdir -p a; touch a/b; sleep 0.3; rm a/b; sleep 0.3; echo x; exec sleep 60", limits=limits
    )
    ended = outcome.play(job())
    assert (ended.status, ended.detail) == ("timeout", "no output and no changed file for 0.4s")
    assert ended.seconds > 1.0


def test_an_exit_code_after_success_is_what_the_agent_says(job, shell):
    """Some end so after good work; it is told all the same, and a signal is never one of them."""
    outcome = shell(f"{FINAL % 'false'}exit 3", bad_exit="ok").play(job())
    assert (outcome.status, outcome.exit) == ("ok", 3)
    assert outcome.detail == "exit 3, after a final event that says success"
    assert shell(f"{FINAL % 'false'}kill -9 $$", bad_exit="ok").play(job()).status == "failed"
    assert shell("exit 3", bad_exit="ok").play(job()).status == "failed"


@LINUX
def test_a_line_of_a_hundred_megabytes_is_survived_in_little_memory(job, shell, output):
    """The keeper holds the beginning of a line at most, and the final event after it is read."""
    peak = "grep VmHWM /proc/$PPID/status; "
    this = job()
    outcome = shell(f"head -c 100000000 /dev/zero | tr '\\0' x; echo; {FINAL % 'false'}{peak}").play(this)
    (peak,) = re.findall(r"VmHWM:\s+(\d+) kB", output(this))
    print(f"the keeper's memory, at most: {int(peak) / 1000:.1f} MB")
    assert int(peak) < 12_000
    assert (outcome.status, outcome.cut) == ("ok", True)


@LINUX
@pytest.mark.parametrize("put", ["mkfifo output.log", "ln -s /etc/hostname output.log", "true", "mkdir output.log"])
def test_an_agent_cannot_put_anything_in_the_place_of_its_log(job, shell, output, put):
    """The keeper puts it back: what the agent said decides, and a pipe there would block its reader."""
    this = job()
    end = FINAL % "true"
    outcome = shell(f'cd "$TEAM_HOME/runs/$TEAM_RUN"; rm output.log; {put}; {end}').play(this)
    assert (outcome.status, outcome.detail) == ("failed", "exit 0, but the agent reported an error: Done.")
    assert output(this).startswith('{"type": "result"')


@pytest.mark.parametrize("first", ["", "kill -STOP $PPID;"], ids=["keeper runs", "keeper is stopped"])
def test_a_run_ends_when_it_is_asked_to_stop(job, shell, survivors, first):
    """Setting `stop` ends the run with its process tree; a run that is stopped before it begins never begins."""
    this = job()
    os.mkfifo(this.workspace / "ready")

    def stop():
        (this.workspace / "ready").read_text()
        assert psutil.pid_exists(int((this.folder / "heartbeat").read_text().split()[0]))
        this.stop.set()

    thread = threading.Thread(target=stop)
    thread.start()
    outcome = shell(f"{first} echo > ready; exec sleep 60").play(this)
    thread.join()
    assert (outcome.status, outcome.exit, outcome.detail) == ("stopped", None, "stopped")
    assert not survivors(this.run)
    assert not psutil.pid_exists(int((this.folder / "heartbeat").read_text().split()[0]))
    assert shell("touch began").play(this).status == "stopped"
    assert not (this.workspace / "began").exists()


@LINUX
def test_an_agent_that_kills_its_keeper_is_ended_too(job, shell, survivors):
    """The run has failed, says so, and the agent and its children are ended all the same."""
    this = job()
    outcome = shell("sleep 60 & kill -9 $PPID; sleep 60").play(this)
    assert (outcome.status, outcome.exit) == ("failed", None)
    assert outcome.detail == "the run's keeper ended before the run: it was killed"
    assert not survivors(this.run)


@LINUX
def test_a_keeper_is_named_by_pid_start_time_and_boot(job, shell, output):
    """The heartbeat tells the keeper from another process that was given the same pid later (A9)."""
    this = job()
    assert shell('cat "$TEAM_HOME/runs/$TEAM_RUN/heartbeat"').play(this).status == "ok"
    pid, start, boot, warden, version = output(this).split()
    assert pid.isdigit()
    assert warden.isdigit()
    assert int(start) > 0
    assert (len(boot), version) == (36, "1")


@LINUX
def test_an_agent_that_keeps_stopping_its_keeper_is_ended_all_the_same(job, shell, survivors, monkeypatch):
    """The keeper may get no chance to end the run; then it is killed, and the agent with it."""
    monkeypatch.setattr("team_mail.personas.running.process._LATE", 1.0)
    this = job(timeout=0.3)

    outcome = shell("while :; do kill -STOP $PPID; done").play(this)

    assert outcome.status in {OutcomeStatus.TIMEOUT, OutcomeStatus.FAILED}
    assert not survivors(this.run)
