"""Teams of several agents in real processes: who plays where one is missing, refused, spent or failing."""

from __future__ import annotations

import json
import re
from pathlib import Path

from .test_scheduler import EDIT, NAMES, Project, project

__all__ = ["project"]

RECORDED = Path(__file__).parent.parent / "personas" / "streams" / "recorded"
REFUSED = 'cat > /dev/null; echo "API Error: 429 usage limit reached, try again in 3 hours" >&2; exit 1'


def agents(project: Project, order: list[str], scripts: dict[str, str], more: str = "", **tables: str) -> None:
    """Write the settings of a team whose agents are shell scripts."""
    text = f"[team]\nagent = {json.dumps(order)}\n"
    for name, script in scripts.items():
        text += f"[agents.{name}]\ncommand = {json.dumps(['sh', '-c', script])}\n{tables.get(name, '')}"
    (project.team / "team.toml").write_text(f'{text}[sprint]\nretry_backoff = "0s"\n{more}')


def played_by(project: Project) -> dict[str, list[str]]:
    """Return the agents of each persona's runs."""
    played: dict[str, list[str]] = {}
    for event in project.events("run.started"):
        played.setdefault(event["data"]["persona"], []).append(event["data"]["agent"])
    return played


def test_a_missing_agent_gives_way_and_everything_says_why(project):
    """The dry run, the event, the status and the trace; without any agent that is there, nothing starts."""
    agents(project, ["gone", "local"], {"local": EDIT})
    with (project.team / "team.toml").open("a") as file:
        file.write('[agents.gone]\ncommand = ["no-such-agent"]\n')
    words = "local, as gone is missing (agent gone: no-such-agent is not in PATH; install it, or give its full path"
    assert words in project.ok("scheduler", "--dry-run")

    assert project.ok("scheduler", "sprint")

    assert played_by(project) == {name: ["local"] for name in NAMES}
    (route,) = {json.dumps(event["data"]["route"]) for event in project.events("run.started")}
    assert json.loads(route)["passed"][0]["agent"] == "gone"
    assert words in project.ok("team", "trace", project.events("run.started")[0]["run"])
    assert project.document("status")["runs"][0]["instead_of"][0]["agent"] == "gone"
    agents(project, ["gone", "lost"], {})
    with (project.team / "team.toml").open("a") as file:
        file.write('[agents.gone]\ncommand = ["no-such-agent"]\n[agents.lost]\ncommand = ["nor-this"]\n')
    assert "no-such-agent is not in PATH" in project.refused("sprint")


def test_an_agent_whose_service_takes_no_more_gives_way_without_an_attempt(project):
    """All go on at once with the next one, and the next sprint begins with it."""
    agents(project, ["first", "second"], {"first": REFUSED, "second": EDIT}, "max_attempts = 1\n")

    assert "3 patches landed" in project.ok("scheduler", "sprint")

    assert played_by(project) == {name: ["first", "second"] for name in NAMES}
    assert [event["data"]["status"] for event in project.events("run.finished")].count("limited") == 3
    project.ok("team-mail", "send", "--from", "you", "--to", "ann", "--subject", "More", "--body", "Go on.")
    (launch,) = project.document("--dry-run")["launches"]
    assert launch["agent"] == "second"
    assert "; second, as first is parked until " in launch["why"]
    tasks = [{"task_id": "a", "agent": "ann", "description": "Mind your line."}]
    (project.folder / "tasks.json").write_text(json.dumps({"tasks": tasks}))
    (task,) = json.loads(project.ok("team", "dispatch", "tasks.json", "--dry-run", "--json"))["tasks"]
    assert (task["played_by"], [each["agent"] for each in task["instead_of"]]) == ("second", ["first"])


def test_a_failing_agent_gives_way_at_the_next_attempt(project):
    """What it left is handed on; the sprint is not called broken as long as another one may do it."""
    agents(project, ["bad", "good"], {"bad": "cat > /dev/null; exit 7", "good": EDIT})
    assert "3 patches landed" in project.ok("scheduler", "sprint")
    assert played_by(project) == {name: ["bad", "good"] for name in NAMES}
    why = project.events("run.started")[-1]["data"]["route"]["passed"][0]["why"]
    assert why.startswith("failed at it (exit 7")


def test_agents_that_all_fail_are_called_broken_once_each_was_tried(project):
    """And not before."""
    agents(project, ["bad", "worse"], {"bad": "cat > /dev/null; exit 7", "worse": "cat > /dev/null; exit 8"})
    assert "did not converge (broken)" in project.ok("scheduler", "sprint", code=4)
    assert {agent for played in played_by(project).values() for agent in played} == {"bad", "worse"}


def test_an_agent_that_has_spent_its_day_gives_way(project):
    """Runs start one by one; the third is another one's. The budget holds for dispatches too."""
    stream = f"{EDIT}; cat {RECORDED}/qwen.jsonl"
    agents(
        project, ["paid", "free"], {"paid": stream, "free": EDIT}, 'max_parallel = 1\nparallel = "never"\n',
        paid='budget = "6k tokens"\n',
    )  # fmt: skip

    assert "3 patches landed" in project.ok("scheduler", "sprint")

    assert played_by(project) == {"ann": ["paid"], "bob": ["paid"], "cyd": ["free"]}
    why = project.events("run.started")[-1]["data"]["route"]["passed"][0]["why"]
    assert why == "may use no more (the budget of agent paid for the day is spent: 6.3k of 6k tokens)"
    tasks = [{"task_id": name, "agent": "ann", "description": "Mind your line."} for name in ("a", "b")]
    (project.folder / "tasks.json").write_text(json.dumps({"tasks": tasks}))
    project.ok("team", "dispatch", "tasks.json")
    assert played_by(project)["ann"] == ["paid", "free", "free"]


