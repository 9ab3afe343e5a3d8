"""Agents in a sandbox in whole sprints and dispatches: what a hostile one tries, and what an honest one needs.

Each attack is tried outside of a sandbox, too: one that fails there proves nothing.
"""

from __future__ import annotations

import ctypes
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import psutil
import pytest
from team_mail import ParallelDispatcher, Task
from team_mail.personas.agents.command import CommandAgent
from team_mail.personas.agents.sandbox import Sandbox

from ..sandboxes import SANDBOXED
from .test_scheduler import CLEAN, NAMES, Project, living, project

__all__ = ["project"]
pytestmark = SANDBOXED

LIBC = ctypes.CDLL(None)
BOXED = 'sandbox = "bwrap"\nnetwork = "off"\n'
# Shows that it has begun, waits for what it needs to know, and tries everything; each attack that works is named.
HOSTILE = r"""
import ctypes, json, os, signal, socket, subprocess, sys, time

sys.stdin.read()
here = ".team/run/"  # of which nothing is captured


def wait(name):
    while not os.path.exists(here + name):
        time.sleep(0.02)


open(here + "secret", "w").write("of a colleague")
open(here + "BEGAN", "w").close()
if os.environ["TEAM_PERSONA"] != "ann":
    wait("GO")
    sys.exit()
wait("facts.json")
facts = json.load(open(here + "facts.json"))
team, checkout, other, home = (facts[name] for name in ("team", "checkout", "other", "home"))
log, worked = team + "/mail/events.jsonl", []


def attack(function):
    try:
        if function() is not False:
            worked.append(function.__name__)
    except Exception as error:
        print(function.__name__, repr(error))
    return function


def planted(path, name):  # perhaps where only this process sees it: whoever started it looks for it
    os.makedirs(path, exist_ok=True)
    with open(path + "/" + name, "w") as file:
        file.write("planted")


def connects(family, place):
    with socket.socket(family) as client:
        client.settimeout(5)
        client.connect(place)
    return True


@attack
def read_the_log(): return len(open(log).read()) > 0
@attack
def read_the_team(): return len(os.listdir(team)) > 0
@attack
def read_the_settings(): return "agents" in open(team + "/team.toml").read()
@attack
def append_to_the_log(): open(log, "ab").close()
@attack
def write_in_the_team(): planted(team, "write_in_the_team")
@attack
def write_in_the_checkout(): planted(checkout, "write_in_the_checkout")
@attack
def write_in_git(): planted(checkout + "/.git/hooks", "write_in_git")
@attack
def write_objects(): planted(checkout + "/.git/objects", "write_objects")
@attack
def write_in_the_mirror(): planted(facts["mirror"] + "/objects", "write_in_the_mirror")
@attack
def read_the_config_of_git(): return len(open(checkout + "/.git/config").read()) > 0
@attack
def read_a_colleague(): return open(other + "/.team/run/secret").read() == "of a colleague"
@attack
def list_an_outbox(): return isinstance(os.listdir(other + "/.team/run/outbox"), list)
@attack
def write_in_a_colleague(): planted(other, "write_in_a_colleague")
@attack
def write_in_an_outbox(): planted(other + "/.team/run/outbox", ".write_in_an_outbox")
@attack
def read_a_key(): return open(home + "/.ssh/id_x").read() == "key"
@attack
def read_a_key_by_name(): return open(os.path.expanduser("~/.ssh/id_x")).read() == "key"
@attack
def write_in_the_home_folder(): planted(home, "write_in_the_home_folder")
@attack
def write_through_a_link():
    os.symlink(checkout + "/write_through_a_link", "link")
    open("link", "w").write("planted")
@attack
def link_the_log(): os.link(log, "hard"); return len(open("hard").read()) > 0
@attack
def link_a_colleague(): os.link(other + "/.team/run/secret", "hard2")
@attack
def link_an_object(): os.link(facts["object"], "hard3")
@attack
def read_an_environment(): return b"BYSTANDER=" in open("/proc/%d/environ" % facts["bystander"], "rb").read()
@attack
def read_the_schedulers_environment(): return len(open("/proc/%d/environ" % facts["scheduler"], "rb").read()) > 0
@attack
def see_a_process(): return os.path.exists("/proc/%d" % facts["bystander"])
@attack
def signal_a_process(): os.kill(facts["bystander"], signal.SIGUSR1)
@attack
def signal_the_scheduler(): os.kill(facts["scheduler"], signal.SIGCONT)
@attack
def signal_the_keeper(): os.kill(facts["keeper"], signal.SIGCONT)
@attack
def signal_the_warden(): os.kill(facts["warden"], signal.SIGCONT)
@attack
def reach_a_server(): connects(socket.AF_INET, ("127.0.0.1", facts["port"]))
@attack
def reach_an_abstract_socket(): connects(socket.AF_UNIX, "\0" + facts["abstract"])
@attack
def reach_a_socket_in_run(): connects(socket.AF_UNIX, facts["docker"])
@attack
def reach_a_socket_in_var_run(): connects(socket.AF_UNIX, "/var" + facts["docker"])
@attack
def reach_a_socket_in_tmp(): connects(socket.AF_UNIX, facts["agent"])
@attack
def share_memory():
    shmget = ctypes.CDLL(None, use_errno=True).shmget
    return shmget(facts["key"], 0, 0) != -1
@attack
def uncover_the_home_folder():
    words = "umount -l ~; umount -l /tmp; umount -l /; cat ~/.ssh/id_x; mount -o remount,bind,rw /usr && echo key"
    return "key" in subprocess.run(["unshare", "-rm", "sh", "-c", words], capture_output=True, text=True).stdout
@attack
def send_as_another_by_python():
    code = (
        "import sys; sys.path[:0] = %r\n"
        "from pathlib import Path\n"
        "from team_mail import Letter, open_mailbox\n"
        "open_mailbox(Path(%r)).send(Letter('bob', ['you'], subject='by python'))\n"
    ) % (facts["path"], team)
    clean = {"PATH": os.environ["PATH"], "HOME": home}
    return subprocess.run([facts["python"], "-c", code], env=clean, cwd="/").returncode == 0


def by_command(program, **more):
    environ = {"PATH": "/usr/bin:/bin", "HOME": home, "TEAM_HOME": team, "TEAM_PERSONA": "bob"} | more
    words = [program, "send", "--to", "you", "-s", "by command", "-b", "x"]
    subprocess.run(words, env=environ, cwd="/", timeout=60)
    subprocess.run([*words, "--from", "bob"], env=environ, cwd="/", timeout=60)


for program in (os.environ["TEAM_MAIL"], facts["command"]):
    for more in ({}, {"TEAM_RUN": facts["run"]}, {"TEAM_RUN": os.environ["TEAM_RUN"]}):
        try:
            by_command(program, **more)
        except Exception as error:
            print(program, repr(error))
asked, words = "2" * 32 + ".json", ["send", "--to", "ann", "-s", "by hand", "--attach", home + "/.ssh/id_x"]
open(here + "request", "w").write(json.dumps({"v": 1, "words": words, "files": [], "stdin": None, "width": 0}))
os.rename(here + "request", here + "requests/" + asked)
wait("answers/" + asked)
for daemon in ("setsid", "setsid setsid"):
    line = "(%s sh -c 'exec env -i %s %s' > /dev/null 2>&1 < /dev/null &) &" % (daemon, "sleep", facts["seconds"])
    subprocess.run(["sh", "-c", line])
for name in ("link", "hard", "hard2", "hard3"):  # a patch with a link would be refused
    if os.path.lexists(name):
        os.remove(name)
open("list.txt", "a").write("ann was here\n")
open(here + "result", "w").write(json.dumps(worked))
os.rename(here + "result", here + "result.json")
wait("GO")
"""


