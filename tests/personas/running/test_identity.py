"""A process of a run is known as one at every door of its team's mail, however it hides what it is."""

import json
import os
import subprocess
import sys

import pytest
from team_mail.mail.log.event import Draft
from team_mail.mail.open import open_log
from team_mail.mail.process import ORPHAN, RunAbove, run_of, runs_above, within_run_of
from team_mail.personas.running.sweep import TEAM

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere only its variables say what a process is")

ATTEMPT = """
import json, sys
from pathlib import Path
from team_mail.mail import open as opened, simple
from team_mail.mail.errors import TeamMailError
from team_mail.mail.letter import Letter
from team_mail.mail.log.event import Draft
from team_mail.mail.log.log import EventLog
import os
home, answers, answers_file = Path(sys.argv[1]), {}, sys.argv[2]
os.environ["TEAM_HOME"] = str(home)
for name, attempt in {
    "log": lambda: EventLog(home / "mail").append([Draft("mail.sent", "you", ("ann",), "forged")]),
    "repair": lambda: EventLog(home / "mail").repair(),
    "new log": lambda: EventLog(home / "mail").create(),
    "mailbox": lambda: opened.open_mailbox(home).send(Letter("you", ["ann"], "forged")),
    "mark": lambda: opened.open_mailbox(home).mark("ann", "read", ["2"]),
    "inbox": lambda: opened.open_mailbox(home).inbox("ann"),
    "read": lambda: opened.open_mailbox(home).read("ann", "2", peek=True),
    "thread": lambda: opened.open_mailbox(home).thread("2"),
    "search": lambda: opened.open_mailbox(home).search("secret"),
    "sent": lambda: opened.open_mailbox(home).sent("you"),
    "unread": lambda: opened.open_mailbox(home).unread(["ann"]),
    "counts": lambda: opened.open_mailbox(home).counts(),
    "overdue": lambda: opened.open_mailbox(home).overdue(),
    "stats": lambda: opened.open_mailbox(home).stats(),
    "tags": lambda: opened.open_mailbox(home).tags("ann"),
    "people": lambda: opened.open_mailbox(home).people(),
    "export": lambda: opened.open_mailbox(home).export("jsonl", Path(answers_file + ".jsonl")),
    "watch": lambda: next(opened.open_mailbox(home).watch("ann", 1)),
    "script": lambda: simple.send_message("you", "ann", "forged", "x"),
}.items():
    try:
        attempt()
        answers[name] = "done"
    except TeamMailError as error:
        answers[name] = type(error).__name__
file = Path(sys.argv[2])
file.with_suffix(".new").write_text(json.dumps(answers))
file.with_suffix(".new").replace(file)
"""
WAYS = {
    "as it is": "{command}",
    "without variables": "env -i {command}",
    "in a session of its own": "setsid -w env -i {command}",
    "orphaned": "(setsid env -i sh -c '({command}) & exit' &)",
    "as a colleague": "env TEAM_RUN=run-2 TEAM_PERSONA=ann TEAM_RUN_OF=/ {command}",
}


@LINUX
@pytest.mark.parametrize("way", WAYS)
def test_no_process_of_a_run_writes_or_reads_the_mail_of_its_team(job, shell, output, tmp_path, way):
    """Neither as the human nor as a colleague, by no class and no function, in whatever way it was started (A2)."""
    log, this = open_log(tmp_path), job()
    log.append([Draft("mail.sent", "you", ("ann",), "a secret")])
    (tmp_path / "attempt.py").write_text(ATTEMPT)
    answers = tmp_path / "answers.json"
    command = f"{sys.executable} {tmp_path}/attempt.py {tmp_path} {answers}"
    wait = f"; while ! test -e {answers}; do sleep 0.01; done"

    ended = shell(WAYS[way].format(command=command) + wait).play(this)

    assert ended.status == "ok", output(this)
    done = json.loads(answers.read_text())
    assert done.pop("script") == "UsageError", "a run without a folder has no mail"
    assert set(done.values()) == {"NotFromRun"}, done
    assert [event.kind for event in log.read()] == ["log.opened", "mail.sent"]


