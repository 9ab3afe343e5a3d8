"""The command `scheduler` in separate processes, on a real repository, with shell scripts as agents."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ..console import Piped, as_text, run_command
from ..on_server import log_file
from ..read_only import GUARD, MOUNTS, UNSHARED
from ..waiting import until_there

BIN = Path(sys.executable).parent
CLEAN = {
    name: value
    for name, value in os.environ.items()
    if not name.startswith(("TEAM_", "_TEAM", "PYTHON", "EDITOR", "VISUAL", "GIT_", "COV"))
} | {
    "GIT_AUTHOR_NAME": "ada", "GIT_AUTHOR_EMAIL": "ada@example.org", "GIT_COMMITTER_NAME": "ada",
    "GIT_COMMITTER_EMAIL": "ada@example.org", "GIT_CONFIG_GLOBAL": "/dev/null",
}  # fmt: skip
SUMMARY = {
    "sprint", "mode", "ticks", "converged", "branch", "landed", "set_aside", "conflicts", "runs", "seconds",
    "usage",
}  # fmt: skip
EDIT = "cat > /dev/null; sed -i 's/^{persona} .*/{persona} was here in attempt {attempt}/' list.txt"
NAMES = ("ann", "bob", "cyd")


class Project:
    """A repository with a team."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.team = folder / ".team"

    def run(self, command: str, *words: str, **environ: str) -> subprocess.CompletedProcess[str]:
        return as_text(run_command(command, *words, cwd=self.folder, env=CLEAN | environ, timeout=60))

    def start(self, command: str, *words: str) -> Piped:
        return Piped(command, *words, cwd=self.folder, env=CLEAN)

    def ok(self, command: str, *words: str, code: int = 0) -> str:
        ended = self.run(command, *words)
        assert ended.returncode == code, ended.stderr
        return ended.stdout

    def document(self, *words: str, code: int = 0):
        return json.loads(self.ok("scheduler", *words, "--json", code=code))

    def refused(self, *words: str, code: int = 2) -> str:
        """Assert that stdout is empty, stderr is one line, and the log is unchanged; return the line."""
        before = self.log()
        ended = self.run("scheduler", *words)
        assert (ended.returncode, ended.stdout) == (code, ""), ended
        assert re.fullmatch(r"scheduler: [^\n]+\n", ended.stderr), ended.stderr
        assert self.log() == before
        return ended.stderr

    def log(self) -> bytes:
        file = log_file(self.team)
        return file.read_bytes() if file.exists() else b""

    def events(self, *kinds: str) -> list[dict]:
        return [e for e in map(json.loads, self.log().splitlines()) if not kinds or e["kind"] in kinds]

    def git(self, *words: str) -> str:
        return subprocess.run(
            ["git", *words], cwd=self.folder, env=CLEAN, check=True, capture_output=True, text=True
        ).stdout.strip()

    def applied(self, base: str, patches: list[bytes], *how: str) -> list[bytes]:
        """Apply patches one after the other in a scratch checkout; return those that did not apply."""
        scratch = self.folder.with_name("scratch")
        if not scratch.exists():
            self.git("worktree", "add", "--quiet", "--detach", str(scratch), base)
        failed = []
        for patch in patches:
            words = ["git", "apply", "--index", *how]
            if subprocess.run(words, cwd=scratch, input=patch, capture_output=True, check=False).returncode:
                failed.append(patch)
            else:
                subprocess.run(
                    ["git", "commit", "--quiet", "--allow-empty", "-m", "One"], cwd=scratch, check=True, env=CLEAN
                )
            subprocess.run(["git", "reset", "--quiet", "--hard"], cwd=scratch, check=True)
        subprocess.run(["git", "reset", "--quiet", "--hard", base], cwd=scratch, check=True)
        return failed

    def agent(self, script: str = EDIT, more: str = "") -> None:
        command = json.dumps(["sh", "-c", script])
        (self.team / "team.toml").write_text(f'[agents.shell]\ncommand = {command}\ntimeout = "20s"\n{more}')


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A repository with a file that has a line for each of three personas, and an agent that edits its own line."""
    folder = tmp_path / "project"
    folder.mkdir()
    project = Project(folder)
    project.git("init", "--quiet", "--initial-branch=main")
    (folder / "list.txt").write_text("".join(f"{name} has nothing\n\n\n\n" for name in NAMES))
    project.git("add", ".")
    project.git("commit", "--quiet", "-m", "Begin")
    (project.team / "personas").mkdir(parents=True)
    for name in NAMES:
        (project.team / "personas" / f"{name}.md").write_text(f"---\nid: {name}\n---\nMind your line of list.txt.\n")
    project.agent()
    return project


def living(folder: Path) -> list[str]:
    """Return the processes that work for a team."""
    pids = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                environ, command = (entry / "environ").read_bytes(), (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if f"TEAM_HOME={folder}".encode() in environ and b"TEAM_RUN=" in environ:
                pids.append(command.decode(errors="replace"))
    return pids


def commands(line: str) -> list[str]:
    """Return the processes that run a command line."""
    words = line.encode().replace(b" ", b"\0") + b"\0"
    return [entry.name for entry in Path("/proc").glob("[0-9]*") if _command(entry) == words]


def _command(process: Path) -> bytes:
    try:
        return (process / "cmdline").read_bytes()
    except OSError:
        return b""


def until(process: Piped, pattern: str) -> str:
    """Read a process's standard error until a line matches."""
    assert process.stderr
    seen = []
    for line in process.stderr:
        seen.append(line)
        if re.search(pattern, line):
            return line
    raise AssertionError(f"no {pattern!r} in {''.join(seen)}")


