"""What a team costs, from real processes that print what real agents printed to the commands that show it."""

from __future__ import annotations

import json
import os
import pty
from contextlib import suppress
from pathlib import Path

import pytest

from ..console import Started
from .test_scheduler import CLEAN, Project, project

__all__ = ["project"]

RECORDED = Path(__file__).parent.parent / "personas" / "streams" / "recorded"
PLAY = "cat > /dev/null; sed -i 's/^{persona} .*/{persona} was here/' list.txt; cat %s/%s.jsonl"
PRICES = "[prices.fake]\ninput = 2\ncached = 1\noutput = 10\n"
IN_BATCHES = ("--set", "sprint.rolling=never")  # a tick waits for its runs then
EACH = (2 * 600 + 2400 + 10 * 150) / 1e6  # of a run that prints the stream of Qwen


@pytest.fixture
def paid(project: Project) -> Project:
    """A team whose agent prints the stream of Qwen, which tells tokens and no money."""
    project.agent(PLAY % (RECORDED, "qwen"), PRICES)
    return project


def test_a_sprint_tells_everywhere_what_it_cost(paid, tmp_path):
    """Its last lines, status, history, report, trace and log say the same, as text and as JSON."""
    ended = paid.run("scheduler", "sprint")

    assert ended.returncode == 0, ended.stderr
    assert "  used: about $0.02, 9.45k tokens\n" in ended.stdout
    assert "done in" in ended.stderr
    assert "1 file changed, about $0.0051, 3.15k tokens" in ended.stderr
    usages = [event["data"]["usage"] for event in paid.events("run.finished")]
    told = {"input": 3000, "cached": 2400, "output": 150, "usd": EACH, "estimated": True, "model": "fake"}
    assert [{name: usage[name] for name in told} for usage in usages] == [told] * 3
    status, (sprint,), report = paid.document("status"), paid.document("history"), paid.document("report")
    assert status["sprint"]["usage"] == sprint["usage"] == report["usage"]
    assert (sprint["usage"]["usd"], sprint["usage"]["output"]) == (pytest.approx(3 * EACH), 450)
    assert report["usd_per_patch"] == pytest.approx(EACH)
    assert [share["usage"]["usd"] for share in report["personas"]] == [EACH] * 3
    assert "about $0.02, 9.45k tokens" in paid.ok("scheduler", "status")
    assert "about $0.02  9.45k" in paid.ok("scheduler", "history")
    text = paid.ok("scheduler", "report", "--out", str(tmp_path / "out"))
    assert "  money          about $0.02; about $0.0051 for each of 3 patches that landed\n" in text
    assert "  tokens         9.45k: 9k given (7.2k of them cached), 450 written\n" in text
    picture = (tmp_path / "out" / "costs.svg").read_text()
    for words in ("US dollars", "ann", "about $0.0051", "about $0.0051 for each of 3 patches that landed"):
        assert words in picture
    trace = paid.ok("team", "trace", paid.events("run.finished")[0]["run"])
    assert "3,000 given (2,400 of them cached), 150 written, estimated by a table of prices; model fake" in trace


def test_what_no_agent_tells_is_unknown_and_never_nothing(project):
    """A command that prints no stream may have cost anything; a sum with such a run is a least one."""
    assert "  used: money and tokens unknown\n" in project.ok("scheduler", "sprint")
    project.agent(PLAY % (RECORDED, "claude"))
    (project.team / "personas" / "bob.md").write_text("---\nid: bob\nagent: mute\n---\nMind your line.\n")
    with (project.team / "team.toml").open("a") as file:
        file.write('[agents.mute]\ncommand = ["true"]\n')
    project.git("add", "--all", ".team/personas")

    document = project.document("sprint")

    assert document["usage"]["usd"] == pytest.approx(2 * 0.00588)
    assert (document["usage"]["runs"], document["usage"]["usd_unknown"]) == (3, 1)
    rows = project.ok("scheduler", "history").splitlines()
    assert rows[1].split()[-3:] == ["unknown", "unknown", "converged"]
    assert "  at least $0.01  at least 6.3k" in rows[2]
    assert json.loads(project.ok("scheduler", "history", "--json"))[0]["usage"]["usd"] is None


