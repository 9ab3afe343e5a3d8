"""Agents brought to life and ended: what they are told, what they see, and that nothing of them lives on (T15, A8)."""

import json
import os
import re
import select
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from team_mail.personas.agent import Job, Outcome
from team_mail.personas.agents.command import PASSED, CommandAgent
from team_mail.personas.agents.replay import ReplayAgent
from team_mail.personas.agents.scripted import ScriptedAgent
from team_mail.personas.running.output import Output
from team_mail.personas.running.process import RunLimits
from team_mail.personas.running.sweep import alive, sweep
from team_mail.personas.running.tree import descendants, stat

QUICK = RunLimits(grace=0.2)
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a process may leave its group")
DRIVER = """
import sys
from pathlib import Path
from team_mail.personas.agent import Job
from team_mail.personas.agents.command import CommandAgent
home, run, script = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
job = Job(run, "bob", 1, 1, "", home / "work", home / "runs" / run, home, 60.0)
CommandAgent("a", ("sh", "-c", script)).play(job)
"""


@pytest.fixture
def job(tmp_path, request):
    """Make a job whose run is named like no other, so that its processes can be found."""
    (tmp_path / "work").mkdir()
    run = f"run-{os.getpid()}-{re.sub(r'[^a-z0-9]+', '-', request.node.name.lower())}"

    def make(prompt="do it", timeout=20.0, attempt=1, persona="bob"):
        folder = tmp_path / "runs" / run
        return Job(run, persona, attempt, 7, prompt, tmp_path / "work", folder, tmp_path, timeout)

    return make


def shell(script, **told):
    return CommandAgent("a", ("sh", "-c", script), **({"limits": QUICK} | told))


def said(job):
    return (job.folder / "output.log").read_text()


def left(run):
    """Find everything that lives and bears the run's name, in its environment or on its command line."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("TEAM_RUN") == run or any(run in word for word in process.cmdline()):
                found.append(process)
        except psutil.Error:
            continue
    return [process for process in found if process.pid != os.getpid()]


@pytest.mark.parametrize("way", ["stdin", "argument", "file"])
def test_the_prompt_comes_in_three_ways(job, way):
    """Whichever way it is given, the agent reads the same words, and prompt.md keeps them for people."""
    prompt = "Weave \N{SNOWMAN} chapter three;\n$(touch no) \"quoted\" 'too'\r\n"
    command = {"stdin": ("cat",), "argument": ("printf", "%s"), "file": ("cat", "{prompt_file}")}[way]
    this = job(prompt)
    assert CommandAgent("a", command, prompt=way).play(this).status == "ok"
    assert (this.folder / "output.log").read_bytes() == prompt.encode() == (this.folder / "prompt.md").read_bytes()


def test_a_prompt_too_long_for_an_argument_is_said(job):
    """The system takes 128 KiB as one argument: a longer prompt is one clear failure, not an exec error."""
    agent = CommandAgent("claude", ("true",), prompt="argument")
    assert agent.play(job("x" * ((128 << 10) - 1))).status == "ok"
    outcome = agent.play(job("x" * (128 << 10)))
    assert (outcome.status, outcome.exit) == ("failed", None)
    assert 'prompt = "stdin" or "file" in [agents.claude]' in outcome.detail


def test_placeholders_are_filled_and_other_braces_are_left_alone(job):
    """Only the six exact names are replaced, in one go: what a value brings along is not filled again."""
    this = job(persona="{run}", attempt=2)
    words = '{persona}|{attempt}|{sprint}|{workspace}|${HOME}|${run}|{}|{ run }|{"run": {}}|{print}|{{sprint}}|%s'
    CommandAgent("a", ("printf", "%s|{run}\n", words)).play(this)
    filled = f'{{run}}|2|7|{this.workspace}|${{HOME}}|${{run}}|{{}}|{{ run }}|{{"run": {{}}}}|{{print}}|{{7}}|%s'
    assert said(this) == f"{filled}|{this.run}\n"


def test_what_would_stop_every_run_is_said_before_any(tmp_path):
    """A command that is not there, a wrong placeholder, a bad file of secrets: by name, with what to do."""
    secrets = tmp_path / "secrets.env"
    secrets.write_text("# ours\n\nexport KEY='a b'\nnonsense here\n")
    plain = tmp_path / "plain.sh"
    plain.touch(0o644)
    troubles = {
        CommandAgent("x", ("no-such-program", "-v")): "agent x: no-such-program is not in PATH; install it",
        CommandAgent("x", (str(plain),)): f"agent x: {plain} is not there or not executable",
        CommandAgent("x", ()): r"agent x has no command; write one into \[agents.x\]",
        CommandAgent("x", ("sh", "-c", "x {personna}")): r"{personna} is no placeholder; there are persona, run",
        CommandAgent(
            "x", ("sh",), prompt="file"
        ): 'agent x has prompt = "file", but nowhere in its command is {prompt_file}',
        CommandAgent("x", ("sh",), env_file=tmp_path / "none"): "cannot read env_file .*/none: No such file",
        CommandAgent("x", ("sh",), env_file=secrets): r"secrets.env:4 is not of the form KEY=VALUE",
    }
    for agent, message in troubles.items():
        assert re.search(message, agent.trouble() or "")
        assert "nonsense" not in (agent.trouble() or "")
    for command in (("sh", "-c", "echo ${HOME} {} {print}"), ("./agent.sh",), ("{workspace}/agent.sh",)):
        assert CommandAgent("x", command).trouble() is None


def test_a_command_that_cannot_start_is_a_failed_run(job):
    """What is missing only in the workspace shows when the run starts, in the system's words."""
    this = job()
    (this.workspace / "data").write_text("no program")
    assert CommandAgent("a", ("./none.sh",)).play(this).detail == "cannot start ./none.sh: No such file or directory"
    outcome = CommandAgent("a", ("./data",)).play(this)
    assert (outcome.status, outcome.exit) == ("failed", None)
    assert outcome.detail == "cannot start ./data: Permission denied"


