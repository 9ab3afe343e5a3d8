"""Runs that outlive their scheduler: who ends leaves them going, and whoever comes next takes them over."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from ..console import Piped
from ..waiting import until_there
from .test_scheduler import BIN, Project, living, until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a process may leave its group")
# Begins, sends a mail once GO is there, waits for END, and changes its line.
AGENT = """\
cat > /dev/null; touch BEGAN
until test -e GO; do sleep 0.02; done
.team/run/team-mail send --to you -s "from $TEAM_PERSONA" -b x && touch SENT
until test -e END; do sleep 0.02; done
sed -i "s/^$TEAM_PERSONA .*/$TEAM_PERSONA was here/" list.txt
"""


STREAM = Path(__file__).parent.parent / "personas" / "streams" / "recorded" / "claude.jsonl"


class Place(Project):
    """A project with one persona, whose agent waits for files."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        folder.mkdir()
        self.git("init", "--quiet", "--initial-branch=main")
        (folder / "list.txt").write_text("ann has nothing\n")
        self.git("add", ".")
        self.git("commit", "--quiet", "-m", "Begin")
        (self.team / "personas").mkdir(parents=True)
        (self.team / "personas" / "ann.md").write_text("---\nid: ann\n---\nMind your line.\n")
        script = AGENT
        for name in ("BEGAN", "GO", "SENT", "END"):
            script = script.replace(name, str(self.flag(name)))
        self.agent(script, '[sprint]\nretry_backoff = "0s"\n')

    def flag(self, name: str) -> Path:
        return self.folder.with_name(name)

    def wait(self, name: str, process: Piped | None = None) -> None:
        until_there(self.flag(name), lambda: process is None or process.poll() is None)

    def wardens(self) -> list[psutil.Process]:
        """Return the wardens above the processes of this team's runs."""
        found = []
        for process in psutil.process_iter():
            try:
                if process.environ().get("TEAM_HOME") == str(self.team) and process.environ().get("TEAM_RUN"):
                    found += [each for each in process.parents() if "warden" in each.cmdline()]
            except psutil.Error:
                continue
        return list(dict.fromkeys(found))

    def ends(self) -> list[tuple[str, str]]:
        """Return how the runs ended: kind of event, and status or reason."""
        events = self.events("run.finished", "run.lost")
        return [(event["kind"], event["data"].get("status") or event["data"]["why"]) for event in events]

    def is_over(self) -> bool:
        return living(self.team) == []


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """A project whose processes are ended after the test."""
    place = Place(tmp_path / "project")
    yield place
    for name in ("GO", "END"):
        place.flag(name).touch()


def gone(processes: list[psutil.Process]) -> bool:
    return not psutil.wait_procs(processes, timeout=20)[1]


@pytest.mark.parametrize(
    ("command", "number"),
    [
        ("run", signal.SIGTERM),
        ("tick", signal.SIGKILL),
        pytest.param("run", signal.SIGINT, marks=pytest.mark.storm),
        pytest.param("run", signal.SIGKILL, marks=pytest.mark.storm),
        pytest.param("tick", signal.SIGTERM, marks=pytest.mark.storm),
        pytest.param("tick", signal.SIGINT, marks=pytest.mark.storm),
    ],
)
def test_a_run_goes_on_when_its_scheduler_ends_and_the_next_takes_it_over(place, command, number):
    """It sends mail meanwhile, and its patch lands; the warden ends with it."""
    first = place.start("scheduler", command)
    place.wait("BEGAN", first)
    first.send_signal(number)
    _, err = first.communicate(timeout=30)
    wardens = place.wardens()
    assert (len(wardens), place.is_over()) == (1, False), err
    if number != signal.SIGKILL:
        says = {"run": "ended; ann goes on\n", "tick": "still running: ann; the next tick takes over\n"}
        assert err.endswith(says[command])

    place.flag("GO").touch()
    place.wait("SENT")
    assert [event["subject"] for event in place.events("mail.sent")] == ["from ann"]
    assert place.ends() == []
    assert "take over: ann, attempt 1, which its scheduler left; " in place.ok("scheduler", "--dry-run")
    assert "ann" in place.ok("scheduler", "status")

    second = place.start("scheduler", "sprint")
    until(second, "ann .attempt 1.: taken over")
    place.flag("END").touch()
    _, err = second.communicate(timeout=30)
    assert second.returncode == 0, err
    assert place.ends() == [("run.finished", "ok")]
    assert gone(wardens)
    assert place.is_over()
    assert len(place.events("patch.landed")) == 1
    assert place.git("show", "team/sprint-1:list.txt") == "ann was here"
    assert len(place.events("run.started")) == 1
    assert sorted(path.name for path in (place.team / "runs").iterdir()) == [place.events("run.started")[0]["run"]]


