"""Tasks as people and programs write them: what `tasks.json` holds, checked field by field when it is read.

What only shows when all tasks are seen together (dependencies, references, personas) is found by `task_file`.
Spans of time are seconds; they may be written as `"30m"`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, Any, TypeVar, cast

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from ...mail.globs import is_from_top
from ...mail.units import seconds
from ..problems import Problems, said, where
from .strict import Path, flaws

MAX_TASKS = 100_000
MAX_LIST = 10_000  # names in one list
EVERY_OTHER = "*"  # in `max_per_agent`, whoever is not named there
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")
_INDEX = re.compile(r"dispatch-\d+_\d+.*", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def _task_id(value: str) -> str:
    if not _ID.fullmatch(value):
        raise ValueError("must be 1 to 100 letters (a to z), digits, '_' and '-', with a letter or a digit in front")
    if _INDEX.fullmatch(value):
        raise ValueError("must be another name: an index of a dispatch is called so")
    return value


def _path(value: str) -> str:
    if not value.strip() or _CONTROL.search(value):
        raise ValueError("must be the path of a folder")
    return value


def _glob(value: str) -> str:
    if not is_from_top(value):
        raise ValueError("must be a glob from the top of the repository, as src/** or *.md")
    return value


def _listed(most: int) -> BeforeValidator:
    """Take JSON's list for a tuple, if it is no longer than anybody could mean."""

    def listed(value: Any) -> Any:
        if not isinstance(value, list | tuple | dict):
            return value
        held = cast("list[Any]", value)
        if len(held) > most:
            raise ValueError(too_many(len(held), most))
        return held if isinstance(value, dict) else tuple(held)

    return BeforeValidator(listed)


def too_many(number: int, most: int) -> str:
    """Say that something has more entries than it may."""
    return f"has {number:,} entries, and the cap is {most:,}"


def _json(value: dict[str, Any]) -> dict[str, Any]:
    for path, what in flaws(value):
        raise ValueError(f"{where(path)} {what}".lstrip())
    return value


Listed = _listed(MAX_LIST)
TaskId = Annotated[str, AfterValidator(_task_id)]
Seconds = Annotated[float, BeforeValidator(seconds)]
Limit = Annotated[float, BeforeValidator(seconds), Field(gt=0)]
Workers = Annotated[int, Field(ge=1, le=1000)]
Globs = Annotated[tuple[Annotated[str, AfterValidator(_glob)], ...], Listed]


class Table(BaseModel):
    """An object of the input: frozen, without unknown fields, and nothing is taken for what it is not."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


Model = TypeVar("Model", bound=Table)


class Task(Table):
    """One piece of work for one persona, the `agent`. It starts when all its `dependencies` have succeeded.

    `files` are globs of what it changes, `creates` of what it makes new; `estimate` is how long it is thought to take.
    A run that failed is tried again up to `retries` times, after `retry_backoff` seconds and twice as long each time.
    """

    task_id: TaskId
    agent: Annotated[str, Field(min_length=1)]
    description: str = ""
    input_data: Annotated[dict[str, Any], AfterValidator(_json)] = Field(default_factory=dict[str, Any])
    dependencies: Annotated[tuple[str, ...], Listed] = ()
    priority: int = 0
    timeout_seconds: Limit | None = None
    retries: Annotated[int, Field(ge=0, le=100)] = 0
    retry_backoff: Seconds = 1.0
    files: Globs = ()
    creates: Globs = ()
    estimate: Seconds | None = None


class DispatchConfig(Table):
    """How tasks are dispatched: how many at once, in all and per persona; how long each; where the traces go."""

    max_workers: Workers = 5
    timeout_seconds: Limit = 300.0
    trace_dir: Annotated[str, AfterValidator(_path)] = "./traces"
    max_per_agent: Annotated[dict[str, Workers], Listed] = Field(default_factory=dict[str, int])


class DispatchInput(Table):
    """All that a dispatch is given. `model_validate` checks the fields; `task_file.problems_of` checks the whole."""

    tasks: Annotated[tuple[Task, ...], _listed(MAX_TASKS)]
    config: DispatchConfig = DispatchConfig()


def read_table(
    model: type[Model],
    value: Any,
    path: Path,
    problems: Problems,
    noun: str,
    *,
    passes: Callable[[Any], bool] | None = None,
) -> Model | None:
    """Make an object of a model out of JSON that stands at `path`, or add what keeps it from being one.

    Unknown fields are not put to pydantic: there may be a million. A wrong value that `passes` is let go.
    """
    if not isinstance(value, dict):
        problems.add(f"{where(path)}: must be an object: {{…}}")
        return None
    found, fields = cast("dict[str, Any]", value), model.model_fields
    for name in found:
        if name not in fields:
            problems.add(f"{where((*path, name))}: is no field of {noun}", name, fields)
    try:
        return model.model_validate({name: found[name] for name in fields if name in found})
    except ValidationError as wrong:
        if problems.full and passes is None:
            problems.count(wrong.error_count())
            return None
        for error in wrong.errors(include_url=False):
            if passes is None or not passes(error["input"]):
                place = (part for part in error["loc"] if part != "[key]")
                problems.add(f"{where((*path, *place))}: {said(error)}")
    return None