def test_an_agent_sees_only_what_is_allowed(job, monkeypatch, tmp_path):
    """Of the scheduler's environment it gets an allow-list, the names in `env`, the file's lines, and who it is."""
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not for agents")
    monkeypatch.setenv("GIT_DIR", "/elsewhere")
    monkeypatch.setenv("PYTHONPATH", "/elsewhere")
    monkeypatch.setenv("http_proxy", "http://proxy:3128")
    monkeypatch.setenv("LC_TIME", "C")
    monkeypatch.setenv("EDITOR", "ed")
    (tmp_path / "env").write_text('A=one\nexport B = "two words"\n')
    this = job()
    agent = CommandAgent("a", ("env", "-0"), env=("EDITOR", "NOT_SET"), env_file=tmp_path / "env")
    agent.play(this)
    seen = dict(line.split("=", 1) for line in said(this).split("\0") if line)

    ours = {"TEAM_HOME": str(tmp_path), "TEAM_PERSONA": "bob", "TEAM_RUN": this.run, "TERM": "dumb", "EDITOR": "ed"}
    ours |= {"GIT_CEILING_DIRECTORIES": str(tmp_path), "TEAM_OUTPUT": str(this.folder / "output.json")}
    assert ours.items() <= seen.items()
    assert seen["A"] == "one"
    assert seen["http_proxy"]
    assert seen["LC_TIME"] == "C"
    assert not [name for name in seen if name not in {*ours, "A", "B"} and not PASSED.fullmatch(name)]


@pytest.mark.parametrize("path", ["/usr/bin:/bin", f"{Path(sys.executable).parent}:/usr/bin:/bin"])
def test_an_agent_has_our_command_and_its_own_python(job, monkeypatch, path):
    """It finds the `team-mail` of its scheduler, but not the Python that this is installed with, unless it had that."""
    monkeypatch.setenv("PATH", path)
    this = job()
    shell("team-mail --version; command -v python3 || echo none").play(this)
    version, python = said(this).splitlines()
    assert version.endswith("0.1.0")
    assert python.startswith(f"{Path(sys.executable).parent}") == path.startswith(f"{Path(sys.executable).parent}")


def test_without_its_git_folder_an_agent_is_in_no_repository(job, tmp_path):
    """A clone lies within the user's checkout: an agent that deleted `.git` must not commit there instead."""
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    this = job()
    assert shell("git add --all").play(this).exit == 128
    assert "not a git repository" in said(this)