def test_ticks_leave_alone_what_goes_on_and_put_on_record_what_has_ended(place):
    """Each comes back at once, and only the one after the end of a run weaves its patch."""
    assert "still running: ann; the next tick takes over" in place.run("scheduler", "tick").stderr
    place.wait("BEGAN")
    wardens = place.wardens()
    ticked = place.run("scheduler", "tick")
    assert ticked.stdout == "idle: still running: ann\n"
    assert place.ends() == []
    for name in ("GO", "END"):
        place.flag(name).touch()
    assert gone(wardens)
    place.ok("scheduler", "tick")
    assert place.ends() == [("run.finished", "ok")]
    assert len(place.events("patch.landed")) == 1
    place.ok("scheduler", "tick")
    assert [event["data"]["outcome"] for event in place.events("sprint.finished")] == ["converged"]


@pytest.mark.storm
def test_a_tick_tells_the_runs_that_go_on_whom_they_meet(place):
    """From cron, where no scheduler stays, each tick looks once; one that finds nothing new tells nothing again."""
    for name in ("ann", "bob"):
        (place.team / "personas" / f"{name}.md").write_text(f"---\nid: {name}\n---\nMind your line.\n")
    end = place.flag("END")
    place.agent(
        f'echo "$TEAM_PERSONA is here" > list.txt; touch {end}-$TEAM_PERSONA; until test -e {end}; do sleep 0.02; done'
    )
    assert "still running: ann, bob" in place.run("scheduler", "tick").stderr
    for name in ("ann", "bob"):
        place.wait(f"END-{name}")

    first = place.run("scheduler", "tick")
    told = [(event["data"]["persona"], event["data"]["who"]) for event in place.events("run.foretold")]
    assert sorted(told) == [("ann", "bob"), ("bob", "ann")], first
    assert place.ok("scheduler", "status").count("list.txt:1") == 2
    place.run("scheduler", "tick")
    assert len(place.events("run.foretold")) == 2
    end.touch()


def test_a_run_that_ended_while_nobody_led_is_taken_over_with_its_patch(place):
    """Its mail is sent, its processes and the warden are gone, and what it did counts as if nothing had happened."""
    first = place.start("scheduler", "tick")
    place.wait("BEGAN", first)
    first.kill()
    first.communicate()
    wardens = place.wardens()
    for name in ("GO", "END"):
        place.flag(name).touch()
    assert gone(wardens)
    assert place.is_over()
    assert place.document("sprint")["landed"] == ["ann"]
    assert place.ends() == [("run.finished", "ok")]


def test_a_run_goes_on_when_its_agent_is_renamed_or_its_persona_leaves(place):
    """What was begun under the old name is taken over under it; another scheduler's settings do not end it."""
    first = place.start("scheduler", "run")
    place.wait("BEGAN", first)
    first.terminate()
    first.communicate(timeout=30)
    toml = place.team / "team.toml"
    toml.write_text(toml.read_text().replace("[agents.shell]", "[agents.other]"))
    second = place.start("scheduler", "sprint")
    until(second, "ann .attempt 1.: taken over")
    shown = place.ok("scheduler", "status")
    assert " s, taken over" in shown, shown
    assert "without a scheduler" not in shown
    for name in ("GO", "END"):
        place.flag(name).touch()
    second.communicate(timeout=30)
    assert place.ends() == [("run.finished", "ok")]
    assert len(place.events("patch.landed")) == 1