def test_a_new_user_previews_runs_reads_and_lands_a_sprint(project):
    """Look at what would happen, do it, read the result, land it."""
    looked = project.ok("scheduler", "--dry-run")
    assert "launch 3" in looked
    assert "nothing was written" in looked
    assert project.log() == b""
    summary = project.document("sprint")
    assert summary.keys() == SUMMARY
    assert (summary["sprint"], summary["mode"], summary["ticks"], summary["converged"]) == (1, "parallel", 2, True)
    assert sorted(summary["landed"]) == [*NAMES]
    assert "Sprint 1 converged, 3 landed" in project.ok("team-mail", "inbox", "--persona", "you")
    assert "main is at" in project.ok("scheduler", "land", "1")
    assert (project.folder / "list.txt").read_text().count("was here in attempt 1") == 3
    assert project.git("log", "--format=%an", "-3").split() == summary["landed"][::-1]
    assert "converged" in project.ok("scheduler", "history")
    assert "nobody leads now" in project.ok("scheduler", "status")


def test_a_dry_run_in_json_has_everything_that_the_text_has(project):
    """Mode and rule; each persona's agent, reason, attempt, unread mail and estimate; who is skipped and why."""
    project.ok("team-mail", "send", "--to", "ann", "-s", "Look", "-b", "at this")
    preview = project.document("--dry-run")
    assert (preview["tick"], preview["sprint"], preview["mode"], preview["rule"]) == (
        1,
        1,
        "parallel",
        'parallel = "always"',
    )
    assert preview["base"] == project.git("rev-parse", "main")
    assert [
        (launch["persona"], launch["agent"], launch["attempt"], launch["reason"]) for launch in preview["launches"]
    ] == [("ann", "shell", 1, "batch")], "fresh mail starts a sprint for those it went to"
    preview = json.loads(project.ok("scheduler", "sprint", "--dry-run", "--json", "--mode", "sequential"))
    assert [launch["unread"] for launch in preview["launches"]] == [1]
    assert (preview["mode"], preview["rule"]) == ("sequential", "--mode sequential")
    assert {skip["persona"]: skip["why"] for skip in preview["skips"]} == dict.fromkeys(
        ("bob", "cyd"), "waits its turn: sequential mode"
    )
    before = project.log()
    project.ok("scheduler", "tick", "--dry-run")
    assert project.log() == before


def test_the_mode_changes_the_number_of_ticks_and_not_the_outcome(project):
    """The same work in parallel and in sequence."""
    sequential, parallel = (
        project.document("sprint", "--mode", "sequential"),
        project.document("sprint", "--mode", "parallel"),
    )
    assert (sequential["ticks"], parallel["ticks"]) == (4, 2)
    assert sorted(sequential["landed"]) == sorted(parallel["landed"]) == [*NAMES]


