"""Command lines that are parsed without Typer mean what Typer takes them for."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from team_mail.mail.commands import cli, daily, quick

COMMANDS = {name: cli.command().commands[name] for name in quick.OPTIONS}
FORMS = {
    (False, "str"): quick.TEXT, (True, "str"): quick.TEXTS, (False, "boolean"): quick.FLAG,
    (False, "int range"): quick.NUMBER, (False, "path"): quick.FILE, (True, "path"): quick.FILES,
}  # fmt: skip


@pytest.mark.parametrize("name", quick.OPTIONS)
def test_the_options_are_typers(name):
    """Each spelling, its parameter and the form of its value; none is missing but the one for help."""
    options = {
        spelling: (parameter.name, FORMS[parameter.multiple, parameter.type.name])
        for parameter in COMMANDS[name].params
        for spelling in parameter.opts
        if parameter.name != "help"
    }
    assert quick.OPTIONS[name] == options
    assert all(not parameter.secondary_opts for parameter in COMMANDS[name].params)


@pytest.mark.parametrize("name", quick.OPTIONS)
def test_the_defaults_are_typers(name):
    """An option that is not given has one value, whoever parsed the others."""
    ours = {
        each.name: each.default
        for each in inspect.signature(getattr(daily, name)).parameters.values()
        if each.default is not inspect.Parameter.empty
    }
    theirs = {each.name: each.default for each in COMMANDS[name].params if each.name in ours}
    assert {key: value or None for key, value in ours.items()} == {key: value or None for key, value in theirs.items()}


WORDS = (
    "", "a b", "x", "-", "--", "-x", "--json", "--json=1", "--to", "--to=a,b", "--to=", "-s", "-sX", "--subject",
    "--limit", "--limit=5", "5", "0", "-1", "1.5", "٣", "9" * 16, "-l", "-l5", "-ul", "--budget", "--bud", "--help",
    "-h", "--persona=@team", "-p", "--body-file", "--attach=a", "--as-of", "--unread", "-u", "--all", "--archived",
    "--type", "--exit-code", "--bodies", "-t", "--key", "--key=", "--from", "-f", "--payload", "--due", "--thread",
    "--priority", "--cc", "--tag", "--trashed", "--session",
)  # fmt: skip


def typers(name: str, words: list[str]) -> dict[str, Any]:
    """What Typer takes the words for; only what was given."""
    command = COMMANDS[name]
    context = command.make_context(name, [*words])
    given = {key for key in context.params if str(context.get_parameter_source(key)).endswith("COMMANDLINE")}
    return {key: context.params[key] for key in given}


@given(name=st.sampled_from([*quick.OPTIONS]), words=st.lists(st.sampled_from(WORDS), max_size=7))
def test_what_is_parsed_quickly_is_what_typer_takes_it_for(name, words):
    """Whatever Typer refuses, or takes for something else, is left to it."""
    values = quick.parsed([name, *words])
    if values is not None:
        assert plain(values) == plain(typers(name, words))


def plain(values: dict[str, Any]) -> dict[str, Any]:
    """The same values with one type for lists and one for paths."""
    return {key: [*map(str, value)] if isinstance(value, list | tuple) else str(value) for key, value in values.items()}


@pytest.mark.parametrize(
    "words", [[], ["check", "--help"], ["send", "-s", "x"], ["inbox", "extra"], ["read", "2"], ["inbox", "-ul", "5"]]
)
def test_what_is_not_plain_is_left_to_typer(words):
    """Help, joined options, a missing recipient, other commands."""
    assert quick.parsed(words) is None


def test_completion_is_left_to_typer(monkeypatch):
    """The shell asks by a variable."""
    monkeypatch.setenv("_TEAM_MAIL_COMPLETE", "complete_bash")
    assert quick.parsed(["check"]) is None