def test_a_run_that_goes_on_is_shown_with_what_it_used_so_far(project):
    """Two of three answers have come: at least their tokens are spent."""
    gate, stream = project.folder.with_name("gate"), RECORDED / "claude.jsonl"
    wait = f"while ! test -e {gate}; do sleep 0.1; done"
    project.agent(f"cat > /dev/null; head -n 4 {stream}; {wait}; tail -n +5 {stream}")
    process = project.start("scheduler", "sprint")
    try:
        for _ in range(600):
            runs = project.document("status")["runs"]
            if len(runs) == 3 and all(run["usage"]["input"] for run in runs):
                break
        assert [(run["status"], run["usage"]["input"], run["usage"]["partial"]) for run in runs] == [
            ("open", 2000, True)
        ] * 3
        assert "at least 6.3k tokens" in project.ok("scheduler", "status")
    finally:
        gate.touch()
        process.communicate(timeout=60)


def test_a_sprint_whose_budget_is_spent_starts_nothing_more_and_tells_the_human_once(paid):
    """Runs start one by one; the second spends the budget, and what it did lands."""
    paid.agent(PLAY % (RECORDED, "qwen"), f'{PRICES}[sprint]\nmax_parallel = 1\n[budget]\nsprint = "$0.01"\n')

    ended = paid.run("scheduler", "sprint")

    assert ended.returncode == 4, ended.stderr
    assert "did not converge (budget)" in ended.stdout
    assert "2 patches landed" in ended.stdout
    assert ended.stderr.count("nothing more starts: the budget of the sprint is spent: $0.01 of $0.01") == 1
    assert len(paid.events("run.started")) == 2
    (spent,) = paid.events("budget.spent")
    assert (spent["data"]["limit"], spent["data"]["budget"]) == ("$0.01", "sprint")
    assert spent["data"]["usage"]["usd"] == pytest.approx(2 * EACH)
    mails = [mail for mail in paid.events("mail.sent") if "budget of the sprint" in mail["subject"]]
    assert [mail["recipients"] for mail in mails] == [["you"]]
    assert paid.document("history")[0]["outcome"] == "budget"


def test_a_run_that_goes_beyond_its_budget_is_ended(project):
    """Its stream tells that while it works."""
    project.agent(
        f"cat > /dev/null; head -n 4 {RECORDED}/claude.jsonl; exec sleep 60",
        '[sprint]\nretry_backoff = "0s"\n[budget]\nrun = "2k tokens"\n',
    )
    ended = project.run("scheduler", "sprint")
    assert ended.returncode == 4, ended.stderr
    assert "did not converge (spent)" in ended.stdout
    assert "  3 runs went beyond [budget] run of team.toml and were not tried again: raise it\n" in ended.stdout
    assert len(project.events("run.started")) == 3
    (mail,) = [mail for mail in project.events("mail.sent") if mail["subject"].startswith("Sprint 1")]
    assert "Ended by [budget] run of team.toml: 3 runs, not tried again; raise it to go on." in mail["body"]
    ends = [event["data"] for event in project.events("run.finished")]
    assert {end["status"] for end in ends} == {"quota"}
    assert ends[0]["detail"] == "the budget of the run is spent: 2.1k of 2k tokens; raise [budget] run in team.toml"
    assert all(end["seconds"] < 30 for end in ends)


def test_a_hard_budget_of_the_day_ends_what_goes_on_and_bounds_dispatches(paid):
    """The next day would begin anew; today neither a sprint nor a task starts."""
    paid.agent(
        f"cat > /dev/null; head -n 4 {RECORDED}/claude.jsonl; exec sleep 60",
        '[sprint]\nmax_attempts = 1\n[budget]\nday = "5k tokens"\nhard = true\n',
    )
    assert paid.run("scheduler", "sprint").returncode == 4
    assert {event["data"]["status"] for event in paid.events("run.finished")} == {"quota"}
    ended = paid.run("scheduler", "sprint")
    assert (
        "nothing to do: the budget of the day is spent: 6.3k of 5k tokens; it begins anew at midnight" in ended.stderr
    )
    assert "idle: the budget of the day is spent: 6.3k of 5k tokens" in paid.ok("scheduler", "--dry-run")
    (paid.folder / "tasks.json").write_text('{"tasks": [{"task_id": "a", "agent": "ann", "description": "Do it"}]}')
    ended = paid.run("team", "dispatch", "tasks.json", "--json")
    (result,) = json.loads(ended.stdout)["results"]
    assert result["error"].startswith("the budget of the day is spent")
    assert len(paid.events("run.started")) == 3