@LINUX
def test_a_process_of_a_run_may_use_the_mail_of_other_teams(job, shell, output, tmp_path):
    """As the tests of a project may, whose agents test it."""
    other, this = tmp_path / "other" / ".team", job()
    code = (
        "import sys; from pathlib import Path; from team_mail.mail.log.event import Draft;"
        "from team_mail.mail.open import open_log;"
        "from team_mail.mail.process import run_of, within_run_of; home = Path(sys.argv[1]);"
        "open_log(home).append([Draft('mail.sent', 'you', ('ann',), 'x')]);"
        "own = Path(sys.argv[2]); print(run_of(home), bool(within_run_of(home)), bool(run_of(own)), end=' ');"
        "print(bool(within_run_of(own)))"
    )
    shell(f'{sys.executable} -c "{code}" {other} {tmp_path}').play(this)
    assert output(this) == "None False True True\n"


def test_variables_alone_make_a_run_that_no_person_may_be(monkeypatch, tmp_path):
    """An agent that runs under another user or on another system has only its environment."""
    for name in ("TEAM_RUN", "TEAM_HOME", TEAM):
        monkeypatch.delenv(name, raising=False)
    assert not within_run_of(tmp_path)
    monkeypatch.setenv("TEAM_RUN", "run-1")
    assert within_run_of(tmp_path) == "TEAM_RUN is run-1: unset it if you are a person"
    monkeypatch.setenv(TEAM, str(tmp_path / "other"))
    assert not within_run_of(tmp_path)


def processes(proc, above):
    """Lay out a folder as /proc, with the commands of the processes above this one, the nearest first."""
    pids = [os.getpid(), os.getppid(), *range(2_000_000, 2_000_000 + len(above) - 1), 1]
    for pid, parent, command in zip(pids[:-1], pids[1:], [("python",), *above], strict=True):
        (proc / str(pid)).mkdir(parents=True)
        (proc / str(pid) / "cmdline").write_bytes("\0".join(command).encode() + b"\0")
        (proc / str(pid) / "stat").write_text(f"{pid} (a ) b) S {parent} {'0 ' * 20}")
    return proc


def test_the_runs_above_are_read_from_the_commands_of_keepers(tmp_path, monkeypatch):
    """Of all keepers above, the nearest first; the team is that of each keeper."""
    start = ("python", "-I", "-S", "/x/personas/keeping/start.py")
    inner, outer = (*start, "keeper", "run-2", "/two/.team", "/w/2"), (*start, "keeper", "run-1", "/one/.team", "/w 1")
    warden, mail = (*start, "warden"), ("python", "-P", "-m", "team_mail.personas.running.postbox", "/w")

    found = runs_above(processes(tmp_path / "a", [("sh",), inner, warden, ("team",), outer, warden]))
    assert found == (RunAbove("run-2", "/two/.team", "/w/2"), RunAbove("run-1", "/one/.team", "/w 1"))
    assert runs_above(processes(tmp_path / "b", [("sh",), mail, warden, ("scheduler",)])) == ()
    assert runs_above(processes(tmp_path / "c", [("sh",), ("agent",), warden, ("scheduler",)])) == (ORPHAN,)
    assert runs_above(processes(tmp_path / "d", [("bash",), ("sshd",)])) == ()
    assert runs_above(tmp_path / "none") == ()

    monkeypatch.setattr("team_mail.mail.process.runs_above", lambda: found)
    (tmp_path / "two").symlink_to("/two")
    assert run_of(tmp_path / "two" / ".team") == found[0]
    imitated = (RunAbove("run-3", "/two/.team", "/of a colleague"), *found)
    monkeypatch.setattr("team_mail.mail.process.runs_above", lambda: imitated)
    assert run_of(tmp_path / "two" / ".team") == found[0], "who calls itself a keeper is below the true one"


def test_a_parent_that_ends_while_it_is_looked_at_hides_no_run(tmp_path, monkeypatch):
    """Neither if it is gone, nor if its pid is that of another process now."""
    keeper = ("python", "/x/keeping/start.py", "keeper", "run-1", "/one/.team", "/w")
    proc, real = processes(tmp_path, [("sh",), keeper]), str(os.getppid())
    with subprocess.Popen(["true"]) as ended:
        ended.wait()
    (proc / "77").mkdir()
    (proc / "77" / "cmdline").write_text("bash\0")
    (proc / "77" / "stat").write_text(f"77 (bash) S 1 {'0 ' * 20}")
    for first in (ended.pid, 77):
        parents = iter([first, int(real), int(real), int(real)])
        monkeypatch.setattr(os, "getppid", lambda parents=parents: next(parents))
        runs_above.cache_clear()
        found = runs_above(proc)
        assert [run.run for run in found] == ["run-1"]
