"""Mail that wakes nobody, in separate processes: agents that thank each other, the dry run, the status."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from .test_scheduler import Project

# Answers every message of its prompt with a thank-you; ann has something to say first.
POLITE = """
prompt=$(cat)
case "$prompt" in *"--type fyi"*) ;; *) exit 9 ;; esac
if [ "$TEAM_PERSONA" = ann ]; then
    .team/run/team-mail send --key first-{run} --to bob -s "Your idea" -b "I took it, thank you." {type} || exit 8
fi
for number in $(printf '%s\\n' "$prompt" | sed -n 's/^## Message \\([0-9]*\\)$/\\1/p'); do
    .team/run/team-mail reply "$number" -b "Thank you for your mail!" {type} || exit 7
done
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    folder = tmp_path / "project"
    folder.mkdir()
    project = Project(folder)
    project.git("init", "--quiet", "--initial-branch=main")
    project.git("commit", "--quiet", "--allow-empty", "-m", "Begin")
    (project.team / "personas").mkdir(parents=True)
    for name in ("ann", "bob"):
        (project.team / "personas" / f"{name}.md").write_text(f"---\nid: {name}\n---\nBe polite.\n")
    return project


def polite(project: Project, type: str, more: str = "") -> None:
    project.agent(POLITE.replace("{type}", type), more)


def prompts(project: Project, persona: str) -> list[str]:
    """The prompts of a persona's runs, the first one first."""
    runs = [event["run"] for event in project.events("run.started") if event["data"]["persona"] == persona]
    return [(project.team / "runs" / run / "prompt.md").read_text() for run in runs]


@pytest.mark.parametrize("type", ["--type status", pytest.param("--type fyi", marks=pytest.mark.storm)])
def test_two_agents_that_thank_each_other_converge_in_the_fewest_ticks(project, type):
    """Each runs once. What they wrote waits, is in the prompts of the next sprint, and is read then."""
    polite(project, type)
    first = project.document("sprint")
    assert (first["converged"], first["ticks"], first["runs"]) == (True, 2, 2)
    status = project.document("status")
    assert (status["unread"], status["waiting"]) == ({}, {"bob": 1})
    assert "waits for its next run: bob has 1 unread that wakes nobody" in project.ok("scheduler", "status")
    (sent,) = project.events("mail.sent")[:1]

    project.document("sprint")

    assert ["Your idea" in prompt for prompt in prompts(project, "bob")] == [False, True]
    assert {event["ref"] for event in project.events("mail.read") if event["sender"] == "bob"} == {sent["id"]}


def test_without_a_type_they_wake_each_other_until_their_attempts_are_spent(project):
    """That is what the type is for: the same agents, and a sprint that does not converge."""
    polite(project, "", "[sprint]\nmax_attempts = 2\n")
    ended = project.document("sprint", code=4)
    runs = [event["data"]["persona"] for event in project.events("run.started")]
    assert not ended["converged"]
    assert max(map(runs.count, ("ann", "bob"))) == 2
    assert "mail still waits" in str(project.events("persona.skipped"))


def test_a_setting_wakes_for_a_type_again_and_the_prompt_speaks_of_none(project):
    """With an empty list all mail wakes; the origin of the setting is told."""
    more = "[sprint]\nwakes_not = []\nmax_attempts = 2\n"
    project.agent(POLITE.replace("{type}", "--type status").replace("exit 9", "true"), more)
    assert not project.document("sprint", code=4)["converged"]
    assert "wakes nobody" not in "".join(prompts(project, "ann"))
    config = json.loads(project.ok("team", "config", "--origin", "--json"))
    assert config["sprint.wakes_not"] == {"value": [], "from": "team.toml:5"}


def test_a_dry_run_says_that_mail_waits_and_a_tick_starts_nothing_for_it(project):
    """Between sprints mail of such a type starts none; in one it is told with the persona that it waits for."""
    project.agent("cat > /dev/null", '[sprint]\nevery = "1d"\n')
    project.ok("scheduler", "sprint", "--quiet")
    project.ok("team-mail", "send", "--from", "you", "--to", "bob", "-b", "Well done.", "--type", "status")
    before = project.document("--dry-run")
    assert "the next sprint is due at" in before["idle"]
    project.ok("scheduler", "tick")
    assert len(project.events("sprint.started")) == 1
    preview = project.document("sprint", "--dry-run")
    assert [(launch["persona"], launch["unread"]) for launch in preview["launches"]] == [("ann", 0), ("bob", 1)]
    project.ok("team-mail", "send", "--from", "you", "--to", "ann", "-b", "Please look.")
    after = project.document("--dry-run")
    assert after["starts"] == "unread mail for ann"
    assert re.fullmatch(r"1 unread \(status\), which waits .*", after["skips"][0]["why"])