def test_a_budget_of_runs_holds_for_a_day_across_processes(project):
    """One sprint and two dispatches at once begin no more runs than the day has."""
    began = project.folder.with_name("began")
    began.mkdir()
    project.agent(f"cat > /dev/null; touch {began}/$TEAM_RUN; sleep 1", '[budget]\nday = "3 runs"\n')
    tasks = [{"task_id": f"t{number}", "agent": "ann", "description": "Do it"} for number in range(3)]
    (project.folder / "tasks.json").write_text(json.dumps({"tasks": tasks}))
    dispatches = [project.start("team", "dispatch", "tasks.json", "--json") for _ in range(2)]
    processes = [project.start("scheduler", "sprint"), *dispatches]
    printed = [process.communicate(timeout=120) for process in processes]
    assert len([*began.iterdir()]) == 3, printed
    assert len(project.events("run.finished")) == 3
    late = {event["run"] for event in project.events("run.lost") if event["data"]["withdrawn"] == "day"}
    assert len(project.events("run.started")) == 3 + len(late)
    assert project.run("scheduler", "sprint").stderr.count("the budget of the day is spent: 3 of 3 runs") == 1


def test_a_dry_run_estimates_by_past_runs_and_shows_budgets(paid):
    """Before the first sprint nobody knows; after it, the spread of what was seen."""
    assert "cost: unknown; no past run of its agents told what it used\n" in paid.ok("scheduler", "--dry-run")
    paid.ok("scheduler", "sprint")
    paid.agent(PLAY % (RECORDED, "qwen"), f'{PRICES}[budget]\nsprint = "$5"\nday = "20 runs"\n')

    looked = paid.ok("scheduler", "sprint", "--dry-run")

    assert "cost: money about $0.02 ($0.02 to $0.02); tokens about 9.45k (9.45k to 9.45k); by 3 past runs\n" in looked
    assert "budget: sprint $5\n" in looked
    assert "budget: day 20 runs, 3 used\n" in looked
    document = paid.document("sprint", "--dry-run")
    assert document["cost"]["usd"]["median"] == pytest.approx(3 * EACH)
    assert document["budgets"] == ["sprint $5", "day 20 runs, 3 used"]
    paid.ok("team-mail", "send", "--to", "ann", "-s", "More", "-b", "Do more.")
    assert "; by 1 past run\n" in paid.ok("scheduler", "--dry-run")  # her own, of the three


def test_the_first_sprint_on_an_agent_that_costs_asks_on_a_terminal(project, tmp_path):
    """With no, nothing is written; with `--yes`, or once it has run, nothing is asked."""
    program = tmp_path / "claude"
    program.write_text(
        "#!/bin/sh\n" + (PLAY % (RECORDED, "claude")).replace("{persona}", "$TEAM_PERSONA").replace("'", '"')
    )
    program.chmod(0o755)
    (project.team / "team.toml").write_text(f'[team]\nagent = "c"\n[agents.c]\ncommand = ["{program}"]\n')

    printed, code = on_terminal(project, "n\n", "scheduler", "sprint")
    assert "sprint 1 starts 3 runs of c, and up to 3 runs of each persona in all; it may cost money" in printed
    assert (code, project.log()) == (1, b"")
    printed, code = on_terminal(project, "y\n", "scheduler", "sprint")
    assert "Go on? [y/N]" in printed
    assert code == 0
    printed, code = on_terminal(project, "", "scheduler", "sprint")
    assert ("Go on?" in printed, code) == (False, 0)
    assert project.run("scheduler", "sprint", "--yes").returncode == 0