def test_the_mode_cycle_is_taken_as_auto_and_said_to_be(project):
    """Who knows the mode by that name gets what the settings choose, on every command that takes a mode."""
    project.agent(EDIT, '[sprint]\nparallel = "never"\n')
    for words in (["--dry-run"], ["tick", "--dry-run"], ["sprint", "--dry-run"]):
        ended = project.run("scheduler", *words, "--mode", "cycle")
        assert (ended.returncode, ended.stdout) == (0, project.ok("scheduler", *words))
        assert 'mode: sequential (parallel = "never")' in ended.stdout
        assert "--mode cycle is --mode auto" in ended.stderr


@pytest.mark.parametrize(
    ("words", "right"),
    [
        (["--dry-run", "sprint"], "--dry-run before sprint would not count"),
        (["--mode", "sequential", "--set", "sprint.max_parallel=1", "tick"], "scheduler tick --mode"),
        (["--json", "status"], "scheduler status --json"),
    ],
)
def test_an_option_in_front_of_a_command_is_refused(project, words, right):
    """The command would not see it, and a dry run would start agents."""
    assert right in project.refused(*words)


def test_a_sprint_that_does_not_converge_exits_with_4(project):
    """Two personas never succeed: the human is told, and the work of the third has landed."""
    project.agent(
        "test {persona} = ann || { echo oh no; exit 3; }; " + EDIT, "[sprint]\nretry_backoff = 0\nmax_attempts = 2\n"
    )
    summary = project.document("sprint", code=4)
    assert (summary["converged"], summary["set_aside"], summary["landed"], summary["runs"]) == (
        False,
        ["bob", "cyd"],
        ["ann"],
        5,
    )
    inbox = project.ok("team-mail", "inbox", "--persona", "you")
    assert inbox.count("needs you: 2 attempts spent and the last ended with exit 3: oh no") == 2


def test_a_broken_agent_costs_one_batch_one_retry_and_one_mail(project):
    """The first mistake of a new user: a missing key or a removed flag."""
    project.agent("echo no key; exit 1", "[sprint]\nretry_backoff = 0\n")
    ended = project.run("scheduler", "sprint")
    assert (ended.returncode, len(project.events("run.started"))) == (4, 4)
    assert "every run failed, retries too: look at the agent's command" in ended.stdout
    assert project.ok("team-mail", "inbox", "--persona", "you").count("\n") == 1
    mail = project.ok("team-mail", "read", "-p", "you", str(project.events("mail.sent")[-1]["seq"]))
    assert "4 times: exit 1: no key" in mail


def test_the_last_line_of_a_run_is_told_only_with_an_exit_code_that_nothing_explains(project):
    """A line before a signal, or before what the scheduler itself found, has nothing to do with it."""
    stream = '{"type":"thread.started","thread_id":"1"}'
    project.agent(
        f"""cat > /dev/null; sleep 4821 & echo '{stream}' > stream; echo a line
        case {{persona}} in ann) kill -KILL $$ ;; bob) exit 3 ;; cyd) cat stream; echo a line ;; esac""",
        "[sprint]\nretry_backoff = 0\nmax_attempts = 1\n",
    )
    project.document("sprint", code=4)

    details = {e["data"]["persona"]: e["data"]["detail"] for e in project.events("run.finished")}
    assert details == {
        "ann": "killed by SIGKILL; ended 1 process that it left behind",
        "bob": "exit 3: a line; ended 1 process that it left behind",
        "cyd": "exit 0; ended 1 process that it left behind, but its stream broke off without its final event",
    }


def test_a_dirty_or_detached_checkout_is_reported_and_left_unchanged(project):
    """A sprint starts from the branch, though a tag has its name; uncommitted changes are not part of it."""
    project.git("tag", "main")
    project.git("commit", "--quiet", "--allow-empty", "-m", "Newer")
    project.git("switch", "--quiet", "--detach")
    (project.folder / "list.txt").write_text("mine\n")
    ended = project.run("scheduler", "sprint")
    assert (ended.returncode, ended.stdout.splitlines()[1]) == (
        0,
        "  3 patches landed on team/sprint-1; 0 conflicts met",
    )
    assert "scheduler: note: changes to 1 file are not committed, and so not part of the sprint\n" in ended.stderr
    assert (project.folder / "list.txt").read_text() == "mine\n"
    assert "mine" not in project.git("show", "team/sprint-1:list.txt")
    assert "Newer" in project.git("log", "--format=%s", "team/sprint-1")


