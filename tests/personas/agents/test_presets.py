"""What is known of each agent, and what is seen of one on this machine without running it."""

from __future__ import annotations

import json
import os
import re

import pytest
from team_mail.mail.text.globs import checked
from team_mail.personas.agents.presets.installed import has_login, older, path_of, version_of
from team_mail.personas.agents.presets.preset import STEPS, litter, names, preset, presets
from team_mail.personas.environment import reaching, unfilled

VARIABLE = re.compile(r"[A-Z][A-Z0-9_]*( if [A-Z][A-Z0-9_]*)?")
ALL = ("aider", "amp", "claude", "codex", "copilot", "cursor", "gemini", "goose", "opencode", "qwen")


def test_every_agent_has_a_file_and_those_seen_to_do_most_come_first():
    """Whoever is offered agents sees first what was seen to work."""
    steps = [len(each.seen.steps) if each.seen else 0 for each in presets()]
    assert names() == ALL
    assert sorted(each.name for each in presets()) == [*ALL]
    assert steps == sorted(steps, reverse=True)
    with pytest.raises(KeyError):
        preset("claud")


@pytest.mark.parametrize("name", ALL)
def test_a_preset_can_be_started_as_it_stands(name):
    """Its words, names and globs have the forms that the settings ask for, and it says whether it was tried."""
    known = preset(name)
    words = known.words("a-model", ["--more"], sandbox=True)
    assert known.program == known.words()[0]
    assert unfilled(words, ["prompt_file"]) is None
    assert ("{prompt_file}" in words) == (known.prompt == "file")
    assert ("a-model" in words) == bool(known.model)
    assert {*known.in_sandbox} <= {*known.words()}
    assert all(VARIABLE.fullmatch(item) for item in known.env)
    assert {*known.login.variables} <= {item.partition(" if ")[0] for item in known.env}
    assert [checked(glob) for glob in known.litter] == [*known.litter]
    assert (known.seen is None) == bool(known.not_run)
    if known.seen:
        assert {*known.seen.steps, *known.seen.missing} == {*STEPS}
        assert not {*known.seen.steps} & {*known.seen.missing}


def test_a_variable_may_pass_only_with_another_one():
    """The keys of a cloud go to an agent only where it is told to use that cloud."""
    env, keys = preset("claude").env, {"AWS_SECRET_ACCESS_KEY": "s", "ANTHROPIC_API_KEY": "k"}
    assert "AWS_SECRET_ACCESS_KEY" not in reaching(env, keys)
    assert "AWS_SECRET_ACCESS_KEY" not in reaching(env, keys | {"CLAUDE_CODE_USE_BEDROCK": ""})
    assert "AWS_SECRET_ACCESS_KEY" in reaching(env, keys | {"CLAUDE_CODE_USE_BEDROCK": "1"})
    assert "ANTHROPIC_API_KEY" in reaching(env, keys)


def test_what_agents_leave_behind_comes_from_all_of_them():
    assert {"**/.aider*", "**/.claude/todos/**", "**/.codex/auth.json"} <= {*litter()}


@pytest.mark.parametrize(
    ("ours", "seen", "is_older"),
    [
        ("2.1.99", "2.1.332", True),
        ("0.171.0", "0.171.0", False),
        ("codex-cli 0.99.1", "0.171.0", True),
        ("3.0", "2.1.332", False),
        ("2.1", "2.1.332", True),
        ("", "2.1.332", False),
        ("nightly", "2.1.332", False),
    ],
)
def test_versions_are_compared_by_their_numbers(ours, seen, is_older):
    assert older(ours, seen) is is_older


@pytest.fixture
def asked(tmp_path):
    """A program that writes down each time that it is asked for its version."""
    program = tmp_path / "bin" / "claude"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\n[ "$1" = --version ] && echo asked >> {tmp_path}/asked && echo "2.1.7 (Claude)"\n')
    program.chmod(0o755)
    return program


def times(folder):
    return (folder / "asked").read_text().count("asked") if (folder / "asked").exists() else 0


