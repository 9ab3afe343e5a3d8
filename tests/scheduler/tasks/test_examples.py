"""The worked examples: each is sound as it stands, and is about what its name says."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from team_mail.personas.agent import Assignment, Job
from team_mail.personas.agents.scripts import bundled_agent
from team_mail.personas.bundled import with_bundled
from team_mail.personas.roster import Roster
from team_mail.scheduler.tasks.graph import waves
from team_mail.scheduler.tasks.reader import read_input
from team_mail.scheduler.tasks.references import filled, references
from team_mail.scheduler.tasks.typed import check_input

FOLDER = Path(__file__).parents[3] / "examples" / "dispatch"
PERSONAS = [persona.id for persona in with_bundled(Roster()).personas]
NAMES = (
    "01_parallel_generation",
    "02_debug_then_fix",
    "03_validation_workflow",
    "04_mixed_analysis",
    "05_complex_dependencies",
)


def example(name: str):
    return read_input((FOLDER / f"{name}.json").read_bytes(), PERSONAS)


def shape(name: str) -> list[int]:
    return [len(wave) for wave in waves(example(name).tasks)]


def test_there_are_the_five_documented_examples():
    """Their names are those of the documents."""
    assert tuple(sorted(path.stem for path in FOLDER.glob("*.json"))) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_each_example_can_be_played_by_the_bundled_agent(name, tmp_path):
    """Wave by wave: every reference is filled, every input is what its agent takes, every task gives a result."""
    given = example(name)
    tasks = {task.task_id: task for task in given.tasks}
    agent, outputs = bundled_agent(), {}

    for task in (tasks[name] for wave in waves(given.tasks) for name in wave):
        input_text = filled(task.input_data, {name: outputs[name] for name in references(task.input_data)})
        assert check_input(task.agent, input_text) == []
        outcome = agent.play(job(Assignment("x", task.task_id, task.description, input_text), task.agent, tmp_path))
        assert outcome.status == "ok"
        outputs[task.task_id] = outcome.output

    assert outputs.keys() == tasks.keys()
    assert all(outputs[name]["validation_passed"] for name, task in tasks.items() if task.agent == "coder")


def job(assignment: Assignment, persona: str, folder: Path) -> Job:
    return Job(
        run="run-1", persona=persona, attempt=1, sprint=0, words="", workspace=folder, folder=folder, home=folder,
        timeout=60.0, stop=threading.Event(), assignment=assignment,
    )  # fmt: skip


def test_each_example_shows_what_it_is_about():
    """Three at once; a chain; three pairs before a report; a mixture under limits; a diamond that says all it may."""
    assert shape("01_parallel_generation") == [3]
    assert shape("02_debug_then_fix") == [1, 1, 1]
    assert shape("03_validation_workflow") == [3, 3, 1]
    conditions = {task.task_id: task.when and task.when.text for task in example("03_validation_workflow").tasks}
    assert conditions == dict.fromkeys(("check-sailings", "check-fares", "check-timetable", "report")) | {
        f"renew-{name}": f"only if check-{name}.complies equals false" for name in ("sailings", "fares", "timetable")
    }
    mixed = example("04_mixed_analysis")
    assert mixed.config.max_per_agent == {"debug": 2, "*": 1}
    assert len({task.priority for task in mixed.tasks}) > 3
    complex_ones = example("05_complex_dependencies").tasks
    assert shape("05_complex_dependencies") == [1, 1, 2, 2, 2, 1]
    assert all(task.estimate for task in complex_ones)
    for field in ("retries", "timeout_seconds", "files", "creates", "priority"):
        assert any(getattr(task, field) for task in complex_ones)


@pytest.mark.parametrize("name", NAMES[1:])
def test_all_examples_but_the_first_pass_output_on(name):
    """A dependency without a reference only waits; these show what it is for."""
    assert any(references(task.input_data) for task in example(name).tasks)


def test_all_paths_of_the_examples_are_relative():
    """They mean files of the repository, wherever that is."""
    text = "".join(path.read_text() for path in FOLDER.glob("*.json"))

    assert '"/' not in text
    assert "\\\\" not in text
