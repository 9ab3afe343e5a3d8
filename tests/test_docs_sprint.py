"""The documents of sprints and dispatches against the code: each setting, event, file, key and variable, no other."""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import fields
from pathlib import Path

import pytest
from team_mail.mail.kinds import exit_codes_table
from team_mail.mail.log.log import EventLog
from team_mail.personas.agents.command import PLACEHOLDERS
from team_mail.personas.agents.presets.preset import names
from team_mail.personas.agents.presets.tables import agents_table, untried_table
from team_mail.personas.bundled import library
from team_mail.personas.errors import PersonaError
from team_mail.personas.persona import Persona, parse_persona
from team_mail.personas.prompt import Situation, write_prompt
from team_mail.scheduler.kinds import (
    AgentStatus,
    ClaimState,
    DeployOutcome,
    DispatchStatus,
    Kind,
    LaunchReason,
    Mode,
    ModeRequest,
    NeedKind,
    PatchStatus,
    PhaseKind,
    RunStatus,
    ScheduleOutcome,
    SessionStatus,
    SprintOutcome,
    TaskStatus,
    kinds_table,
    words_table,
)
from team_mail.scheduler.runs.batch import BatchRunner
from team_mail.scheduler.settings.reading import read_settings
from team_mail.scheduler.sprint.decide import StartRequest
from team_mail.scheduler.sprint.loop import run_sprint
from team_mail.scheduler.sprint.tick import Ticker
from team_mail.scheduler.state.projections import HANDED
from team_mail.scheduler.tasks.condition import Condition
from team_mail.scheduler.tasks.task import DispatchConfig, Task
from team_mail.scheduler.tasks.typed import CoderInput, DebugInput
from team_mail.scheduler.weaver.refusal import SENSITIVE
from team_mail.team.dispatcher import ParallelDispatcher
from team_mail.team.open import open_replay

ROOT = Path(__file__).parent.parent
SPRINT, SETTINGS, PERSONAS, DISPATCH = (
    (ROOT / "docs" / f"{name}.md").read_text() for name in ("sprint", "settings", "personas", "dispatch")
)


def section(text: str, heading: str) -> str:
    """What stands under a heading, up to the next one of its rank or a higher one."""
    rank, _ = heading.split(" ", 1)
    match = re.search(rf"^{re.escape(heading)}\n(.*?)(?=^#{{1,{len(rank)}}} |\Z)", text, re.DOTALL | re.MULTILINE)
    assert match, heading
    return match[1]


def rows(text: str) -> list[list[str]]:
    """The cells of the tables in a text, without heads and rules; what is in code spans is bare."""
    lines = [line for line in text.splitlines() if line.strip().startswith("|")]
    cells = [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in lines]
    heads = {at - 1 for at, row in enumerate(cells) if set(row[0]) == {"-"}}
    return [row for at, row in enumerate(cells) if at not in heads and set(row[0]) != {"-"}]