def test_a_program_is_asked_for_its_version_once_until_its_file_changes(asked, tmp_path):
    """The answer is kept under the path, time and size of the file."""
    cache = tmp_path / "state" / "versions.json"
    assert path_of(preset("claude"), {"PATH": str(asked.parent)}) == str(asked)
    assert [version_of(preset("claude"), str(asked), cache) for _ in range(3)] == ["2.1.7"] * 3
    assert times(tmp_path) == 1

    asked.write_text(asked.read_text().replace("2.1.7", "2.1.8"))
    os.utime(asked, ns=(1, 1))
    assert version_of(preset("claude"), str(asked), cache) == "2.1.8"
    assert (times(tmp_path), len(json.loads(cache.read_text()))) == (2, 1)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"a": 1}', "\0"])
def test_a_damaged_cache_of_versions_is_made_anew(asked, tmp_path, text):
    cache = tmp_path / "versions.json"
    cache.write_text(text)
    assert version_of(preset("claude"), str(asked), cache) == "2.1.7"
    assert version_of(preset("claude"), str(asked), cache) == "2.1.7"
    assert times(tmp_path) == 1


def test_the_version_of_a_package_is_read_and_no_program_is_started(asked, tmp_path):
    """Beside an npm program is its package.json, and a Python one has its metadata; that of another does not count."""
    package = tmp_path / "node_modules" / "@anthropic-ai" / "claude-code"
    package.mkdir(parents=True)
    (package / "package.json").write_text('{"name": "@anthropic-ai/claude-code", "version": "2.1.332"}')
    asked.rename(package / "cli.js")
    asked.symlink_to(package / "cli.js")
    assert version_of(preset("claude"), str(asked)) == "2.1.332"
    assert times(tmp_path) == 0

    aider = tmp_path / "venv" / "bin" / "aider"
    aider.parent.mkdir(parents=True)
    aider.symlink_to(package / "cli.js")
    (tmp_path / "venv" / "lib" / "python3.12" / "site-packages" / "aider_chat-0.86.2.dist-info").mkdir(parents=True)
    assert version_of(preset("aider"), str(aider)) == "0.86.2"
    assert times(tmp_path) == 0

    (package / "package.json").write_text('{"name": "another", "version": "9"}')
    assert version_of(preset("claude"), str(asked)) == "2.1.7"


def test_a_script_of_another_name_is_never_started_for_its_version(asked, tmp_path):
    """It may ignore the option and do a whole run that costs."""
    script = asked.rename(asked.with_name("wrap.sh"))
    assert version_of(preset("claude"), str(script)) == ""
    assert times(tmp_path) == 0


@pytest.mark.parametrize("words", ["exit 1", "echo none", "sleep 0; kill -9 $$"])
def test_a_program_without_a_version_has_none(tmp_path, words):
    program = tmp_path / "claude"
    program.write_text(f"#!/bin/sh\n{words}\n")
    program.chmod(0o755)
    assert version_of(preset("claude"), str(program)) == ""
    assert version_of(preset("claude"), str(tmp_path / "missing")) == ""


def test_a_login_is_a_variable_that_reaches_the_agent_or_a_file(tmp_path):
    """A key that is not in `env` does not count, and neither does an empty one."""
    codex, home = preset("codex"), {"HOME": str(tmp_path)}
    assert not has_login(codex, codex.env, home | {"OPENAI_API_KEY": "sk-1"})
    assert not has_login(codex, codex.env, home | {"CODEX_API_KEY": ""})
    assert not has_login(codex, [], home | {"CODEX_API_KEY": "sk-1"})
    assert has_login(codex, codex.env, home | {"CODEX_API_KEY": "sk-1"})

    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "auth.json").touch()
    elsewhere = home | {"CODEX_HOME": str(tmp_path / "elsewhere")}
    assert has_login(codex, codex.env, elsewhere)
    assert not has_login(codex, [], elsewhere)

    (tmp_path / ".codex").mkdir()
    (tmp_path / ".codex" / "auth.json").touch()
    assert has_login(codex, [], home)
