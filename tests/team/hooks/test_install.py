"""The entries of hooks in the files of agents: everything else stays as its user wrote it, to the byte."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from team_mail.mail.errors import UsageError
from team_mail.team.hooks.agents import AGENTS
from team_mail.team.hooks.edit import Document
from team_mail.team.hooks.install import Place, install, state, uninstall

from ...samples import examples

EVENTS = ["SessionStart", "UserPromptSubmit", "Stop", "PreToolUse"]
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)
OTHERS = st.fixed_dictionaries({"hooks": st.just([{"type": "command", "command": "echo hook show"}])})
HOOKS = st.dictionaries(st.sampled_from(EVENTS), st.lists(OTHERS, max_size=2))
SETTINGS = st.tuples(
    st.dictionaries(st.text(max_size=4).filter(lambda key: key != "hooks"), VALUES, max_size=3),
    st.none() | HOOKS,
    st.dictionaries(st.just("model"), VALUES),
).map(lambda parts: parts[0] | ({} if parts[1] is None else {"hooks": parts[1]}) | parts[2])
INDENTS = st.sampled_from([None, 1, 2, 4, "\t"])
ENDS = st.sampled_from(["", "\n", "\n\n", " "])


@pytest.fixture
def place(tmp_path) -> Place:
    return Place(tmp_path / "project", tmp_path / "home")


def tree(folder: Path) -> dict[str, bytes | None]:
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


@settings(max_examples=examples(25), deadline=None)
@given(SETTINGS, INDENTS, ENDS, st.booleans(), st.booleans())
def test_uninstalling_gives_back_the_same_bytes(tmp_path_factory, value, indent, end, dos, mark):
    """Whatever the order, the indentation and the line ends are; and installing again changes nothing."""
    place = Place(tmp_path_factory.mktemp("project"), Path("/nowhere"))
    file = place.top / ".claude" / "settings.local.json"
    file.parent.mkdir()
    text = json.dumps(value, indent=indent, ensure_ascii=False) + end
    data = (("\ufeff" if mark else "") + (text.replace("\n", "\r\n") if dos else text)).encode()
    file.write_bytes(data)

    assert install("claude", place, "ann")[1]
    written = file.read_bytes()
    assert not install("claude", place, "ann")[1]
    assert file.read_bytes() == written
    after = json.loads(written.decode("utf-8-sig"))
    assert {key: each for key, each in after.items() if key != "hooks"} == {
        key: each for key, each in value.items() if key != "hooks"
    }
    for event in AGENTS["claude"].events.values():
        assert after["hooks"][event][:-1] == value.get("hooks", {}).get(event, [])
        assert "--persona ann" in after["hooks"][event][-1]["hooks"][0]["command"]
    assert install("claude", place, "bob")[1]
    assert state("claude", place).persona == "bob"
    assert uninstall("claude", place)[1]
    assert file.read_bytes() == data
    assert not uninstall("claude", place)[1]


@pytest.mark.parametrize("agent", AGENTS)
@pytest.mark.parametrize("for_user", [False, True])
@pytest.mark.parametrize("folders", [False, True])
def test_a_file_that_was_made_goes_with_its_folders(tmp_path, monkeypatch, agent, for_user, folders):
    """Only those that were made for it; and the state says what is there."""
    monkeypatch.delenv("CLAUDE_CONFIG_DIR", raising=False)
    place = Place(tmp_path / "project", tmp_path / "home", for_user)
    place.top.mkdir()
    place.home.mkdir()
    if folders:
        state(agent, place).file.parent.mkdir(parents=True)
    before = tree(tmp_path)

    assert not state(agent, place).installed
    there, changed = install(agent, place, "ann")
    assert changed
    assert there.file.is_file()
    assert (state(agent, place).installed, state(agent, place).persona) == (True, "ann")
    assert not install(agent, place, "ann")[1]
    assert uninstall(agent, place)[1]
    assert tree(tmp_path) == before
    assert not uninstall(agent, place)[1]


def test_what_others_have_added_since_then_stays(place):
    """A hook and a setting that came after ours are left, and so is the file that was made for ours."""
    file = install("claude", place, "ann")[0].file
    document = Document.of(file.read_text()).added((), "model", "opus")
    mine = {"hooks": [{"type": "command", "command": "mine"}]}
    file.write_text(document.added(("hooks", "Stop"), "", mine).text)

    assert uninstall("claude", place)[1]

    assert json.loads(file.read_text()) == {"hooks": {"Stop": [mine]}, "model": "opus"}


MINE = {"type": "command", "command": "mine"}


@pytest.mark.parametrize("edit", ["joined to another", "moved to another event", "its number gone", "twice"])
def test_entries_that_somebody_has_edited_are_found(place, edit):
    """They go wherever they have been moved, and alone; a second installation puts them right."""
    file = install("claude", place, "ann")[0].file
    written = file.read_text()
    hooks = json.loads(written)["hooks"]
    if edit == "joined to another":
        hooks["Stop"][0]["hooks"].insert(0, MINE)
    elif edit == "moved to another event":
        hooks["SubagentStop"] = hooks.pop("Stop")
    elif edit == "twice":
        hooks["Stop"] *= 2
    edited = json.dumps({"hooks": hooks}, indent=2)
    edited = re.sub(r" #\d", "", edited) if edit == "its number gone" else edited

    file.write_text(edited)
    assert state("claude", place).persona == "ann"
    assert install("claude", place, "bob")[1]
    assert file.read_text().count("hook show claude --persona bob") == 3
    assert file.read_text().count("hook show") == 3
    assert not install("claude", place, "bob")[1]

    file.write_text(edited)
    assert uninstall("claude", place)[1]
    assert "hook show" not in (file.read_text() if file.exists() else "")
    if edit == "joined to another":
        assert json.loads(file.read_text()) == {"hooks": {"Stop": [{"hooks": [MINE]}]}}


def test_an_entry_whose_program_fails_is_not_in_the_way(place, tmp_path, monkeypatch):
    """An older version does not know the words, and 2 is the exit code by which agents refuse a prompt."""
    program = tmp_path / "team"
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    file = install("claude", place, "ann")[0].file
    (entry,) = json.loads(file.read_text())["hooks"]["UserPromptSubmit"]
    words = ["sh", "-c", entry["hooks"][0]["command"]]
    assert subprocess.run(words, check=False).returncode == 0
    program.write_text("#!/bin/sh\nexit 2\n")
    program.chmod(0o755)
    assert subprocess.run(words, check=False).returncode == 0
    program.write_text(f"#!{tmp_path}/gone/python\n")
    assert subprocess.run(words, check=False, stderr=subprocess.DEVNULL).returncode == 0


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('{"model": "x", // mine\n}', "it is no plain JSON"),
        ("", "it is no plain JSON"),
        ("[]", "it is no JSON object"),
        ('{"hooks": []}', "its 'hooks' is no object"),
        ('{"hooks": null}', "its 'hooks' is no object"),
        ('{"hooks": {"Stop": {}}}', "its 'Stop' is no list"),
        ('{"a": 1, "a": 2}', "an object has a key twice"),
    ],
)
def test_what_cannot_be_edited_is_left_with_the_lines_to_add(place, text, why):
    """A comment of the user would be lost, so it is said what to write where."""
    file = place.top / ".claude" / "settings.local.json"
    file.parent.mkdir(parents=True)
    file.write_text(text)
    with pytest.raises(UsageError) as refused:
        install("claude", place, "ann")
    assert why in str(refused.value)
    _, _, lines = str(refused.value).partition("add by hand: ")
    assert set(json.loads(lines)["hooks"]) == {"SessionStart", "UserPromptSubmit", "Stop"}
    assert file.read_text() == text
    assert why in state("claude", place).problem


def test_a_link_and_a_file_that_is_read_only_are_told(place, tmp_path):
    """A link may lead to what others share; what its owner has closed stays closed."""
    file = place.top / ".claude" / "settings.local.json"
    file.parent.mkdir(parents=True)
    (tmp_path / "dotfiles.json").write_text("{}\n")
    file.symlink_to(tmp_path / "dotfiles.json")
    with pytest.raises(UsageError, match=r"is a link to .*dotfiles\.json"):
        install("claude", place)
    file.unlink()
    file.write_text("{}\n")
    file.chmod(0o444)
    with pytest.raises(UsageError, match="is read-only: chmod u\\+w"):
        install("claude", place)
    file.chmod(0o640)
    install("claude", place)
    assert file.stat().st_mode & 0o777 == 0o640
    assert (tmp_path / "dotfiles.json").read_text() == "{}\n"


def test_a_plugin_of_another_is_left_alone(place):
    """The file of that name may be the user's own; and an agent that is not known is told with the nearest one."""
    file = place.top / ".opencode" / "plugin" / "team-mail.js"
    file.parent.mkdir(parents=True)
    file.write_text("// mine\n")
    with pytest.raises(UsageError, match="is none of ours"):
        install("opencode", place)
    assert not uninstall("opencode", place)[1]
    assert file.read_text() == "// mine\n"
    with pytest.raises(UsageError, match="no hooks for 'clade'; did you mean claude"):
        install("clade", place)
