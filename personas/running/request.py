"""What a run may ask `team-mail` for: commands that name no file but those that came with the request.

They are carried out by a process with more rights than the agent may have, which must not lend them. A hostile agent
writes its requests itself, so nothing is taken for granted that its `team-mail` would see to.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from ...mail.commands.quick import parsed
from ...mail.errors import UsageError

# They touch files outside of the workspace, or show the mail of others.
NOT_HERE = {"query", "backup", "restore", "export", "repair", "watch", "log"}
# The commands of `team` that a run may ask for, and which of their options have a value. Paths and names are for
# people: a run may not keep the others off their files, and what it changes is woven.
OF_TEAM = {
    "claim": {"--next": False, "--as": True, "--lease": True, "--expect": True, "--json": False},
    "renew": {"--token": True, "--lease": True, "--expect": True, "--json": False},
    "release": {"--token": True, "--expect": True, "--json": False},
    "done": {"--token": True, "--output": True, "--failed": True, "--expect": True, "--json": False},
}
OUT = "out"  # the name of the file that a command may write
_HELP = {"--help", "-h", "--version"}  # of the options before a command; others write the settings of your shell


@cache
def _tree() -> Any:
    from ...mail.commands import cli  # with Typer, which takes longer to load than all the rest

    return cli.command()


def check_request(words: Sequence[str], files: Collection[str]) -> None:
    """See that a command is one for runs and names no other file than `files` and `OUT`. Raises UsageError.

    The words are parsed as they will be when the command runs. What is wrong with them is told by the command itself.
    """
    if words and words[0] in OF_TEAM:
        _check_team(words, files)
        return
    if (plain := parsed(words)) is not None:
        _check_files([(name, value, isinstance(value, Path)) for name in plain for value in _each(plain[name])], files)
        return
    command, rest = _tree(), [*words]
    while children := getattr(command, "commands", None):
        name = rest.pop(0) if rest else "--help"
        if name in NOT_HERE and command is _tree():
            raise UsageError(f"{name} is not for runs: it is for the people of this team")
        if name in _HELP and not (rest and rest[0].startswith("-")):
            return
        if name.startswith("-"):
            raise UsageError(f"{name} is not for runs: begin with a command")
        if name not in children:
            return
        command = children[name]
    given = command.make_context(command.name, rest, resilient_parsing=True).params
    typed = [(param.name, param.type.name == "path") for param in command.params]
    _check_files([(name, value, is_path) for name, is_path in typed for value in _each(given.get(name))], files)


def _check_team(words: Sequence[str], files: Collection[str]) -> None:
    """See that a command of `team` has but the options that a run may use."""
    options, rest = OF_TEAM[words[0]], iter(words[1:])
    for word in rest:
        if not word.startswith("-"):
            continue
        name, equals, value = word.partition("=")
        if name not in options or (equals and not options[name]):
            listed = ", ".join(options)
            raise UsageError(f"{name} is not for runs, which may use {listed} of {words[0]}; ask a person by mail")
        value = value if equals else next(rest, "") if options[name] else ""
        if name == "--output" and value.startswith("@") and value[1:] not in files:
            raise UsageError(f"{value[1:]} is no file of this request")


def _check_files(values: Iterable[tuple[str, Any, bool]], files: Collection[str]) -> None:
    """See that the values of a command's parameters, each with whether it is a path, name no other file."""
    for name, given, is_path in values:
        value = str(given)
        file = value[1:] if name == "payload" and value.startswith("@") else value
        if (is_path or file != value) and file not in {*files, OUT}:
            raise UsageError(f"{file} is no file of this request")


def _each(value: Any) -> Iterator[Any]:
    for each in value if isinstance(value, list | tuple) else [value]:  # pyright: ignore[reportUnknownVariableType]
        if each is not None:
            yield each