def spans(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def test_every_setting_stands_in_the_table_with_its_default(tmp_path):
    """A key that was added, renamed or given another default shows at once that the table is old."""
    (tmp_path / "team.toml").write_text(
        '[agents.NAME]\ncommand = ["x"]\n[gates.NAME]\ncommand = ["x"]\n[prices.MODEL]\ninput = 1\noutput = 2\n'
        '[route.NAME]\norder = "cheapest"\n[teams.NAME]\nmembers = ["x"]\nreviewers = ["PERSONA"]\n'
        '[channels.NAME]\nmembers = ["x"]\n[review.PERSONA]\nbefore = ["x"]\n'
        '[notify.NAME]\nkind = "desktop"\n'
        '[schedules.NAME]\nask = "x"\nevery = "1h"\n'
    )
    expected = {
        key: "none" if origin.where != "default" or origin.value is None else json.dumps(origin.value)
        for key, origin in read_settings(tmp_path, {}).origins.items()
    } | {"route.NAME.order": '"given"', "teams.NAME.reviewers": "[]"}

    table = {spans(key)[0]: default.strip("`") for key, default, _ in rows(section(SETTINGS, "## Every key"))}

    assert table == expected | {"groups.NAME": "none"}
    for name in PLACEHOLDERS:
        assert f"`{{{name}}}`" in SETTINGS
        assert f"`{{{name}}}`" in SPRINT


@pytest.mark.parametrize(
    ("document", "least"), [("README.md", 1), ("docs/settings.md", 2), ("docs/agents.md", 10), ("docs/runs.md", 1)]
)
def test_the_settings_of_agents_that_are_shown_are_valid_and_short(document, least, tmp_path):
    """What is shown to be copied can be; a preset needs five lines at most."""
    blocks = re.findall(r"^```toml\n(.*?)^```$", (ROOT / document).read_text(), re.DOTALL | re.MULTILINE)
    shown = [block for block in blocks if "[agents." in block]
    for block in shown:
        (tmp_path / "team.toml").write_text(block)
        settings = read_settings(tmp_path, {}).settings
        assert all(agent.preset for agent in settings.agents.values())
    tables = re.findall(r"^\[agents\.\w+\].*\n(?:^[^\[\n].*\n)*", "\n".join(shown), re.MULTILINE)
    assert len(tables) >= least
    if document == "docs/agents.md":
        assert {f"[agents.{name}]" for name in names()} == {table.splitlines()[0] for table in tables}
    assert [table for table in tables if len(table.splitlines()) > 5] == []


# -- events


EVENTS = {
    kind: (spans(names), set(spans(re.sub(r"\([^)]*\)", "", data))))
    for kinds, _, names, data in (row for row in rows(section(SPRINT, "## Events")) if len(row) == 4)
    for kind in spans(kinds)
}


TABLES = {
    "sprint.md": {
        "kinds": kinds_table(),
        "run statuses": words_table(RunStatus),
        "patch statuses": words_table(PatchStatus),
        "outcomes": words_table(SprintOutcome, "outcome"),
        "modes": words_table(Mode, "mode"),
        "mode requests": words_table(ModeRequest, "`--mode`"),
        "reasons": words_table(LaunchReason, "reason"),
        "exit codes": exit_codes_table(),
        "needs": words_table(NeedKind, "matter"),
        "agent statuses": words_table(AgentStatus),
    },
    "dispatch.md": {
        "dispatch kinds": kinds_table("dispatches"),
        "dispatch statuses": words_table(DispatchStatus),
        "task statuses": words_table(TaskStatus),
    },
    "claims.md": {"claim kinds": kinds_table("claims"), "claim states": words_table(ClaimState, "state")},
    "sessions.md": {
        "session kinds": kinds_table("sessions"),
        "session statuses": words_table(SessionStatus),
    },
    "llm-api.md": {"command kinds": kinds_table("commands")},
    "github.md": {"forge kinds": kinds_table("forges")},
    "supervisor.md": {"deployments": words_table(DeployOutcome, "outcome")},
    "schedules.md": {"schedule outcomes": words_table(ScheduleOutcome, "outcome")},
    "plan.md": {"phase classes": words_table(PhaseKind, "class")},
    "agents.md": {"agents": agents_table(), "untried agents": untried_table()},
}


@pytest.mark.parametrize(
    ("document", "name"), [(document, name) for document, tables in TABLES.items() for name in tables]
)
def test_the_tables_of_kinds_and_statuses_are_generated(document, name):
    """What stands between the markers is the table that the kinds make; to renew it, copy it from there."""
    text = (ROOT / "docs" / document).read_text()
    shown = re.search(rf"<!-- begin {name} [^>]*-->\n(.*?)\n<!-- end {name} -->", text, re.DOTALL)
    assert shown
    assert shown[1] == TABLES[document][name]


def test_no_table_of_exit_codes_is_written_by_hand():
    """The codes and their meaning stand in mail/kinds.py alone."""
    for path in sorted((ROOT / "docs").glob("*.md")):
        text = re.sub(r"<!-- (begin )?exit codes.*?<!-- end", "", path.read_text(), flags=re.DOTALL)
        assert not re.search(r"^\| (0|1|2|3|4|5|130) \|", text, re.MULTILINE), path.name


def test_every_kind_of_event_has_its_fields_in_the_table():
    """The table of fields has the kinds that are written for sprints, and no other."""
    others = ("claim.", "command.", "dispatch.", "github.", "session.", "task.")
    assert set(EVENTS) == {kind for kind in Kind if not kind.startswith(others)}


def test_the_fields_of_events_are_those_of_the_table(tmp_path):
    """A sprint in which patches land, collide, are refused, held and rejected writes what the table says."""
    log = played(tmp_path)

    for event in log:
        if event.kind in EVENTS and "idle" not in event.data:
            names, data = EVENTS[event.kind]
            assert set(event.data) == data, event.kind
            assert [name for name in ("run", "ref") if getattr(event, name)] == names, event.kind
    others = {
        kind for kind in EVENTS if kind.startswith(("review.", "report.", "round.", "deploy.", "notice.", "schedule."))
    }
    others |= {kind for kind in EVENTS if kind in HANDED}
    missing = set(EVENTS) - {event.kind for event in log} - others  # see the tests of the supervisor and of workers
    assert missing == {
        "run.foretold",
        "run.lost",
        "run.stopped",
        "patch.approved",
        "sprint.stuck",
        "sprint.abandoned",
        "weave.lost",
        "budget.spent",
        "scheduler.paused",
        "scheduler.resumed",
    }


def played(folder: Path) -> list:
    """A sprint of recorded patches, and its log."""
    repository, patches = folder / "project", folder / "patches"
    patches.mkdir()
    git(folder, "init", "--quiet", "--initial-branch=main", "project")
    (repository / "poem.txt").write_text("one\ntwo\nthree\nfour\nfive\nsix\nseven\n")
    git(repository, "add", ".")
    git(repository, "-c", "user.name=Ada", "-c", "user.email=ada@example.org", "commit", "--quiet", "-m", "Begin")
    for name, file, text in (
        ("ann", "poem.txt", "ONE\ntwo\nthree\nfour\nfive\nsix\nseven\n"),
        ("bob", "poem.txt", "EINS\ntwo\nthree\nfour\nfive\nsix\nseven\n"),
        ("cyd", "bad.txt", "this breaks the gate\n"),
        ("dan", ".envrc", "export POWER=1\n"),
        ("eve", ".team/team.toml", "[team]\n"),
    ):
        path = repository / file
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        git(repository, "add", "--all", "--force")
        patch = git(repository, "diff", "--cached", "--full-index")
        (patches / f"{name}.patch").write_text(patch)
        git(repository, "reset", "--quiet", "--hard")
    (patches / "fay.patch").write_text("this is no patch\n")
    home = repository / ".team"
    home.mkdir()
    (home / "team.toml").write_text('[gates.good]\ncommand = ["sh", "-c", "! test -e bad.txt"]\n')
    context = open_replay(home, repository, patches, {"sprint.max_attempts": "1"})
    assert run_sprint(Ticker(context, BatchRunner(context)), StartRequest("asked for"))
    return [*context.mailbox.log.read()]


def git(folder: Path, *words: str) -> str:
    return subprocess.run(["git", *words], cwd=folder, check=True, capture_output=True, text=True).stdout


def test_every_sensitive_file_stands_in_the_table():
    """Who wonders why a patch is held finds its file in the guide, with the reason."""
    table = rows(section(SPRINT, "### Files that wait for a person"))
    assert {glob: why for why, globs in table for glob in spans(globs)} == SENSITIVE


# -- personas


def test_every_key_of_a_persona_stands_in_the_table():
    """The table has the keys that a persona's file may hold, and no other."""
    keys = {field.name for field in fields(Persona)} - {"prompt", "extra", "source", "line", "by_mail"}
    assert {spans(key)[0] for key, *_ in rows(section(PERSONAS, "## The file"))} == keys


def test_every_variable_of_a_prompt_stands_in_the_table():
    """The table has the variables that a prompt may use, as the error about another one lists them."""
    persona = parse_persona("{{ unknown }}", Path("ann.md"))
    with pytest.raises(PersonaError) as raised:
        write_prompt(persona, [], Situation(1, 1, "r", "b", "t", "you", (), "shop"))
    known = str(raised.value).partition("the variables are ")[2].split(", ")

    assert {name for names, _ in rows(section(PERSONAS, "## Variables")) for name in spans(names)} == set(known)


def test_the_bundled_personas_stand_in_the_table():
    """Each of the library has a row with what its file says."""
    table = {spans(row[1])[0]: row for row in rows(section(PERSONAS, "## The bundled ones"))}
    bundled = [parse_persona(file.read_text(), Path(file.name)) for file in library()]

    assert {*table} == {persona.id for persona in bundled}
    for persona in bundled:
        emoji, _, role, description, paths, priority = table[persona.id]
        assert (emoji, role, description) == (persona.emoji, persona.role, persona.description)
        assert (spans(paths), priority or "0") == ([*(persona.paths or ())], str(persona.priority)), persona.id


def test_the_persona_that_is_shown_is_one():
    """The example in the guide can be copied into a file."""
    text = re.search(r"```markdown\n(.*?)```", PERSONAS, re.DOTALL)
    assert text
    persona = parse_persona(text[1], Path("glazier.md"))
    assert (persona.id, persona.timeout, persona.scheduled) == ("glazier", 1200, True)


# -- dispatches


@pytest.mark.parametrize(
    ("heading", "model", "column"), [("### A task", Task, 1), ("### The config", DispatchConfig, 1)]
)
def test_every_key_of_tasks_json_stands_in_a_table_with_its_default(heading, model, column):
    """A field that was added, renamed or given another default shows at once that the table is old."""
    table = {
        name: spans(row[column])[0] if row[column] else None
        for row in rows(section(DISPATCH, heading))
        for name in spans(row[0])
    }
    fields = {
        name: None if field.is_required() else json.dumps(field.get_default(call_default_factory=True))
        for name, field in model.model_fields.items()
    }
    assert table == fields


def test_every_key_of_a_condition_stands_in_its_table():
    """The section has a second table, of what becomes of a task, whose first column names no key alone."""
    table = re.split(r"\n\n(?=Exactly one)", section(DISPATCH, "## Conditions"))[0]

    assert {name for row in rows(table) for name in spans(row[0])} == set(Condition.model_fields)


def test_the_typed_inputs_stand_in_the_table():
    """Required and optional fields, and what may stand in those with a choice."""
    for model, (_, required, optional) in zip(
        (CoderInput, DebugInput), rows(section(DISPATCH, "### Typed input")), strict=True
    ):
        fields = {name for name in spans(required) + spans(optional) if name in model.model_fields}
        assert fields == set(model.model_fields)
        needed = {name for name, field in model.model_fields.items() if field.is_required()}
        assert needed <= set(spans(required))
        assert not needed & set(spans(optional))


def test_the_fields_of_a_dispatchs_events_are_those_of_the_table(tmp_path, monkeypatch):
    """A dispatch that is gone on with writes what the tables say, and every other event bears its name."""
    monkeypatch.chdir(tmp_path)
    table = {
        spans(kind)[0]: set(spans(re.sub(r"\([^)]*\)", "", data)))
        for kind, data in (row for row in rows(section(DISPATCH, "## Events")) if len(row) == 2)
    }
    flags = {"dispatch.repository": "false"}
    dispatcher = ParallelDispatcher(agent="scripted", home=tmp_path / ".team", flags=flags)
    done = dispatcher.dispatch([Task(task_id="a", agent="forge")])
    dispatcher.resume(done.correlation_id)

    seen = set()
    for event in EventLog(tmp_path / ".team" / "mail").read():
        if event.kind != "log.opened":
            seen.add(event.kind)
            usual = EVENTS.get(event.kind, ((), set()))[1]
            assert set(event.data) | {"output"} & usual == table[event.kind] | usual, event.kind
    assert seen == set(table) - {"dispatch.stopped"}  # which a person asks for