def test_a_budget_of_the_only_agent_stops_its_sprint(project):
    """Nothing more starts, the human is told once, and no sprint begins before midnight."""
    agents(
        project, ["paid"], {"paid": f"{EDIT}; cat {RECORDED}/qwen.jsonl"}, 'parallel = "never"\ndeadline = "20s"\n',
        paid='budget = "2 runs"\n',
    )  # fmt: skip
    ended = project.run("scheduler", "sprint")
    assert (ended.returncode, len(project.events("run.started"))) == (4, 2), ended.stdout + ended.stderr
    idle = project.run("scheduler", "sprint")
    assert idle.returncode == 4
    words = "the budget of agent paid for the day is spent: 2 of 2 runs; it begins anew at midnight"
    assert words in idle.stdout + idle.stderr
    assert len([mail for mail in project.events("mail.sent") if "budget of agent paid" in mail["subject"]]) == 1


def test_a_hard_budget_of_an_agent_ends_its_run_without_an_attempt(project):
    """Another one goes on with it, also with a task that has no retries."""
    stream = f"cat > /dev/null; head -n 4 {RECORDED}/claude.jsonl; exec sleep 60"
    agents(
        project, ["paid", "free"], {"paid": stream, "free": EDIT}, "max_attempts = 1\n[budget]\nhard = true\n",
        paid='budget = "2k tokens"\n',
    )  # fmt: skip
    tasks = [{"task_id": "a", "agent": "ann", "description": "Mind your line."}]
    (project.folder / "tasks.json").write_text(json.dumps({"tasks": tasks}))

    ended = project.run("team", "dispatch", "tasks.json")

    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert played_by(project) == {"ann": ["paid", "free"]}
    (first, _) = (event["data"] for event in project.events("run.finished"))
    words = "the budget of agent paid for the day is spent: 2.1k of 2k tokens"
    assert (first["status"], first["detail"]) == ("limited", words)
    assert first["seconds"] < 30
    assert "3 patches landed" in project.ok("scheduler", "sprint")


def test_rules_choose_by_persona_reason_task_and_price(project):
    """Each rule is a table; the first that fits counts."""
    rules = (
        '[route.docs]\npersonas = ["@writers"]\nagent = "dear"\n[groups]\nwriters = ["bob"]\n'
        '[route.audits]\ntasks = ["audit-*"]\nagent = ["dear", "cheap"]\norder = "cheapest"\n'
    )
    scripts = {"plain": EDIT, "dear": EDIT, "cheap": EDIT}
    prices = "[prices.gold]\ninput = 9\noutput = 9\n[prices.tin]\ninput = 1\noutput = 1\n"
    agents(project, ["plain"], scripts, rules + prices, dear='model = "gold"\n', cheap='model = "tin"\n')

    assert [launch["route"] for launch in project.document("--dry-run")["launches"]] == [None, "docs", None]
    assert "first launch of the sprint; dear by [route.docs]" in project.ok("scheduler", "--dry-run")

    project.ok("scheduler", "sprint")

    status = {each["persona"]: each["route"] for each in project.document("status")["runs"]}
    assert status == {"ann": None, "bob": "docs", "cyd": None}
    (by_rule,) = (event["run"] for event in project.events("run.started") if event["data"]["persona"] == "bob")
    assert re.search(r"agent +dear by \[route\.docs\]", project.ok("team", "trace", by_rule))
    assert json.loads(project.ok("team", "trace", by_rule, "--json"))["route"] == "docs"
    assert played_by(project) == {"ann": ["plain"], "bob": ["dear"], "cyd": ["plain"]}
    rules_of = {event["data"]["persona"]: event["data"].get("route") for event in project.events("run.started")}
    assert rules_of == {"ann": None, "bob": {"rule": "docs", "passed": []}, "cyd": None}
    tasks = [{"task_id": "audit-1", "agent": "ann", "description": "Mind your line."}]
    (project.folder / "tasks.json").write_text(json.dumps({"tasks": tasks}))
    (audit,) = json.loads(project.ok("team", "dispatch", "tasks.json", "--dry-run", "--json"))["tasks"]
    assert (audit["played_by"], audit["route"]) == ("cheap", "audits")
    project.ok("team", "dispatch", "tasks.json")
    assert played_by(project)["ann"] == ["plain", "cheap"]
    roster = json.loads(project.ok("team", "personas", "--json"))["personas"]
    assert {each["id"]: each["agents"] for each in roster} == {"ann": ["plain"], "bob": ["dear"], "cyd": ["plain"]}


def test_a_task_goes_to_another_agent_without_a_retry_of_its_own(project):
    """Refusals spend none, and no task waits for a service while another agent can do it."""
    agents(project, ["first", "second"], {"first": REFUSED, "second": EDIT})
    tasks = [{"task_id": name, "agent": "ann", "description": "Mind your line."} for name in ("a", "b")]
    (project.folder / "tasks.json").write_text(json.dumps({"tasks": tasks, "config": {"max_workers": 1}}))

    ended = project.run("team", "dispatch", "tasks.json")

    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert played_by(project)["ann"] == ["first", "second", "second"]
    assert "a: second, as first is parked until " in ended.stderr