def test_a_second_scheduler_is_refused(project):
    """T16: it says who leads and does nothing; the first one continues."""
    project.agent("cat > /dev/null; echo started; sleep 30")
    first = project.start("scheduler", "sprint")
    until(first, "tick 1 of sprint 1")
    for words in (["sprint"], ["tick"], ["run"]):
        refused = project.run("scheduler", *words)
        assert (refused.returncode, refused.stdout) == (1, ""), (words, refused, first.poll())
        assert f"another scheduler leads this team: process {first.pid}" in refused.stderr
    first.send_signal(signal.SIGTERM)
    out, err = first.communicate(timeout=30)
    assert (first.returncode, out) == (130, "")
    assert "interrupted" in err
    assert len(project.events("sprint.started")) == 1
    assert living(project.team) == []


def test_the_daemon_starts_sprints_wakes_on_mail_and_ends_on_sigterm(project):
    """One sprint starts at once, another when mail arrives; at the end no process is left and nothing is lost."""
    project.agent(f"{EDIT}; grep -q 'Sleep well' list.txt || true", '[sprint]\nevery = "1h"\n')
    daemon = project.start("scheduler", "run")
    until(daemon, "waiting for mail, or for the next sprint at")
    project.ok("team-mail", "send", "--to", "bob", "-s", "Sleep well", "-b", "once more, please")
    until(daemon, "sprint 2 converged")
    (project.team / "personas" / "dan.md").write_text("Mind nothing.\n")
    project.ok("team-mail", "send", "--to", "dan", "-s", "Welcome", "-b", "to the team")
    until(daemon, "settings or personas have changed")
    until(daemon, "sprint 3 converged")
    started = project.events("sprint.started")
    assert [event["data"]["reason"] for event in started] == [
        "the first sprint", "unread mail for bob", "unread mail for dan",
    ]  # fmt: skip
    assert [event["data"]["personas"] for event in started][1:] == [["bob"], ["dan"]]
    project.agent("cat > /dev/null; sleep 60 & sleep 60")
    project.ok("scheduler", "pause")
    project.ok("team-mail", "send", "--to", "cyd", "-s", "And you", "-b", "?")
    project.ok("scheduler", "resume")
    until(daemon, "tick 1 of sprint 4")
    while "cyd" not in [event["data"]["persona"] for event in project.events("run.started")][-1:]:
        assert daemon.poll() is None
    project.ok("scheduler", "stop", "cyd")
    until(daemon, "sprint 4 ended|sprint 4 spent|waiting for mail")
    daemon.send_signal(signal.SIGTERM)
    _, err = daemon.communicate(timeout=30)
    assert daemon.returncode == 0, err
    assert err.endswith("scheduler: ended; nothing is running\n")
    assert living(project.team) == []
    assert {e["run"] for e in project.events("run.started")} == {
        e["run"] for e in project.events("run.finished", "run.lost")
    }


def test_a_killed_scheduler_leaves_no_agent_and_the_next_one_continues(project):
    """T14 with real processes: agents that forked and left their session are gone too, and none is launched twice."""
    project.agent("cat > /dev/null; setsid sh -c 'sleep 60' & echo $TEAM_RUN >> $TEAM_HOME/journal; sleep 60")
    first = project.start("scheduler", "sprint")
    journal = project.team / "journal"
    until(first, "tick 1 of sprint 1")
    until_there(journal, lambda: first.poll() is None)
    while len(journal.read_text().split()) < 3:
        assert first.poll() is None
    first.kill()
    first.communicate()
    project.agent(f"{EDIT}; echo $TEAM_RUN >> $TEAM_HOME/journal")
    summary = project.document("sprint")
    assert living(project.team) == []
    assert (summary["sprint"], summary["converged"], sorted(summary["landed"]), summary["runs"]) == (
        1,
        True,
        [*NAMES],
        6,
    )
    runs = journal.read_text().split()
    assert len(runs) == len(set(runs)) == 6
    assert project.run("team-mail", "verify").returncode == 0