def test_a_paused_team_puts_on_record_what_has_ended(place):
    """It starts nothing, and what it was doing is not forgotten; until then the status tells what it waits for."""
    first = place.start("scheduler", "run")
    place.wait("BEGAN", first)
    first.terminate()
    first.communicate(timeout=30)
    assert "goes on without a scheduler" in place.ok("scheduler", "status")
    wardens = place.wardens()
    for name in ("GO", "END"):
        place.flag(name).touch()
    assert gone(wardens)
    assert "has ended; the next scheduler puts that on record" in place.ok("scheduler", "status")
    place.ok("scheduler", "pause")
    assert "take over: ann" in place.ok("scheduler", "--dry-run")
    place.ok("scheduler", "tick")
    assert place.ends() == [("run.finished", "ok")]
    assert place.events("patch.landed") == []


def test_a_tick_of_a_paused_team_looks_again_while_a_run_goes_on(place):
    """No event tells of its end, so the answer of an earlier tick does not hold."""
    place.ok("scheduler", "tick")
    place.wait("BEGAN")
    place.flag("GO").touch()
    place.wait("SENT")
    wardens = place.wardens()
    place.ok("scheduler", "pause")
    for _ in range(2):
        place.ok("scheduler", "tick")
    assert place.ends() == []
    place.flag("END").touch()
    assert gone(wardens)
    place.ok("scheduler", "tick")
    assert place.ends() == [("run.finished", "ok")]


def test_a_run_that_sends_too_much_while_nobody_leads_is_over_its_quota(place):
    """The next scheduler counts what it did not see."""
    script = "cat > /dev/null; touch {}; until test -e {}; do sleep 0.02; done; for n in 1 2 3 4; do "
    script += ".team/run/team-mail send --to you -s $n -b x; done; touch {}; sleep 60"
    toml = '[sprint]\nretry_backoff = "0s"\nmax_mails = 3\n'
    place.agent(script.format(*(place.flag(name) for name in ("BEGAN", "GO", "SENT"))), toml)
    first = place.start("scheduler", "tick")
    place.wait("BEGAN", first)
    first.kill()
    first.communicate()
    place.flag("GO").touch()
    place.wait("SENT")
    place.ok("scheduler", "sprint", code=4)
    assert place.ends()[0] == ("run.finished", "quota")


def test_killing_the_warden_costs_no_other_run_its_work(place):
    """Whoever was cut off by it is launched again, finds its work, and counts as lost, not as stopped by a person."""
    (place.team / "personas" / "bob.md").write_text("---\nid: bob\n---\nMind nothing.\n")
    killer = f"kill -9 $(ps -o ppid= -p $PPID); touch {place.flag('KILLED')}; sleep 60"
    victim = f"echo half > bob.txt; until test -e {place.flag('KILLED')}; do sleep 0.02; done; sleep 60"
    again = "test -e .team/run/previous.patch || test $TEAM_PERSONA = ann; echo done > $TEAM_PERSONA.txt"
    begun = place.flag("ONCE")
    script = (
        f"cat > /dev/null; if test $TEAM_PERSONA = ann; then until test -e {begun}; do sleep 0.02; done; {killer}; "
    )
    script += f"else touch {begun}; {victim}; fi"
    place.agent(f"if test -e {place.flag('KILLED')}; then cat > /dev/null; {again}; else {script}; fi")
    assert sorted(place.document("sprint")["landed"]) == ["ann", "bob"]
    lost = place.events("run.lost")
    assert {(event["data"]["persona"], event["data"]["why"]) for event in lost} == {
        ("ann", "its warden was killed"), ("bob", "its warden was killed"),
    }  # fmt: skip


def test_a_task_whose_warden_was_killed_is_tried_again(place):
    """It was cut off by somebody else, and is not left without an end."""
    killed = place.flag("KILLED")
    kill = "kill -9 $(ps -o ppid= -p $PPID); sleep 60"
    place.agent(
        f"cat > /dev/null; test -e {killed} || {{ touch {killed}; {kill}; }}; echo '{{}}' > .team/run/output.json"
    )
    tasks = place.folder.with_name("tasks.json")
    task = {"task_id": "a", "agent": "ann", "description": "Do it.", "retries": 1, "retry_backoff": 0.1}
    tasks.write_text(json.dumps({"tasks": [task]}))
    place.ok("team", "dispatch", str(tasks))
    assert place.ends() == [("run.lost", "its warden was killed"), ("run.finished", "ok")]