def test_no_room_for_its_papers_is_a_failed_run(job, tmp_path):
    """Where the run's folder cannot be, the run has failed, with the system's words."""
    (tmp_path / "runs").touch()
    outcome = shell("true").play(job())
    assert (outcome.status, outcome.exit) == ("failed", None)
    assert outcome.detail.startswith("cannot start: [Errno 20] Not a directory")


@LINUX
def test_secrets_are_in_no_log_no_command_line_and_no_keeper(job, monkeypatch, tmp_path):
    """What the file of secrets sets, and keys passed on by name, are blotted out of the output wherever they fall."""
    monkeypatch.setenv("SOME_API_KEY", "sk-passed-on-by-name")
    (tmp_path / "env").write_text("TOKEN=sk-0123456789\nLONGER=sk-0123456789-and-more\nDEBUG=1\n")
    script = """
        head -c 65530 /dev/zero | tr '\\0' x; printf %s "$TOKEN"
        for letter in s k - 0 1 2 3 4 5 6 7 8 9; do printf %s $letter; done; echo " $LONGER $SOME_API_KEY 1 sk-01"
        tr '\\0' '\\n' < /proc/$PPID/environ | grep -c sk-; grep -c sk- /proc/$PPID/cmdline
        printf sk-01
    """
    this = job()
    assert shell(script, env=("SOME_API_KEY",), env_file=tmp_path / "env").play(this).status == "ok"
    assert said(this).lstrip("x") == "****** *** *** 1 sk-01\n0\n0\nsk-01"


@settings(max_examples=150, deadline=None, database=None)
@given(st.data())
def test_secrets_are_blotted_out_however_the_output_is_cut(tmp_path_factory, data):
    """Cut into any pieces, the output reads as if it had come in one: leftmost first, the longest of them."""
    secrets = data.draw(st.lists(st.text("abc", min_size=1, max_size=5), min_size=1, max_size=3, unique=True))
    text = data.draw(st.text("abcx", max_size=40))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6)))
    file = tmp_path_factory.getbasetemp() / "blotted.log"
    output = Output(str(file), [secret.encode() for secret in secrets], 10_000)
    for begin, end in zip([0, *cuts], [*cuts, len(text)], strict=True):
        output.take(text[begin:end].encode())
    output.close()

    pattern = "|".join(re.escape(secret) for secret in sorted(secrets, key=len, reverse=True))
    assert file.read_text() == re.sub(pattern, "***", text)


HOP = 'trap "" TERM; setsid sh "$0" "$1" & exit 0'  # lives only to start its successor: a list of pids comes too late
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
    "holds the pipe": ("sleep 60 & echo said", 20, "ok", "exit 0; ended 1 processes that it left behind"),
    "forks": ("for i in $(seq 100); do sleep 60 & done", 20, "ok", "exit 0; ended 100 processes"),
    "double-forks, setsid, no environment": ("{daemons}; cat up", 20, "ok", "exit 0; ended 2 processes"),
    "hops": ("echo '{hop}' > hop; sh hop {run}; trap '' TERM; exec sleep 60", 0.3, "timeout", "no end within 0.3s"),
    "floods output": ("exec yes", 0.3, "timeout", "no end within 0.3s; output over 100 kB, "),
    "fills the disk": ("while :; do head -c 900000 /dev/zero >> f$((n+=1)); done", 20, "quota", "more than 8 MB in"),
    "writes one huge file": ("exec head -c 99000000 /dev/zero > huge", 20, "quota", "more than 8 MB in its workspace"),
}  # fmt: skip


@LINUX
@pytest.mark.parametrize("name", STORM)
def test_an_agent_is_ended_in_time_and_nothing_of_it_lives_on(job, name):
    """Whatever it does, it is over within its time plus the grace, its end is told, and its tree is gone (T15)."""
    script, timeout, status, detail = STORM[name]
    this, limits = job(timeout=timeout), RunLimits(output=100_000, workspace=8_000_000, grace=0.2)
    command = tuple(word.replace("{hop}", HOP).replace("{daemons}", DAEMONS) for word in ("sh", "-c", script))
    began = time.monotonic()
    outcome = CommandAgent("a", command, limits=limits).play(this)
    took = time.monotonic() - began

    assert outcome.status == status
    assert outcome.detail.startswith(detail)
    assert not left(this.run)
    assert took < (timeout if timeout < 20 else 5) + limits.grace + 3
    size = (this.folder / "output.log").stat().st_size
    assert size < 100_200
    if outcome.cut:
        assert re.search(r"\[output cut here: 100000 bytes kept, \d+ more thrown away\]\n$", said(this))
    ended = json.loads((this.folder / "ended.json").read_text())
    print(
        f"{name}: {outcome.detail}; {took:.2f} s of {timeout:g} + {limits.grace:g}, {ended['survivors']} killed, 0 left"
    )


