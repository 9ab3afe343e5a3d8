"""Templates of a dispatch: the tasks they become, which of two counts, and that a value is always text."""

from __future__ import annotations

import json
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from team_mail.mail.errors import UsageError
from team_mail.personas.bundled import with_bundled
from team_mail.personas.roster import Roster
from team_mail.scheduler.errors import InvalidTasks
from team_mail.scheduler.tasks.graph import waves
from team_mail.scheduler.tasks.reader import read_input
from team_mail.team.templates import template, templates

from ..samples import examples

PERSONAS = [persona.id for persona in with_bundled(Roster()).personas]
NEEDED = {"code-review": "path", "research": "question", "build": "feature"}
MINE = {
    "description": "Greets somebody.",
    "parameters": {"who": {"description": "whom to greet"}, "how": {"description": "how", "default": "warmly"}},
    "tasks": [
        {
            "task_id": "greet",
            "agent": "scribe",
            "description": "Greet ${who} ${how}.",
            "input_data": {"${who}": ["$${who}"]},
        }
    ],
}


@pytest.fixture
def own(tmp_path):
    """Write a template of the team's own; return the team's folder."""

    def own(name: str, content: object) -> object:
        (tmp_path / "templates").mkdir(exist_ok=True)
        text = content if isinstance(content, str) else json.dumps(content)
        (tmp_path / "templates" / f"{name}.json").write_text(text)
        return tmp_path

    return own


@pytest.mark.parametrize(("name", "key"), NEEDED.items())
def test_each_bundled_template_becomes_tasks_that_can_be_dispatched(name, key):
    """With the one value that it needs, for personas that come with the package, and something runs at once."""
    given = read_input(template(name, {key: "src/api.py"}, None), PERSONAS)

    assert len(waves(given.tasks)) > 1
    assert any("src/api.py" in task.description for task in given.tasks)


def test_templates_are_listed_with_their_parameters(own):
    """Bundled ones and the team's own, by name; an invalid one is listed with the reason."""
    own("mine", MINE)
    home = own("broken", "{")

    listed = {entry.name: entry for entry in templates(home)}

    assert list(listed) == ["broken", "build", "code-review", "mine", "research"]
    assert [entry.name for entry in listed.values() if entry.own] == ["broken", "mine"]
    assert listed["broken"].problem.startswith("template broken.json: the input is not JSON")
    assert [(entry.name, entry.default) for entry in listed["mine"].parameters] == [
        ("who", None),
        ("how", "warmly"),
    ]
    assert {entry.name for entry in templates(None)} == NEEDED.keys()


def test_parameters_are_replaced_in_values_only(own):
    """Keys are unchanged, and `$${` stands for `${`."""
    (task,) = json.loads(template("mine", {"who": "Ada"}, own("mine", MINE)))["tasks"]

    assert task["description"] == "Greet Ada warmly."
    assert task["input_data"] == {"${who}": ["${who}"]}


def test_a_teams_own_template_replaces_a_bundled_one(own):
    """They have the same name."""
    home = own("build", MINE)

    assert b"Greet Ada" in template("build", {"who": "Ada"}, home)
    assert b"Greet Ada" not in template("build", {"feature": "Ada"}, None)


@given(st.text())
@settings(max_examples=examples(50), deadline=None)
def test_a_value_is_always_text(value):
    """Quotes, braces and other parameters' marks are inserted as they were given."""
    written = json.loads(template("build", {"feature": value, "done": "${feature} ${path}"}, None))

    plain = json.loads(template("build", {"feature": "x"}, None))
    assert written["tasks"][0]["input_data"] == {"feature": value, "path": "src", "done": "${feature} ${path}"}
    assert [task.keys() for task in written["tasks"]] == [task.keys() for task in plain["tasks"]]
    assert written["config"] == plain["config"]


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("biuld", {}, "there is no template 'biuld'; did you mean build"),
        ("zzz", {}, "there is no template 'zzz'; there are build, code-review, research$"),
        ("../build", {}, "'../build' is no name of a template"),
        ("a/b", {}, "is no name of a template"),
        ("", {}, "is no name of a template"),
        (".", {}, "is no name of a template"),
        ("build.json", {}, "is no name of a template"),
        ("a\x1b[31m", {}, r"'a\\x1b\[31m' is no name"),
        ("build", {}, r"^template build: it needs --set feature=… \(what a user will be able to do, in a sentence\)$"),
        ("build", {"featur": "x"}, "no parameter 'featur'; did you mean feature.*; it needs --set feature"),
    ],
)
def test_unknown_templates_and_parameters_are_refused(name, values, message):
    """The message has the name, the known ones, and the missing ones."""
    with pytest.raises(UsageError, match=message):
        template(name, values, None)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "template x.json: the input is empty"),
        ("[]", "template x.json: it must be an object"),
        ('{"tasks": [], "tasks": []}', "template x.json: the input: has the key 'tasks' twice"),
        ({"description": "d"}, "template x.json: tasks must be a list"),
        (MINE | {"description": 1}, "template x.json: description must be text"),
        (MINE | {"parameter": {}}, "template x.json: parameter is no field; did you mean parameters"),
        (MINE | {"parameters": []}, "template x.json: parameters must be an object"),
        (MINE | {"parameters": {"who": "x"}}, "template x.json: parameters.who must be an object"),
        (
            MINE | {"parameters": {"who": {"description": "x"}, "haw": {"description": "x"}}},
            r"parameters has no 'how', but \$\{how\} is used; did you mean who or haw",
        ),
        (MINE | {"parameters": {"a b": {"description": "x"}}}, r'parameters\["a b"\] is no name'),
        (
            MINE | {"parameters": MINE["parameters"] | {"n": {"description": "x", "default": 1}}},
            "n.default must be text",
        ),
        (
            MINE | {"parameters": MINE["parameters"] | {"n": {"defualt": "x"}}},
            "n.defualt is no field; did you mean default",
        ),
    ],
)
def test_an_invalid_template_is_reported_with_file_and_place(own, content, message):
    """Its file is outside data."""
    with pytest.raises(InvalidTasks, match=message):
        template("x", {"who": "Ada"}, own("x", content))


def test_only_regular_files_are_read_as_templates(own, tmp_path):
    """A pipe would block forever, and a folder is no template."""
    home = own("mine", MINE)
    os.mkfifo(tmp_path / "templates" / "pipe.json")
    (tmp_path / "templates" / "folder.json").mkdir()

    for name in ("pipe", "folder"):
        with pytest.raises(UsageError, match=f"{name}.json is no file"):
            template(name, {}, home)
