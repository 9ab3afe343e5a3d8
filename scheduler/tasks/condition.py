"""Conditions of tasks: a task with a `when` runs only if a value in another task's output is as it says.

A condition that cannot be decided, because the value is missing or no number, is an error and never a guess.
"""

from __future__ import annotations

import json
import math
from typing import Annotated, Any, Self, cast

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from ...mail.errors import TeamMailError
from ...mail.log.event import MAX_INTEGER
from ...mail.render import line
from ..problems import where
from .references import MissingOutput, look_up, steps_of
from .strict import flaws

TESTS = ("equals", "below", "above")
_LONGEST = 60  # characters of a value that is shown


class Undecided(TeamMailError):
    """A condition cannot be decided by the output that there is; the message says what was read."""


def _path(value: str) -> str:
    if steps_of(value) is None:
        raise ValueError("must be the path of a value in an output, as ok or findings.0.file")
    return value


def _json(value: Any) -> Any:
    for path, what in flaws(value):
        raise ValueError(f"{where(path)} {what}".lstrip())
    return value


def _finite(value: float | None) -> float | None:
    if value is None or not math.isfinite(value):
        raise ValueError("must be a number")
    return value


class Condition(BaseModel):
    """What a task's `when` says of the value at the path `key` in the output of the task `task`.

    Exactly one test is given: `equals`, which is any JSON value, or `below` or `above`, which are numbers. The others
    are None, and are left out where the condition is written down.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    task: str
    key: Annotated[str, AfterValidator(_path)]
    equals: Annotated[Any, AfterValidator(_json)] = None
    below: Annotated[float | None, AfterValidator(_finite)] = None
    above: Annotated[float | None, AfterValidator(_finite)] = None

    @model_validator(mode="after")
    def _has_one_test(self) -> Self:
        given = [test for test in TESTS if test in self.model_fields_set]
        if not given:
            raise ValueError("has nothing to compare with; give one of equals, below and above")
        if len(given) > 1:
            raise ValueError(f"has {' and '.join(given)}; keep one")
        return self

    @model_serializer(mode="wrap")
    def _as_given(self, whole: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out the tests that were not given: `equals` may be null, which is not the same."""
        return {name: value for name, value in whole(self).items() if name in self.model_fields_set}

    @property
    def name(self) -> str:
        """The value that it is about, as `check.ok`."""
        return self.task + ("" if self.key.startswith("[") else ".") + self.key

    @property
    def text(self) -> str:
        """The condition in words, as `only if check.ok equals false`."""
        if "equals" in self.model_fields_set:
            return f"only if {line(self.name)} equals {_shown(self.equals)}"
        test, bound = ("below", self.below) if self.below is not None else ("above", self.above)
        return f"only if {line(self.name)} is {test} {_shown(bound)}"

    def unmet(self, output: Any) -> str:
        """Return why the output of `task` does not meet it, as `check.ok is true`; "" if it does. Raises Undecided."""
        try:
            value, _ = look_up(output, steps_of(self.key) or (), self.task)
        except MissingOutput as missing:
            raise Undecided(f"whether to run it cannot be decided ({self.text}): {missing}") from None
        return "" if self._is_met(value) else f"{line(self.name)} is {_shown(value)}"

    def _is_met(self, value: Any) -> bool:
        if "equals" in self.model_fields_set:
            return is_same_json(value, self.equals)
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            read = f"{line(self.name)} is {_shown(value)}, which is no number"
            raise Undecided(f"whether to run it cannot be decided ({self.text}): {read}")
        return value < self.below if self.below is not None else value > cast("float", self.above)


def is_same_json(left: Any, right: Any) -> bool:
    """Tell whether two JSON values are equal: numbers by their value, and true is not 1."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, int | float) and isinstance(right, int | float):
        return left == right
    if isinstance(left, list) and isinstance(right, list):
        items, expected = cast("list[Any]", left), cast("list[Any]", right)
        return len(items) == len(expected) and all(map(is_same_json, items, expected))
    if isinstance(left, dict) and isinstance(right, dict):
        table, wanted = cast("dict[str, Any]", left), cast("dict[str, Any]", right)
        return table.keys() == wanted.keys() and all(is_same_json(table[key], wanted[key]) for key in table)
    return (left is None and right is None) or (isinstance(left, str) and left == right)


def _shown(value: Any) -> str:
    """Format a value as JSON in one line, cut if it is long."""
    if isinstance(value, float) and value.is_integer() and abs(value) <= MAX_INTEGER:
        value = int(value)
    text = line(json.dumps(value, ensure_ascii=False, default=repr))
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