@LINUX
def test_a_family_is_listed_with_parents_before_their_children():
    """Who is asked to end in that order cannot go on with a next line because the command before it was ended."""
    nested = ["sh", "-c", "sh -c 'sh -c \"echo ready; sleep 60; :\"; :'; :"]
    with subprocess.Popen(nested, stdout=subprocess.PIPE, start_new_session=True) as process:
        assert process.stdout
        assert process.stdout.readline() == b"ready\n"
        found = descendants(os.getpid())
        parents = [int(stat(str(pid))[1]) for pid in found]
        os.killpg(process.pid, signal.SIGKILL)
    assert len(found) >= 3
    for at, parent in enumerate(parents):
        assert parent in {os.getpid(), *found[:at]}


def test_a_run_ends_when_it_is_told_to(job):
    """`stop` ends it with its tree; one that is stopped before it began does not begin."""
    this = job()
    os.mkfifo(this.workspace / "ready")

    def stop():
        (this.workspace / "ready").read_text()
        assert alive(this.folder)
        this.stop.set()

    thread = threading.Thread(target=stop)
    thread.start()
    outcome = shell("echo > ready; exec sleep 60").play(this)
    thread.join()
    assert (outcome.status, outcome.exit, outcome.detail) == ("stopped", None, "stopped")
    assert not left(this.run)
    assert not alive(this.folder)
    assert shell("touch began").play(this).status == "stopped"
    assert not (this.workspace / "began").exists()


def test_a_pid_that_was_given_to_another_is_not_the_keeper(job):
    """A run is alive if its keeper is that very process, told by pid, start time and boot (A9)."""
    this = job()
    this.folder.mkdir(parents=True)
    for text in ("", f"{os.getpid()} 1 x\n", "no\n"):
        (this.folder / "heartbeat").write_text(text)
        assert not alive(this.folder)
    assert shell('cat "$TEAM_HOME/runs/$TEAM_RUN/heartbeat"').play(this).status == "ok"
    pid, start, boot = said(this).split()
    assert pid.isdigit()
    assert int(start) > 0
    assert len(boot) == 36


@contextmanager
def driven(job, tmp_path, script):
    """Start a scheduler that runs the script, in a process of its own; give it when the agent opened `lives`."""
    os.mkfifo(tmp_path / "lives")
    words = [sys.executable, "-c", DRIVER, str(tmp_path), job.run, f"exec 9> ../lives; {script}"]
    with subprocess.Popen(words) as scheduler, (tmp_path / "lives").open() as lives:
        try:
            assert lives.readline() == "ready\n"
            yield scheduler, lives
        finally:
            scheduler.kill()


@LINUX
def test_a_killed_scheduler_takes_its_runs_along(job, tmp_path):
    """After kill -9 of the scheduler its keepers end what it started, whatever that did to get away (T14)."""
    this = job()
    script = "(setsid env -i sh -c '(setsid sleep 60 &); sleep 60' &); echo ready >&9; exec sleep 60"
    with driven(this, tmp_path, script) as (scheduler, lives):
        keeper = int((this.folder / "heartbeat").read_text().split()[0])
        tree, ended = psutil.Process(keeper).children(recursive=True), os.pidfd_open(keeper)
        scheduler.kill()
        began = time.monotonic()
        assert lives.read() == ""  # the end comes when the last one that had it open is gone
        took = time.monotonic() - began
        assert select.select([ended], [], [], 5)[0]
        os.close(ended)
    assert not left(this.run)
    print(f"scheduler killed: {len(tree)} processes gone after {took:.2f} s, 0 left")