def test_a_running_gate_ends_with_its_scheduler(project):
    """After SIGTERM the gate ends at once, has no result in the log, and is run again later."""
    begun = project.folder.with_name("begun")
    gate = json.dumps(["sh", "-c", f"test -e list.txt && touch {begun} && sleep 61.5"])
    project.agent(more=f"[gates.slow]\ncommand = {gate}\n")
    first = project.start("scheduler", "sprint")
    until_there(begun, lambda: first.poll() is None)
    while not commands("sleep 61.5"):
        assert first.poll() is None
    first.send_signal(signal.SIGTERM)
    _, err = first.communicate(timeout=30)
    assert (first.returncode, commands("sleep 61.5")) == (130, []), err
    assert project.events("patch.landed", "gate.judged") == []
    project.agent(more='[gates.slow]\ncommand = ["true"]\n')
    assert sorted(project.document("sprint")["landed"]) == [*NAMES]
    assert {event["data"]["passed"] for event in project.events("gate.judged")} == {True}


def test_pause_resume_and_stop(project):
    """A paused team starts nothing and shows who paused it; a run is stopped by its persona's name."""
    project.ok("scheduler", "pause")
    assert "idle: paused by you" in project.ok("scheduler", "tick")
    assert "paused by you" in project.ok("scheduler", "status")
    project.ok("scheduler", "resume")
    project.agent("cat > /dev/null; test {persona} = ann && sleep 60; true")
    first = project.start("scheduler", "sprint", "--json")
    until(first, "(bob|cyd) .*: done")
    until(first, "(bob|cyd) .*: done")
    assert re.search(r"ann +1 +[0-9a-f]{8} +open", project.ok("scheduler", "status"))
    assert "stopping ann, attempt 1" in project.ok("scheduler", "stop", "ann")
    out, _ = first.communicate(timeout=30)
    assert (first.returncode, json.loads(out)["runs"]) == (0, 3)


def test_commands_for_people_are_refused_to_agents(project):
    """An agent that clears its environment is still recognized by its parent processes."""
    washed = "env -u TEAM_RUN -u TEAM_PERSONA -u TEAM_HOME"
    script = (
        f"cat > /dev/null; test {{persona}} = ann || exit 0; cd {project.folder}; "
        f"for word in pause 'approve ann' 'refuse ann' 'land 1'; do setsid {washed} {BIN}/scheduler $word & done; "
        f"setsid {washed} {BIN}/team notify; wait; true"
    )
    project.agent(script)
    assert project.document("sprint")["converged"]
    assert project.events("scheduler.paused", "patch.approved", "run.stopped") == []
    logs = [path.read_text() for path in project.team.glob("runs/*/output.log")]
    assert sorted(log.count("can only be used by a person") for log in logs) == [0, 0, 5], logs