def test_a_command_of_ones_own_with_the_preset_of_an_agent_that_costs_is_asked_about(project):
    """It may have any name."""
    project.agent(PLAY % (RECORDED, "claude"), 'preset = "claude"\n')
    printed, code = on_terminal(project, "n\n", "scheduler", "sprint")
    assert "runs of shell, and up to 3 runs of each persona in all; it may cost money. Go on? [y/N]" in printed
    assert "scheduler: nothing was started; scheduler sprint --yes does not ask\n" in printed
    assert (code, project.log()) == (1, b"")


def on_terminal(project: Project, typed: str, *words: str) -> tuple[str, int]:
    """Run a command on a terminal of its own, at which something is typed; return what it shows, and its exit code."""
    main, side = pty.openpty()
    process = Started(words[0], words[1:], project.folder, CLEAN | {"TERM": "dumb"}, [side, side, side])
    os.close(side)
    os.write(main, typed.encode())
    shown = b""
    with suppress(OSError):  # the terminal is gone with the process
        while data := os.read(main, 1 << 16):
            shown += data
    os.close(main)
    return shown.decode().replace("\r\n", "\n"), process.wait(60)


def test_who_is_parked_is_shown_with_the_time(project):
    """By tick, dry run and status, as text and as JSON; a tick returns at once."""
    project.agent(
        "cat > /dev/null; echo 'usage limit reached, resets in 3 hours'; exit 1", "[sprint]\nmax_attempts = 1\n"
    )

    assert project.run("scheduler", "tick", *IN_BATCHES).returncode == 0
    ticked = project.run("scheduler", "tick", *IN_BATCHES)

    until = {event["data"]["until"][:16] for event in project.events("run.finished")}
    assert {event["data"]["status"] for event in project.events("run.finished")} == {"limited"}
    assert ticked.stdout.startswith("idle: next try at ")
    assert "waiting until" in ticked.stderr
    assert "ann (parked until " in ticked.stderr
    parked = project.document("status")["parked"]
    assert parked.keys() == {"ann", "bob", "cyd"}
    assert {each["until"][:16] for each in parked.values()} <= until
    assert "resets in 3 hours" in parked["ann"]["why"]
    assert parked["ann"]["agent"] == "shell"
    shown = project.ok("scheduler", "status")
    assert "parked until " in shown
    assert "ann, bob, cyd, by agent shell; " in shown
    assert "usage limit reached, resets in 3 hours" in shown
    looked = project.ok("scheduler", "--dry-run")
    assert "parked until " in looked
    assert len(project.events("run.started")) == 3


SAID = "Claude usage limit reached, resets in 3 hours"
TURN = '{"type":"assistant","message":{"id":"a","content":[{"type":"text","text":"%s"}]}}'
RESULT = '{"type":"result","is_error":%s,"result":"%s"}'
WORDS = {
    "its own work": ([TURN % f"I added a test for the words: {SAID}"], "failed"),
    "the end of what succeeded": ([RESULT % ("false", f"I wrote: {SAID}"), SAID], "failed"),
    "a test that it ran": ([RESULT % ("true", f"FAILED test_messages.py: expected the words {SAID}")], "failed"),
    "another limit": ([RESULT % ("true", "Context window limit exceeded")], "failed"),
    "the first of many lines": ([SAID, "1", "2", "3", "4"], "failed"),
    "an error of its service": ([RESULT % ("true", SAID)], "limited"),
    "its last line after it broke off": ([TURN % "I look.", SAID], "limited"),
    "the last lines of a plain agent": (["I look.", SAID, "See the web page."], "limited"),
}


@pytest.mark.parametrize("words", WORDS)
def test_the_words_of_a_model_park_nobody(project, tmp_path, words):
    """What counts is an error of its service, in the places where agents report errors."""
    rows, status = WORDS[words]
    (tmp_path / "said").write_text("".join(f"{row}\n" for row in rows))
    project.agent(f"cat > /dev/null; cat {tmp_path}/said; exit 1")

    assert project.run("scheduler", "tick", *IN_BATCHES).returncode == 0

    assert {event["data"]["status"] for event in project.events("run.finished")} == {status}