@LINUX
def test_a_sweep_finds_what_a_crash_left(job, tmp_path):
    """A keeper that can end nothing, because it stands still, is swept up with its run; others are left alone."""
    this = job()
    with driven(this, tmp_path, "trap '' TERM; echo ready >&9; while :; do sleep 0.1; done") as (scheduler, lives):
        keeper = int((this.folder / "heartbeat").read_text().split()[0])
        os.kill(keeper, signal.SIGSTOP)
        scheduler.kill()
        assert sweep(["another"]) == 0
        swept = sweep([this.run, "another"])
        assert lives.read() == ""
    assert swept >= 2
    assert not left(this.run)
    assert sweep([this.run]) == 0
    print(f"swept up {swept} processes, 0 left")


@LINUX
def test_an_agent_that_kills_its_keeper_gains_nothing(job):
    """The run has failed, it says so, and the agent and its children are ended all the same."""
    this = job()
    outcome = shell("sleep 60 & kill -9 $PPID; sleep 60").play(this)
    assert (outcome.status, outcome.exit) == ("failed", None)
    assert outcome.detail == "the run's keeper ended before the run: it was killed"
    assert not left(this.run)


def test_a_launch_is_cheap(job):
    """What a run costs beyond the agent's own time: the keeper's start and end."""
    this, took = job(), []
    bare = []
    for _ in range(7):
        began = time.perf_counter()
        assert CommandAgent("a", ("true",)).play(this).status == "ok"
        took.append(time.perf_counter() - began)
        began = time.perf_counter()
        subprocess.run([sys.executable, "-I", "-S", "-c", "pass"], check=True)
        bare.append(time.perf_counter() - began)
    print(f"a launch takes {median(took) * 1e3:.0f} ms, a bare Python {median(bare) * 1e3:.0f} ms")
    assert median(took) < 10 * median(bare)


@pytest.fixture
def recorded(job, tmp_path):
    """Make a workspace with one file, and a folder of recordings for it."""
    this = job()
    subprocess.run(["git", "init", "-q"], cwd=this.workspace, check=True)
    (this.workspace / "a").write_text("one\n")
    folder = tmp_path / "recordings"
    folder.mkdir()
    patch = "diff --git a/a b/a\n--- a/a\n+++ b/a\n@@ -1 +1 @@\n-{}\n+{}\n"
    (folder / "bob.patch").write_text(patch.format("one", "two"))
    (folder / "bob.2.patch").write_text(patch.format("two", "three"))
    (folder / "eve.patch").write_text(patch.format("other", "three"))
    return ReplayAgent(folder)


def test_a_recording_is_played_by_persona_and_attempt(recorded, job):
    """Each attempt has its patch; where none is recorded the run ends well and changes nothing."""
    assert recorded.trouble() is None
    for attempt, text in ((1, "two\n"), (2, "three\n"), (3, "three\n")):
        assert recorded.play(job(attempt=attempt)).status == "ok"
        assert (job().workspace / "a").read_text() == text
    assert recorded.play(job(persona="nobody")).detail == "no nobody.patch is recorded: nothing changed"


def test_a_recording_that_does_not_apply_is_a_failed_run(recorded, job):
    """Git's own words are the reason, in the outcome and in the output."""
    outcome = recorded.play(job(persona="eve"))
    assert outcome.status == "failed"
    assert outcome.detail == "eve.patch does not apply: git apply: patch failed: a:1"
    assert "patch does not apply" in said(job())
    assert "record them there" in (ReplayAgent(Path("/none")).trouble() or "")


def test_a_scripted_agent_does_what_it_is_told(job):
    """The shipped fake calls a function per persona; what it raises is how the run ended."""
    this = job()

    def fails(_):
        raise RuntimeError("out of ideas")

    agent = ScriptedAgent(
        {
            "bob": lambda job: (job.workspace / "a").write_text(job.prompt) and None,
            "eve": fails,
            "max": lambda _: Outcome("timeout", None, 3.0, "no end within 3s"),
        }
    )
    assert agent.trouble() is None
    assert agent.play(this) == Outcome("ok", 0, 0.0, "exit 0")
    assert (this.workspace / "a").read_text() == "do it"
    assert agent.play(job(persona="eve")).detail == "RuntimeError: out of ideas"
    assert agent.play(job(persona="max")).status == "timeout"
    assert agent.play(job(persona="ann")).status == "ok"
    this.stop.set()
    assert agent.play(this).status == "stopped"
    assert [played.persona for played in agent.played] == ["bob", "eve", "max", "ann", "bob"]