class Targets:
    """What an attack may reach: a key in a home folder, servers, a process, a segment of shared memory."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.stack = stack
        self.home = folder / "home"
        (self.home / ".ssh").mkdir(parents=True)
        (self.home / ".ssh" / "id_x").write_text("key")
        self.abstract = f"team-mail-test-{os.getpid()}"
        self._tcp = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        self._listening(stack, "\0" + self.abstract)
        self.agent = f"{stack.enter_context(tempfile.TemporaryDirectory(dir='/tmp'))}/agent.sock"
        self._listening(stack, self.agent)
        self.docker = ""
        with suppress(OSError):  # only root may write there
            self.docker = f"{stack.enter_context(tempfile.TemporaryDirectory(dir='/run'))}/docker.sock"
            self._listening(stack, self.docker)
        words, pipe = ["sh", "-c", "trap '' USR1; echo; cat"], subprocess.PIPE
        self._bystander = subprocess.Popen(words, env={"BYSTANDER": "secret"}, stdin=pipe, stdout=pipe)
        stack.callback(self._bystander.communicate)
        assert self._bystander.stdout
        self._bystander.stdout.readline()
        self._key = 0x7EA00000 + os.getpid()
        self._memory = LIBC.shmget(self._key, 4096, 0o1600)
        assert self._memory >= 0
        stack.callback(LIBC.shmctl, self._memory, 0, None)

    def _listening(self, stack: ExitStack, place: str) -> None:
        server = stack.enter_context(socket.socket(socket.AF_UNIX))
        server.bind(place)
        server.listen(9)

    def facts(self) -> dict:
        return {
            "home": str(self.home), "abstract": self.abstract, "port": self._tcp.getsockname()[1],
            "docker": self.docker, "agent": self.agent, "bystander": self._bystander.pid, "key": self._key,
        }  # fmt: skip


# An attack that writes counts if its file is there, any other if the script says that it worked.
ATTACKS = frozenset(re.findall(r"^@attack\ndef (\w+)", HOSTILE, re.MULTILINE))
REFUSED = {"send_as_another_by_python"}  # outside of a sandbox, too: every door of the mail knows its runs
UNSURE = {"read_the_schedulers_environment"}  # a process may keep it from others of its user


@pytest.fixture
def targets(tmp_path: Path) -> Iterator[Targets]:
    with ExitStack() as stack:
        yield Targets(tmp_path, stack)


class Sprint:
    """A sprint under way, with a run of ann, who attacks, and one of bob."""

    def __init__(self, project: Project, targets: Targets) -> None:
        environ = CLEAN | {"HOME": str(targets.home)}
        self.process = subprocess.Popen(
            [Path(sys.executable).with_name("scheduler"), "sprint"], cwd=project.folder, env=environ,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        targets.stack.callback(self._end)
        self._project = project
        self.places = {name: self._place(name) for name in ("ann", "bob")}
        for name in self.places:
            self.wait(name, "BEGAN")

    def _end(self) -> None:
        self.process.kill()
        self.process.communicate()

    def wait(self, name: str, file: str) -> Path:
        """Wait for a file in the run folder of a persona."""
        path = self.places[name] / ".team" / "run" / file
        while not path.exists():
            assert self.process.poll() is None, self.process.communicate()
        return path

    def tell(self, name: str, file: str, text: str = "") -> None:
        """Leave a file in the run folder of a persona."""
        path = self.places[name] / ".team" / "run" / file
        path.with_name(f"{file}.new").write_text(text)
        path.with_name(f"{file}.new").rename(path)

    def pids(self, name: str) -> dict[str, int]:
        """Return the processes above the run of a persona."""
        keeper = int((self._project.team / "runs" / self.places[name].name / "heartbeat").read_text().split()[0])
        return {"keeper": keeper, "warden": psutil.Process(keeper).ppid(), "scheduler": self.process.pid}

    def _place(self, name: str) -> Path:
        """Return the workspace of a persona, once its run is on record."""
        while True:
            assert self.process.poll() is None, self.process.communicate()
            runs = [e["run"] for e in self._project.events("run.started") if e["data"]["persona"] == name]
            for file in Path(CLEAN["XDG_STATE_HOME"]).glob("team-mail/project-*/team.json"):
                if runs and json.loads(file.read_text())["home"] == str(self._project.team):
                    return file.parent / runs[0]


def hostile(project: Project, more: str) -> None:
    """Let ann and bob be played by the hostile script."""
    (project.team / "personas" / "cyd.md").unlink()
    (project.folder / "attack.py").write_text(HOSTILE)
    project.git("add", "attack.py")
    project.git("commit", "--quiet", "-m", "Add an attack")
    command = json.dumps([sys.executable, "attack.py"])
    (project.team / "team.toml").write_text(
        f'[agents.shell]\ncommand = {command}\ntimeout = "200s"\n{more}[sprint]\nmax_attempts = 1\n'
    )


@pytest.mark.parametrize("boxed", [True, False])
def test_no_attack_has_an_effect_in_a_sandbox_and_every_one_has_outside(project, targets, boxed):
    """Files, other runs, processes, sockets, memory, mail: the same script, with a sandbox and without."""
    hostile(project, BOXED if boxed else "")
    sprint = Sprint(project, targets)
    seconds = f"4{os.getpid()}.5"
    facts = targets.facts() | sprint.pids("ann") | {
        "team": str(project.team), "checkout": str(project.folder), "other": str(sprint.places["bob"]),
        "mirror": str(sprint.places["bob"].parent / "mirror.git"), "run": sprint.places["bob"].name,
        "object": str(next(project.folder.glob(".git/objects/??/*"))), "python": sys.executable, "path": [],
        "command": str(Path(sys.executable).with_name("team-mail")), "seconds": seconds,
    }  # fmt: skip
    sprint.tell("ann", "facts.json", json.dumps(facts))
    worked = set(json.loads(sprint.wait("ann", "result.json").read_text()))
    above = {name: psutil.pid_exists(pid) for name, pid in sprint.pids("ann").items()}
    assert above == {"keeper": True, "warden": True, "scheduler": True}
    places = (project.folder, targets.home, Path(CLEAN["XDG_STATE_HOME"]))
    written = {path.name.lstrip(".") for place in places for path in place.rglob("*write_*")} & ATTACKS
    for name in sprint.places:
        sprint.tell(name, "GO")
    out, err = sprint.process.communicate(timeout=120)
    assert sprint.process.returncode in ({0} if boxed else {0, 4}), (out, err)

    worked = {name for name in worked if not name.startswith("write_")} | written
    possible = (
        ATTACKS - REFUSED - ({"reach_a_socket_in_run", "reach_a_socket_in_var_run"} if not targets.docker else set())
    )
    assert len(ATTACKS) > 30
    output = "".join(file.read_text() for file in project.team.glob("runs/*/output.log"))
    assert worked - UNSURE == (set() if boxed else possible - UNSURE), output
    assert "by hand" not in {event["subject"] for event in project.events("mail.sent")}
    senders = {event["sender"] for event in project.events("mail.sent")}
    assert senders - {"scheduler", "weaver"} == {"ann"}
    assert [process for process in psutil.process_iter() if seconds in _words(process)] == []
    assert living(project.team) == []
    assert "+ann was here" in project.git("diff", "main", "team/sprint-1", "--", "list.txt")
    project.ok("team-mail", "verify")


def _words(process: psutil.Process) -> list[str]:
    with suppress(psutil.Error):
        return process.cmdline()
    return []


# -- what an honest one needs


def test_mail_conflicts_gates_and_attachments_work_in_a_sandbox(project):
    """By command and by file, with attachments in both directions; an author finds the conflict; a gate runs."""
    project.ok("team-mail", "send", "--to", "ann", "-s", "Look", "-b", "at this", "--attach", "list.txt")
    script = """
        cat > /dev/null
        if test -d .team/run/conflict; then
            test -s .team/run/conflict/theirs/list.txt && git checkout -q HEAD list.txt
            echo "$TEAM_PERSONA" >> list.txt
        else
            sed -i '1s/.*/first is '$TEAM_PERSONA/ list.txt
        fi
        test $TEAM_PERSONA != ann || cmp .team/run/attachments/*/list.txt list.txt > cmp.txt
        echo report > report.txt
        printf -- '---\nto: you\nsubject: file %s\nattachments: [report.txt]\n---\nx\n' $TEAM_PERSONA > mail.md
        mv mail.md .team/run/outbox/
        team-mail send --to you -s "command $TEAM_PERSONA" -b x --attach report.txt && echo $TEAM_PERSONA > .kept/last
    """
    more = '[sprint]\nretry_backoff = "0s"\n[gates.g]\ncommand = ["test", "-e", "list.txt"]\n'
    project.agent(script, f'{BOXED}{more}[workspace]\ncache = [".kept"]\n')
    (project.team / "personas" / "cyd.md").unlink()

    summary = project.document("sprint")
    assert sorted({*summary["landed"]}) == ["ann", "bob"], summary
    assert summary["conflicts"] >= 1
    mails = [e for e in project.events("mail.sent") if e["sender"] in NAMES]
    assert {(e["sender"], e["subject"]) for e in mails} == {
        (name, f"{way} {name}") for name in ("ann", "bob") for way in ("file", "command")
    }
    assert all(e["data"]["attachments"] for e in mails)
    assert {e["data"]["passed"] for e in project.events("gate.judged")} == {True}
    caches = Path(CLEAN["XDG_STATE_HOME"]).glob("team-mail/project-*/caches/runs/.kept/last")
    assert [cache.read_text().strip() in {"ann", "bob"} for cache in caches] == [True]
    assert "cmp.txt" in project.git("ls-tree", "-r", "--name-only", "team/sprint-1")