def test_a_run_that_goes_on_is_ended_by_scheduler_stop(place):
    """Without a scheduler too; the next one puts it on record, and does not try again."""
    first = place.start("scheduler", "tick")
    place.wait("BEGAN", first)
    first.terminate()
    first.communicate(timeout=30)
    wardens = place.wardens()
    assert place.ok("scheduler", "stop", "ann").startswith("stopping ann, attempt 1")
    assert gone(wardens)
    assert place.is_over()
    err = place.run("scheduler", "sprint").stderr
    assert place.ends() == [("run.finished", "stopped")], err


@pytest.mark.parametrize("number", [pytest.param(signal.SIGTERM, marks=pytest.mark.storm), signal.SIGKILL])
def test_the_runs_of_a_sprint_end_with_it_and_their_work_is_kept(place, number):
    """Half a change does not land; the next attempt finds it."""
    half = "cat > /dev/null; echo half >> list.txt; head -n 4 {}; touch {}; sleep 60"
    place.agent(half.format(STREAM, place.flag("BEGAN")), '[sprint]\nretry_backoff = "0s"\n')
    first = place.start("scheduler", "sprint")
    place.wait("BEGAN", first)
    wardens = place.wardens()
    first.send_signal(number)
    first.communicate(timeout=30)
    assert gone(wardens)
    assert place.is_over()

    place.agent("cat > /dev/null; cp .team/run/previous.patch seen.patch")
    assert place.document("sprint")["landed"] == ["ann"]
    (lost,) = place.events("run.lost")
    assert lost["data"]["orderly"] == (number == signal.SIGTERM)
    assert lost["data"]["partial"]["files"] == ["list.txt"]
    assert (lost["data"]["usage"]["input"], lost["data"]["usage"]["partial"]) == (2000, True)
    assert "+half" in place.git("show", "team/sprint-1:seen.patch")
    assert place.git("show", "team/sprint-1:list.txt") == "ann has nothing"


@pytest.mark.parametrize(
    "file",
    [
        "launch.json",
        pytest.param("ended.json", marks=pytest.mark.storm),
        pytest.param("heartbeat", marks=pytest.mark.storm),
    ],
)
def test_a_run_of_another_version_is_lost_and_its_work_is_kept(place, file):
    """A scheduler does not guess what a later one means."""
    half = "cat > /dev/null; echo half >> list.txt; touch {}; until test -e {}; do sleep 0.02; done"
    place.agent(half.format(place.flag("BEGAN"), place.flag("END")), '[sprint]\nretry_backoff = "0s"\n')
    first = place.start("scheduler", "tick")
    place.wait("BEGAN", first)
    first.terminate()
    first.communicate(timeout=30)
    wardens = place.wardens()
    folder = place.team / "runs" / place.events("run.started")[0]["run"]
    if file == "ended.json":
        place.flag("END").touch()
        assert gone(wardens)
    text = (folder / file).read_text()
    later = json.dumps(json.loads(text) | {"v": 2}) if file.endswith("json") else text.replace(" 1\n", " 2\n")
    assert later != text
    (folder / file).write_text(later)

    place.agent("cat > /dev/null; cp .team/run/previous.patch seen.patch")
    assert place.document("sprint")["landed"] == ["ann"]
    why = "its scheduler is gone" + (", and was of another version" if file == "launch.json" else "")
    assert place.ends() == [("run.lost", why), ("run.finished", "ok")]
    assert "+half" in place.git("show", "team/sprint-1:seen.patch")
    assert gone(wardens)


def test_a_dispatch_that_was_killed_is_resumed_with_what_its_runs_did(place):
    """A task whose run had ended well is not done again; the half work of another is kept."""
    place.agent("cat > /dev/null; echo half >> list.txt; touch {}; sleep 60".format(place.flag("BEGAN")))
    tasks = place.folder.with_name("tasks.json")
    tasks.write_text(json.dumps({"tasks": [{"task_id": "a", "agent": "ann", "description": "Do it."}]}))
    first = place.start("team", "dispatch", str(tasks))
    place.wait("BEGAN", first)
    wardens = place.wardens()
    first.kill()
    first.communicate()
    assert gone(wardens)
    place.agent("cat > /dev/null; cp .team/run/previous.patch seen.patch; echo '{}' > .team/run/output.json")
    place.ok("team", "dispatch", "--resume", place.events("dispatch.started")[0]["data"]["dispatch"])
    (lost,) = place.events("run.lost")
    assert (lost["data"]["task"], lost["data"]["partial"]["files"]) == ("a", ["list.txt"])