def test_a_task_that_is_refused_waits_and_spends_no_attempt(project, tmp_path):
    """With no retries at all it succeeds once the service takes more; a third refusal ends it."""
    first = tmp_path / "first"
    project.agent(
        f"cat > /dev/null; test -e {first} || {{ touch {first}; echo 'rate limit: try again in 1 second'; exit 1; }}"
    )
    tasks = {"tasks": [{"task_id": "a", "agent": "ann", "description": "Do it", "retries": 0}]}
    (project.folder / "tasks.json").write_text(json.dumps(tasks))

    ended = project.run("team", "dispatch", "tasks.json", "--json")

    assert json.loads(ended.stdout)["status"] == "success", ended.stderr
    assert "a: parked until " in ended.stderr
    assert [event["data"]["status"] for event in project.events("run.finished")] == ["limited", "ok"]
    project.agent("cat > /dev/null; echo 'rate limit: try again in 1 second'; exit 1")
    (result,) = json.loads(project.run("team", "dispatch", "tasks.json", "--json").stdout)["results"]
    assert result["error"] == "exit 1: rate limit: try again in 1 second"
    assert len(project.events("run.finished")) == 5


def test_a_dispatch_waits_for_the_time_that_a_sprint_was_told(project):
    """It is the same service; nothing is asked of it before."""
    project.agent("cat > /dev/null; echo 'usage limit reached, resets in 4 seconds'; exit 1")
    assert project.run("scheduler", "tick", *IN_BATCHES).returncode == 0
    until = max(event["data"]["until"] for event in project.events("run.finished"))
    project.agent("cat > /dev/null")
    tasks = {"tasks": [{"task_id": "a", "agent": "ann", "description": "Do it"}]}
    (project.folder / "tasks.json").write_text(json.dumps(tasks))

    ended = project.run("team", "dispatch", "tasks.json", "--json")

    assert json.loads(ended.stdout)["status"] == "success", ended.stderr
    assert project.events("run.started")[-1]["ts"] >= until
    assert "a: parked until " in ended.stderr


def test_a_dispatch_holds_how_many_runs_of_its_agent_may_go_on_at_once(project, tmp_path):
    """A model on this machine serves one after the other, whoever asks."""
    lock = tmp_path / "busy"
    project.agent(f"cat > /dev/null; mkdir {lock} && sleep 0.2 && rmdir {lock}", "max_parallel = 1\n")
    tasks = [{"task_id": name, "agent": name, "description": "Do it", "retries": 0} for name in ("ann", "bob", "cyd")]
    (project.folder / "tasks.json").write_text(json.dumps({"tasks": tasks}))
    ended = project.run("team", "dispatch", "tasks.json", "--json")
    assert json.loads(ended.stdout)["status"] == "success", ended.stdout


def test_an_agent_that_cannot_start_is_not_tried_again(project):
    """A tool of the repository that is no program; the human is told, and no pause is waited for."""
    (project.folder / "tool").write_text("#!/nowhere/interpreter\n")
    (project.folder / "tool").chmod(0o755)
    project.git("add", "tool")
    project.git("commit", "--quiet", "-m", "A tool")
    (project.team / "team.toml").write_text('[agents.shell]\ncommand = ["./tool"]\n[sprint]\nretry_backoff = "1h"\n')

    summary = project.document("sprint", code=4)

    assert (summary["runs"], summary["set_aside"]) == (3, ["ann", "bob", "cyd"])
    ends = [event["data"] for event in project.events("run.finished")]
    assert [end["hopeless"] for end in ends] == [True] * 3
    assert all(end["detail"].startswith("cannot start ./tool") for end in ends)
    tasks = {"tasks": [{"task_id": "a", "agent": "ann", "description": "Do it", "retries": 3}]}
    (project.folder / "tasks.json").write_text(json.dumps(tasks))
    (result,) = json.loads(project.run("team", "dispatch", "tasks.json", "--json").stdout)["results"]
    assert result["error"].startswith("cannot start ./tool")
    assert len(project.events("run.started")) == 4