LOOK = """\
cat > /dev/null
test -e {team}/team.toml && echo seen > seen.txt
git log --oneline > log.txt
echo '{{"answer": 42}}' > $TEAM_OUTPUT
"""


def test_a_dispatch_runs_its_agents_in_their_sandbox(project):
    """By its command and by a program; a result comes back, and an agent that is given hides the team, too."""
    script = LOOK.format(team=project.team)
    project.agent(script, 'sandbox = "bwrap"\n')
    tasks = project.folder / "tasks.json"
    tasks.write_text(json.dumps({"tasks": [{"task_id": "t", "agent": "ann", "description": "Look around"}]}))
    ended = json.loads(project.ok("team", "dispatch", "tasks.json", "--json"))
    assert [task["output"] for task in ended["results"]] == [{"answer": 42}], ended
    given = CommandAgent("mine", ("sh", "-c", script), sandbox=Sandbox())
    for agent in (None, given):
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
            patch.chdir(project.folder.parent)
            done = ParallelDispatcher(home=project.team, agent=agent).dispatch([Task(task_id="t", agent="ann")])
        assert [task["output"] for task in done.document()["results"]] == [{"answer": 42}]
        assert project.git("ls-tree", "-r", "--name-only", done.branch).split() == ["list.txt", "log.txt"]