def test_what_a_killed_keeper_had_told_is_not_forgotten(place):
    """A kill of scheduler, warden, keeper and agent erases no money: the next run finds the budget spent."""
    told = f"cat > /dev/null; head -n 4 {STREAM}; touch {place.flag('BEGAN')}; sleep 60"
    place.agent(told, '[sprint]\nretry_backoff = "0s"\n[budget]\nday = "2k tokens"\n')
    first = place.start("scheduler", "sprint")
    place.wait("BEGAN", first)
    folder = place.team / "runs" / place.events("run.started")[0]["run"]
    while not (folder / "usage.json").exists() or b"2000" not in (folder / "usage.json").read_bytes():
        assert first.poll() is None, first.communicate()
    (warden,) = place.wardens()
    processes = [warden, *warden.children(recursive=True)]
    for process in [psutil.Process(first.pid), *processes]:
        with suppress(psutil.NoSuchProcess):  # the end of one may end the next
            process.kill()
    first.communicate()
    assert gone(processes)

    assert place.document("sprint", code=4)["runs"] == 1
    (lost,) = place.events("run.lost")
    assert (lost["data"]["usage"]["input"], lost["data"]["usage"]["partial"]) == (2000, True)


AWAY = "(cd / && setsid env -i PATH=$PATH TEAM_HOME={home} team-mail send --to you -s {subject} -b x)"


def test_a_process_of_a_run_is_its_persona_wherever_it_goes(place):
    """It may leave the workspace, its session and its environment: its keeper is above it all the same."""
    place.agent(f"cat > /dev/null; PATH={BIN}:$PATH; {AWAY.format(home=place.team, subject='away')} > out 2>&1")
    place.document("sprint", code=0)
    (mail,) = [event for event in place.events("mail.sent") if event["subject"] == "away"]
    assert (mail["sender"], mail["run"]) == ("ann", place.events("run.started")[0]["run"])


SCRIPT = """
import json
from team_mail import mail
from team_mail.mail.errors import UsageError
(waits,) = mail.get_inbox("ann", unread_only=True)
assert waits["body"] == "look", waits
mail.mark_read("ann", waits["id"])
assert mail.get_inbox("ann", unread_only=True) == []
mail.send_message("ann", "you", "by script", "text", ["list.txt"])
for forged in (lambda: mail.send_message("you", "ann", "forged", "x"), lambda: mail.get_inbox("bob")):
    try:
        forged()
    except UsageError as error:
        assert "it cannot act as" in str(error), error
    else:
        raise SystemExit("forged")
"""


def test_a_script_in_a_run_has_the_mail_of_its_persona(place):
    """The functions for scripts speak through the run's folder, as the command does."""
    place.ok("team-mail", "send", "--to", "ann", "-s", "wait", "-b", "look")
    (place.folder.parent / "script.py").write_text(SCRIPT)
    place.agent(f"cat > /dev/null; exec {sys.executable} {place.folder.parent}/script.py")
    place.document("sprint", code=0)
    mails = {event["subject"]: event for event in place.events("mail.sent") if event["sender"] != "scheduler"}
    assert {*mails} == {"wait", "by script"}
    assert (mails["by script"]["sender"], mails["by script"]["data"]["attachments"][0]["name"]) == ("ann", "list.txt")


def test_a_gate_has_no_mail_wherever_it_goes(place):
    """What it would send as somebody else is refused, and the gate finds that out."""
    gate = f"PATH={BIN}:$PATH; ! {AWAY.format(home=place.team, subject='away')} 2>&1 | tee out; grep 'has no mail' out"
    place.agent("cat > /dev/null; echo one > one.txt", f"[gates.mail]\ncommand = {json.dumps(['sh', '-c', gate])}\n")
    assert place.document("sprint")["landed"] == ["ann"]
    assert [event["subject"] for event in place.events("mail.sent") if event["subject"] == "away"] == []
