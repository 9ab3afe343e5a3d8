"""How the command of a preset is made for one persona: with its model, and with less than the table allows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase

from ..running.rules import Rules
from .presets.preset import Preset, presets

_MAIL = ("team-mail *", ".team/run/team-mail *")  # what every run may start, by whatever path


@dataclass(frozen=True)
class Recipe:
    """A command that a preset made of a table's `model` and `args`."""

    preset: Preset
    model: str | None = None
    args: tuple[str, ...] = ()
    sandbox: bool = False

    def words(self, model: str = "", rules: Rules | None = None) -> tuple[str, ...]:
        """Return the words for a persona that asks for a model, "" for the table's, and that has these rules.

        What the table names in `args` stays. Words are only left out, made narrower, or added to deny something, so
        that a persona's file never allows what the table does not.
        """
        chosen = model if model and has_model(self.preset, model) else self.model
        narrowed = (*_narrowed(self.preset, rules or Rules()),)
        return self.preset.words(chosen, self.args, sandbox=self.sandbox, command=narrowed)


def has_model(preset: Preset, model: str) -> bool:
    """Tell whether an agent can be told a model: not one that only others have, such as `sonnet` for Codex."""
    if not preset.model:
        return False
    return not preset.models or _is_one(model, preset) or not any(_is_one(model, rival) for rival in presets())


def _is_one(model: str, preset: Preset) -> bool:
    return any(fnmatchcase(model.lower(), glob) for glob in preset.models)


def _narrowed(preset: Preset, rules: Rules) -> Iterator[str]:
    """Yield the first words of a preset's command, narrowed to what the rules leave."""
    narrow, allowed = preset.narrow, False
    for word in preset.command:
        yield ",".join(_left(word.split(","), preset, rules)) if narrow and allowed else word
        allowed = narrow is not None and bool(narrow.allowed) and word == narrow.allowed
    if narrow and rules.paths == ():
        yield from narrow.deny


def _left(tools: list[str], preset: Preset, rules: Rules) -> Iterator[str]:
    narrow = preset.narrow
    if narrow is None:
        yield from tools
        return
    for tool in tools:
        if tool == narrow.shell and rules.commands is not None:
            yield from (narrow.command.replace("{command}", each) for each in _spelled((*_MAIL, *rules.commands)))
        elif rules.paths != () or tool not in narrow.write:
            yield tool


def _spelled(commands: tuple[str, ...]) -> Iterator[str]:
    """Yield commands as such a list names them; one that it would understand otherwise is left out."""
    for command in dict.fromkeys(commands):
        prefix = command.removesuffix(" *")
        if not any(sign in prefix for sign in ",()*?[:"):
            yield f"{prefix}:*" if prefix != command else command
