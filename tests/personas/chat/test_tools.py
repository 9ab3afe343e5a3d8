"""Each tool by itself: whatever a model sends is answered, and what is too much is told."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from team_mail.personas.chat.answer import Call
from team_mail.personas.chat.catalogue import OF_BLOCKS, TOOLS
from team_mail.personas.chat.commands import Commands
from team_mail.personas.chat.letters import Letters
from team_mail.personas.chat.place import Place
from team_mail.personas.chat.tools import Done, Toolbox
from team_mail.personas.running.rules import Rules

from ...conftest import git
from ...samples import examples


@pytest.fixture
def toolbox(tmp_path):
    (tmp_path / ".team" / "run").mkdir(parents=True)
    git(tmp_path, "init", "--quiet")
    (tmp_path / "a.txt").write_text("x\n")
    return Toolbox(Place(tmp_path), Letters(tmp_path), Commands(tmp_path, ("echo *",), Rules()))


def do(toolbox: Toolbox, name: str, **arguments: object) -> Done:
    return toolbox.do(Call("1", name, json.dumps(arguments)))


TEXTS = st.one_of(
    st.text(max_size=5),
    st.sampled_from(["a.txt", "x", "", "\ud800", "x\udfff", "\0", "-x", "[", "(", "\\", "a\nb", "."]),
)
NUMBERS = st.one_of(st.integers(-3, 3), st.sampled_from([10**400, -(10**400), 1e300, float("nan"), float("inf")]))
VALUES = {"string": TEXTS, "integer": NUMBERS, "array": st.one_of(TEXTS, st.lists(TEXTS, max_size=2))}
CALLS = st.sampled_from([*TOOLS, *OF_BLOCKS]).flatmap(
    lambda tool: st.tuples(
        st.just(tool.name), st.fixed_dictionaries({each.name: VALUES[each.type] for each in tool.parameters})
    )
)
RUNS = st.fixed_dictionaries({"command": TEXTS.map(lambda text: f"echo {text}"), "seconds": NUMBERS})


@given(st.one_of(CALLS, RUNS.map(lambda arguments: ("run", arguments))))
@settings(max_examples=examples(150), suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_arguments_are_an_error_of_the_run(toolbox, made):
    """Halves of characters and endless numbers are told to the model as all that does not fit."""
    name, arguments = made
    assert isinstance(do(toolbox, name, **arguments), Done)


def test_half_a_character_is_told_and_not_written(toolbox, tmp_path):
    told = do(toolbox, "write_file", path="a.txt", content="x\ud83d")
    assert told == Done("content of write_file has '\\ud83d', which is half a character; send whole ones", failed=True)
    assert (tmp_path / "a.txt").read_text() == "x\n"


def test_very_many_files_are_told_by_their_folders(toolbox, tmp_path):
    """All of them are counted, however long their list is, and one of the folders can be listed then."""
    name = "name-" * 20
    for number in range(40):
        folder = tmp_path / f"folder-{number:02}"
        folder.mkdir()
        for other in range(50):
            (folder / f"{name}{other:02}").write_text("plum\n")
    rows = do(toolbox, "list_files").text.splitlines()
    assert rows[:2] == ["a.txt", "folder-00/ [50 files]"]
    assert rows[-1] == "[2,001 files are too many to be listed; name a folder]"
    assert len(rows) == 42
    assert do(toolbox, "list_files", path="folder-07").text.splitlines()[49] == f"folder-07/{name}49"
    assert do(toolbox, "search", pattern="plum").text.endswith("[and 1800 more lines; search for less]")


def test_a_line_that_is_cut_says_so(toolbox, tmp_path):
    (tmp_path / "long.txt").write_text("z" * 70_000 + "\nend\n")
    assert (
        do(toolbox, "read_file", path="long.txt")
        .text.splitlines()[0]
        .endswith("z [line 1 goes on: 10000 more characters left out]")
    )
    assert do(toolbox, "search", pattern="z").text == f"long.txt:1:{'z' * 489}…"


def test_line_ends_of_windows_are_named_and_not_shown(toolbox, tmp_path):
    (tmp_path / "a.txt").write_bytes(b"one\r\ntwo\r\n")
    assert do(toolbox, "read_file", path="a.txt").text.splitlines() == [
        "     1\tone", "     2\ttwo", "[its lines end with CR LF, which edits keep]"
    ]  # fmt: skip
    assert do(toolbox, "search", pattern="one").text == "a.txt:1:one"