def test_each_wrong_environment_gives_one_line_of_error(project, tmp_path):
    """No repository, no base, an empty roster, no such command, wrong settings; nothing is half done."""
    project.agent(more='[team]\nbase = "trunk"\n')
    assert "no branch 'trunk' to start from; there are main" in project.refused("sprint")
    project.agent(more="[sprint]\nmax_paralel = 3\n")
    assert "max_parallel" in project.refused("sprint")
    assert "team.toml" in project.refused("--dry-run")
    (project.team / "team.toml").write_text('[agents.shell]\ncommand = ["no-such-agent", "{persona}"]\n')
    assert "no-such-agent" in project.refused("sprint")
    (project.team / "team.toml").write_text("")
    assert "[agents.shell]" in project.refused("sprint")
    project.agent()
    assert "NOT" in project.refused("sprint", "--set", "sprint.max_parallel=NOT")
    (project.team / "personas").rename(project.team / "away")
    assert "nobody on the roster is scheduled" in project.refused("sprint")
    (project.team / "away").rename(project.team / "personas")
    (project.folder / ".git").rename(tmp_path / "away")
    assert "not in a git repository" in project.refused("sprint")
    empty = tmp_path / "empty"
    empty.mkdir()
    ended = subprocess.run(
        [BIN / "scheduler", "sprint"], cwd=empty, env=CLEAN, capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith("scheduler: no team in this folder or above; run team init")
    assert ended.stderr.count("\n") == 1


def test_an_old_or_missing_git_is_named(project, tmp_path):
    """The weaver needs merge-tree --write-tree."""
    tools = tmp_path / "bin"
    tools.mkdir()
    assert "git is not installed" in project.run("scheduler", "sprint", PATH=str(tools)).stderr
    (tools / "git").write_text("#!/bin/sh\necho git version 2.30.2\n")
    (tools / "git").chmod(0o755)
    ended = project.run("scheduler", "sprint", PATH=f"{tools}:{os.environ['PATH']}")
    assert (ended.returncode, ended.stderr.count("\n")) == (2, 1)
    assert "git version 2.30.2 is too old" in ended.stderr


def test_weaving_by_hand_shows_which_patches_conflict(project, tmp_path):
    """Of three patch files two conflict: the graph, the order, and a branch with what landed."""
    for name, line in (("one", "1s"), ("two", "1s"), ("three", "5s")):
        project.git("switch", "--quiet", "-C", name, "main")
        subprocess.run(["sed", "-i", f"{line}/.*/{name}/", "list.txt"], cwd=project.folder, check=True)
        with (tmp_path / f"{name}.patch").open("w") as file:
            subprocess.run(["git", "diff", "--binary", "--full-index"], cwd=project.folder, check=True, stdout=file)
        project.git("checkout", "--quiet", "--", ".")
    project.git("switch", "--quiet", "main")
    patches = [str(tmp_path / f"{name}.patch") for name in ("one", "two", "three")]
    looked = project.ok("scheduler", "weave", "--dry-run", *patches, code=4)
    assert "nothing was written" in looked
    assert "team/woven" not in project.git("branch")
    woven = project.document("weave", *patches, code=4)
    assert project.git("log", "--format=%an", "main..team/woven").split() == ["three", "one"]
    assert woven["branch"] == "team/woven"
    project.git("switch", "--quiet", "-C", "seven", "main")
    subprocess.run(["sed", "-i", "9s/.*/seven/", "list.txt"], cwd=project.folder, check=True)
    project.git("commit", "--quiet", "-am", "A pull request")
    project.git("update-ref", "refs/pull/7/head", "HEAD")
    project.git("switch", "--quiet", "main")
    project.ok("scheduler", "weave", "--branch", "team/pulls", "refs/pull/7/head", patches[0])
    assert {*project.git("log", "--format=%s", "main..team/pulls").split("\n")} == {"A pull request", "one.patch"}
    assert project.log() == b""


def test_a_replay_reports_patches_that_did_not_apply(project, tmp_path):
    """A measurement must not count them, nor personas without a recording for a further attempt."""
    folder = tmp_path / "patches"
    folder.mkdir()
    patch = (
        "diff --git a/list.txt b/list.txt\n--- a/list.txt\n+++ b/list.txt\n@@ -1,2 +1,2 @@\n-{0} has nothing\n+{1}\n \n"
    )
    (folder / "good.patch").write_text(patch.format("ann", "good"))
    (folder / "rival.patch").write_text(patch.format("ann", "rival"))
    (folder / "bad.patch").write_text(patch.format("nobody", "bad"))
    (folder / "garbage.patch").write_text("no patch\n")
    summary = project.document("sprint", "--replay", str(folder), "--repo", ".", code=4)
    assert (summary["converged"], summary["ticks"], summary["runs"]) == (False, 2, 4)
    assert len(summary["landed"]) == 1
    assert {*summary["landed"], *summary["set_aside"]} == {"good", "rival", "bad", "garbage"}
    inbox = project.ok("team-mail", "inbox", "--persona", "you")
    assert "bad needs you: 1 attempt spent and the last ended with bad.patch does not apply" in inbox


ROOT = Path(__file__).parent.parent.parent
BACK = 40


def recorded(project: Project, folder: Path, base: str) -> list[str]:
    """Record the commits after a base, each as a patch against that base, if it applies without the others."""
    names = []
    for number, commit in enumerate(project.git("rev-list", "--reverse", "--no-merges", f"{base}..HEAD").split()):
        patch = subprocess.run(
            ["git", "diff", "--binary", "--full-index", f"{commit}^", commit],
            cwd=project.folder, check=True, capture_output=True,
        ).stdout  # fmt: skip
        if patch and not project.applied(base, [patch]):
            names.append(f"commit-{number:02}")
            (folder / f"{names[-1]}.patch").write_bytes(patch)
    return names


@pytest.mark.skipif(
    subprocess.run(["git", "rev-parse", "--verify", "--quiet", f"HEAD~{BACK + 1}"], cwd=ROOT, check=False).returncode,
    reason="this checkout has no history to replay",
)
@pytest.mark.storm
def test_the_projects_own_history_is_woven_as_parallel_work(tmp_path):
    """`--replay` with real patches on one base; never fewer land than first come, first served."""
    subprocess.run(["git", "clone", "--quiet", ROOT, tmp_path / "own"], check=True, env=CLEAN)
    project, folder = Project(tmp_path / "own"), tmp_path / "patches"
    folder.mkdir()
    base = project.git("rev-parse", f"HEAD~{BACK}")
    names = recorded(project, folder, base)
    patches = [(folder / f"{name}.patch").read_bytes() for name in names]
    first_come = len(patches) - len(project.applied(base, patches, "--3way"))
    ended = project.run("scheduler", "sprint", "--replay", str(folder), "--repo", ".", "--base", base, "--json")
    woven = json.loads(ended.stdout)
    print(f"{len(patches)} patches of our own history: {len(woven['landed'])} landed, first come {first_come}")
    assert len(patches) > 5
    held = [patch["persona"] for patch in json.loads(project.ok("scheduler", "status", "--json"))["held"]]
    assert len(woven["landed"]) + len(held) >= first_come, "a patch to sensitive files waits for a person"
    assert {*woven["landed"], *woven["set_aside"], *held} == {*names}
    assert project.git("log", "--format=%an", f"{base}..team/sprint-1").split() == woven["landed"][::-1]


SANDBOX = ("bwrap", "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "--unshare-net")


@pytest.mark.skipif(
    subprocess.run([*SANDBOX, "true"], capture_output=True, check=False).returncode != 0
    if shutil.which("bwrap")
    else True,
    reason="bubblewrap is not installed, or may not run here",
)
def test_an_agent_that_can_write_in_its_workspace_alone_has_mail_and_a_result(project):
    """The sandboxes of coding agents are so, and their login shells reset PATH: what it sends and changes arrives."""
    words = json.dumps([*SANDBOX, "--bind", "{workspace}", "{workspace}", "bash", "-lc"])
    script = (
        "cat > /dev/null; test $TEAM_PERSONA = ann || exit 0; touch $TEAM_HOME/x 2>/dev/null && exit 9; "
        "PATH=/usr/bin:/bin; export PATH; sed -i s/^ann.*/done/ list.txt; echo notes > notes.txt; "
        ".team/run/team-mail send --to bob -s By-command -b x -a notes.txt || exit 8; "
        "printf -- '---\\nto: cyd\\nsubject: By file\\n---\\nx\\n' > .team/run/outbox/one.md"
    )
    (project.team / "team.toml").write_text(
        f"[team]\nagent = 'boxed'\n[agents.boxed]\ncommand = {words[:-1]}, {json.dumps(script)}]\n"
    )
    summary = project.document("sprint")
    assert (summary["landed"], summary["set_aside"]) == (["ann"], [])
    sent = {(e["sender"], e["subject"]) for e in project.events("mail.sent") if e["run"]}
    assert sent == {("ann", "By-command"), ("ann", "By file")}
    assert project.git("show", "--stat", "--format=", "team/sprint-1").split()[0] == "list.txt"


# -- conflicts

SETTLE = """
cat > prompt.txt
if [ {attempt} = 1 ]; then rm prompt.txt; sed -i "s/^ann .*/{persona} was here/" list.txt; exit; fi
grep -q 'leave no conflict marker' prompt.txt && rm prompt.txt || exit 11
check=$(sed -n 's/^ *\\(grep -nE .*\\)/\\1/p' .team/run/inbox/*.md)
attached=$(sed -n 's/.*`\\(team-mail attachment .*\\)` prints it.*/\\1/p' .team/run/inbox/*.md)
sh -c "$attached" | cmp - .team/run/attachments/*/{persona}.patch || exit 12
test -n "$(sh -c "$check")" || exit 13
cmp .team/run/conflict/theirs/list.txt .team/run/conflict/ours/list.txt && exit 14
sed -i '/^<<<<<<< /d; /^||||||| /,/^=======$/d; /^>>>>>>> /d' list.txt
test -z "$(sh -c "$check")" || exit 15
"""


@pytest.mark.parametrize("read_only", [False, pytest.param(True, marks=MOUNTS)])
def test_an_agent_settles_a_conflict_by_its_mail(project, read_only):
    """With nothing but the mail's commands, whether it can write `.git` or not; both sides' work lands."""
    (project.team / "personas" / "cyd.md").unlink()
    words = [*UNSHARED, "sh", "-c", GUARD + SETTLE] if read_only else ["sh", "-c", SETTLE]
    (project.team / "team.toml").write_text(f"[agents.shell]\ncommand = {json.dumps(words)}\n")

    summary = project.document("sprint")

    assert (summary["converged"], summary["conflicts"], summary["runs"]) == (True, 1, 3)
    text = project.git("show", "team/sprint-1:list.txt")
    assert "ann was here" in text
    assert "bob was here" in text
    assert "<<<" not in text


def test_the_versions_of_a_file_that_both_renamed_are_those_of_its_sides(project):
    """Not what git merged of them: who takes the own one lands it, and the mail shows what is on the branch."""
    (project.team / "personas" / "cyd.md").unlink()
    project.agent(
        """cat > /dev/null
        case {attempt} in
        1) git mv list.txt {persona}.txt && echo '{persona} was here' >> {persona}.txt; exit ;;
        esac
        ls .team/run/conflict/base/list.txt || exit 11
        tar -C .team/run/conflict/theirs -cf - {persona}.txt | tar -xf -""",
        "[sprint]\nretry_backoff = 0\nmax_attempts = 2\n",
    )
    before = project.git("show", "main:list.txt").splitlines()

    summary = project.document("sprint")

    assert (summary["converged"], sorted(summary["landed"])) == (True, ["ann", "bob"])
    for name in ("ann", "bob"):
        rows = project.git("show", f"team/sprint-1:{name}.txt").splitlines()
        assert (rows[: len(before)], rows[-1]) == (before, f"{name} was here")
    (mail,) = [e for e in project.events("mail.sent") if e["sender"] == "weaver"]
    assert "<<<<<<<<" not in mail["body"]
    assert "No merge by lines can settle ann.txt, bob.txt: there" in mail["body"]


def test_a_run_that_leaves_the_marks_has_failed_and_nothing_of_it_lands(project):
    """It is told where; the next attempt finds the merge again, and its own work, which it can take instead."""
    (project.team / "personas" / "cyd.md").unlink()
    project.agent(
        """cat > prompt.txt
        case {attempt} in
        1) sed -i "s/^ann .*/{persona} was here/" list.txt ;;
        2) echo more > more.txt ;;
        3) grep -q '^<<<<<<< ours: ' list.txt && grep -q 'left conflict markers in list.txt' prompt.txt || exit 11
           git apply -R --allow-empty .team/run/conflict/merged.patch && git apply .team/run/previous.patch || exit 12
           sed -i '/^<<<<<<< /,/^=======$/d; /^>>>>>>> /d' list.txt ;;
        esac
        rm prompt.txt""",
        "[sprint]\nretry_backoff = 0\n",
    )

    summary = project.document("sprint")

    assert (summary["converged"], sorted(summary["landed"])) == (True, ["ann", "bob"])
    statuses = [(e["data"]["status"], e["data"]["detail"]) for e in project.events("run.finished")]
    assert [status for status, _ in statuses] == ["ok", "ok", "failed", "ok"]
    assert "but it left conflict markers in list.txt" in statuses[2][1]
    assert project.git("show", "team/sprint-1:more.txt") == "more"
    assert "<<<" not in project.git("log", "-p", "main..team/sprint-1")
