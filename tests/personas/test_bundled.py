"""The bundled personas: the library that a team copies, and the workers for tasks."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from team_mail.mail.errors import TeamMailError
from team_mail.mail.letter import TYPES
from team_mail.personas.bundled import copy_into, library, with_bundled
from team_mail.personas.persona import Persona
from team_mail.personas.prompt import Situation, write_prompt
from team_mail.personas.roster import Roster, read_roster

TEAM = {
    "absolutist", "artisan", "builder", "curator", "deps", "essentialist", "evaluator", "forge", "lore", "maya", "meta",
    "oracle", "sapper", "scribe", "sentinel", "shepherd", "steward", "streamliner", "visionary", "weaver", "you",
}  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / ".team" / "personas"
    made.mkdir(parents=True)
    return made


def test_every_persona_of_the_library_is_valid(folder):
    """All have the ROSAV form and every field, and name only teammates that exist."""
    copy_into(folder)
    roster = read_roster(folder)
    assert roster.problems == ()
    assert {persona.id for persona in roster.personas} == TEAM
    assert {persona.id for persona in roster.personas if not persona.scheduled} == {"weaver", "you"}
    team = tuple((persona.id, persona.description) for persona in roster.personas)
    situation = Situation(1, 1, "run-1", "0" * 40, "team/sprint-1", "boss", team, "demo")
    for persona in roster.personas:
        assert persona.description
        assert persona.emoji
        assert persona.role
        assert 30 <= len(persona.prompt.splitlines()) <= 60
        assert re.findall(r"(?m)^## (\w+)", persona.prompt) == ["Role", "Objective", "Situation", "Act", "Verify"]
        named = set(re.findall(r"`([a-z]+)`", persona.prompt)) - {*TYPES, "paths", "except"}
        assert named <= TEAM - {persona.id}, f"{persona.id} writes to nobody or to itself"
        written = write_prompt(persona, [], situation)
        assert written.count("Sprint 1, your attempt 1") == 1
        assert "{{" not in written


def test_the_library_never_overwrites(folder):
    """A persona that the team has already, in any form, is left alone."""
    (folder / "curator.md").write_text("Mine.")
    (folder / "forge").mkdir()
    (folder / "forge" / "prompt.md").write_text("Mine.")
    written = {path.name for path in copy_into(folder)}
    assert written == {f"{name}.md" for name in TEAM - {"curator", "forge"}}
    assert (folder / "curator.md").read_text() == "Mine."
    assert copy_into(folder) == []
    assert len(library()) == len(TEAM)


def test_copying_the_library_reports_where_it_cannot_write(tmp_path):
    """A file in the way is reported in one line."""
    (tmp_path / "file").write_text("")
    with pytest.raises(TeamMailError, match=r"cannot write personas into .*file"):
        copy_into(tmp_path / "file")


# -- as guests, for tasks


def test_a_team_without_personas_gets_the_bundled_ones():
    """They are the workers and the library personas that can take tasks, in no sprint, with the team's agent."""
    roster = with_bundled(Roster(problems=("x",)))
    ids = [persona.id for persona in roster.personas]
    members = {file.name.removesuffix(".md") for file in library()} - {"weaver", "you"}
    assert ids[:4] == ["coder", "debug", "planner", "reporter"]
    assert {*ids} == {*ids[:4], *members}
    assert len(ids) == len({*ids})
    assert roster.scheduled == ()
    assert {persona.agent for persona in roster.personas} == {None}
    assert roster.problems == ("x",)


def test_a_teams_own_persona_replaces_the_bundled_one(tmp_path):
    """A team's own coder is used, and its own personas stay in sprints."""
    (tmp_path / "coder.md").write_text("---\nagent: claude\n---\n\nMine.")
    (tmp_path / "forge.md").write_text("Mine, too.")
    roster = with_bundled(read_roster(tmp_path))
    assert [persona.id for persona in roster.personas][:3] == ["coder", "forge", "debug"]
    assert roster.get("coder") == read_roster(tmp_path).get("coder")
    assert {persona.id for persona in roster.scheduled} == {"coder", "forge"}


@pytest.mark.parametrize("name", ["coder", "debug"])
def test_the_workers_prompts_name_their_input_and_result(name):
    """Every key of both is in the prompt, which has the form of the library's."""
    worker = with_bundled(Roster()).get(name)
    assert isinstance(worker, Persona)
    keys = {
        "coder": "contract_description node_type output_path context_files validation_level Effect Compute Reducer "
        "Orchestrator strict moderate lenient",
        "debug": "problem_description affected_files error_traces analysis_depth hypothesis quick standard deep",
    }[name]
    results = {
        "coder": "generated_file validation_passed",
        "debug": "root_cause findings suggested_fix severity complies",
    }[name]
    assert not {key for key in keys.split() if f"`{key}`" not in worker.prompt}
    assert not {key for key in results.split() if f'"{key}":' not in worker.prompt}
    assert re.findall(r"(?m)^## (\w+)", worker.prompt) == ["Role", "Objective", "Situation", "Act", "Verify"]
    text = write_prompt(worker, [], Situation(0, 1, "r", "abc", "team/dispatch-1", "you", (), "demo"))
    assert "{{" not in text
    assert text.count("A task of a dispatch") == 1