def test_a_dispatch_without_a_repository_runs_in_a_sandbox(tmp_path):
    """Its workspace lies in the team's folder, of which it sees nothing else."""
    home = tmp_path / "bare" / ".team"
    home.mkdir(parents=True)
    script = f"cat > /dev/null; ls -A {home} {home}/runs/* > seen.txt; team-mail send --to you -s hi -b x"
    (home / "team.toml").write_text("")
    agent = CommandAgent("mine", ("sh", "-c", f"{script}; echo '\"done\"' > $TEAM_OUTPUT"), sandbox=Sandbox())
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home.parent)
        done = ParallelDispatcher(home=home, agent=agent).dispatch([Task(task_id="t", agent="forge")])
    assert [task["output"] for task in done.document()["results"]] == ["done"]
    (seen,) = home.glob("runs/*/work/seen.txt")
    assert seen.read_text().splitlines() == [f"{home}:", "runs", "", f"{seen.parent.parent}:", "work"]


def test_a_machine_that_can_make_no_sandbox_is_told_before_anything_starts(project, tmp_path):
    """In one line, with what to install, and exit code 2; in dry runs too."""
    project.agent(more=BOXED)
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("git", "sh", "env", "sed", "cat", "rm", "cp", "chmod", "ps"):
        (tools / name).symlink_to(shutil.which(name) or name)
    tasks = project.folder / "tasks.json"
    tasks.write_text(json.dumps({"tasks": [{"task_id": "t", "agent": "ann", "description": "Look around"}]}))
    line = "agent shell: bwrap is not in PATH; install bubblewrap (apt install bubblewrap), or set sandbox"
    for words in (
        ("scheduler", "--dry-run"), ("scheduler", "sprint"), ("team", "dispatch", "tasks.json", "--dry-run"),
        ("team", "dispatch", "tasks.json"),
    ):  # fmt: skip
        ended = project.run(*words, PATH=str(tools))
        assert ended.returncode == 2, ended
        assert line in " ".join((ended.stdout + ended.stderr).split()), ended
    assert project.events("run.started") == []
