"""Tasks as people and programs write them: the models of `tasks.json`, checked field by field when it is read.

`reader` checks what concerns several tasks: dependencies, references, personas. Durations are in seconds and may be
written as `"30m"`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Annotated, Any, Literal, TypeVar, cast, get_args

from pydantic import (
    AfterValidator,
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from ...mail.text.globs import is_from_top
from ...mail.text.units import seconds
from ..problems import Path, Problems, explain, shown, where
from .condition import Condition
from .name import task_name
from .strict import flaws

MAX_TASKS = 10_000
TRACES = "./traces"  # where the traces of a dispatch go by default
EVERY_OTHER = "*"  # in `max_per_agent`: every persona that is not named there
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def _path(value: str) -> str:
    if not value.strip() or _CONTROL.search(value):
        raise ValueError("must be the path of a folder")
    return value


def _glob(value: str) -> str:
    if not is_from_top(value):
        raise ValueError("must be a glob from the top of the repository, as src/** or *.md")
    return value


def _as_tuple(value: Any) -> Any:
    return tuple(cast("list[Any]", value)) if isinstance(value, list) else value


def _few_enough(tasks: tuple[Any, ...]) -> tuple[Any, ...]:
    if len(tasks) > MAX_TASKS:
        raise ValueError(too_many(len(tasks)))
    return tasks


def too_many(number: int) -> str:
    """Return the message for a list of more than `MAX_TASKS` tasks."""
    return f"has {number:,} entries, and the cap is {MAX_TASKS:,}"


def _json(value: dict[str, Any]) -> dict[str, Any]:
    for path, what in flaws(value):
        raise ValueError(f"{where(path)} {what}".lstrip())
    return value


Listed = BeforeValidator(_as_tuple)
TaskId = Annotated[str, AfterValidator(task_name)]
Seconds = Annotated[float, BeforeValidator(seconds)]
Limit = Annotated[float, BeforeValidator(seconds), Field(gt=0)]
Workers = Annotated[int, Field(ge=1, le=1000)]
Globs = Annotated[tuple[Annotated[str, AfterValidator(_glob)], ...], Listed]


class Table(BaseModel):
    """An object of the input: frozen, without unknown fields, and no value is converted to another type."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


Model = TypeVar("Model", bound=Table)


class Task(Table):
    """One piece of work for one persona, which `agent` names. It starts when all its `dependencies` have succeeded.

    `files` are globs of the files that it changes, `creates` of those that it creates; `estimate` is its expected
    duration. A failed run is retried up to `retries` times, first after `retry_backoff` seconds, then after twice as
    long each time. With `when` it runs only if that condition is met, and is skipped otherwise. Of a question only the
    answer is kept (`keep`), and none of the changes that its run made. Outside data may say `persona` instead of
    `agent`.
    """

    task_id: TaskId
    agent: Annotated[str, Field(min_length=1, validation_alias=AliasChoices("agent", "persona"))]
    description: str = ""
    input_data: Annotated[dict[str, Any], AfterValidator(_json)] = Field(default_factory=dict[str, Any])
    dependencies: Annotated[tuple[str, ...], Listed] = ()
    when: Condition | None = None
    priority: int = 0
    timeout_seconds: Limit | None = None
    retries: Annotated[int, Field(ge=0, le=100)] = 0
    retry_backoff: Seconds = 1.0
    files: Globs = ()
    creates: Globs = ()
    estimate: Seconds | None = None
    keep: Literal["all", "answer"] = "all"

    @model_validator(mode="before")
    @classmethod
    def _named_once(cls, value: Any) -> Any:
        if not isinstance(value, dict) or not {"agent", "persona"} <= (fields := cast("dict[str, Any]", value)).keys():
            return cast("Any", value)
        if fields["agent"] != fields["persona"]:
            names = [shown(str(fields[key])) for key in ("agent", "persona")]
            raise ValueError("has the agent '{}' and the persona '{}', which mean the same; keep one".format(*names))
        return {name: fields[name] for name in fields if name != "persona"}


class DispatchConfig(Table):
    """The config of a dispatch: concurrency in all and per persona, the time limit of a task, the traces' folder.

    Without a folder (None) no traces are written.
    """

    max_workers: Workers = 5
    timeout_seconds: Limit = 300.0
    trace_dir: Annotated[str, AfterValidator(_path)] | None = TRACES
    max_per_agent: dict[str, Workers] = Field(default_factory=dict[str, int])


class DispatchInput(Table):
    """The input of a dispatch. `model_validate` checks the fields; `reader.problems_of` checks the whole."""

    tasks: Annotated[tuple[Task, ...], Listed, AfterValidator(_few_enough)]
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
    """Validate the JSON value at `path` as a model; add what is wrong to `problems` and return None if it is invalid.

    Unknown fields are reported with the nearest known name; `noun` is what the model is called there. An invalid
    value for which `passes` is true is not reported.
    """
    if not isinstance(value, dict):
        problems.add_at(path, "must be an object: {…}")
        return None
    table, known = cast("dict[str, Any]", value), [*_field_names(model)]
    for name in table:
        if name not in known:
            problems.add_at((*path, name), f"is no field of {noun}", name, known)
    try:
        return model.model_validate({name: table[name] for name in known if name in table})
    except ValidationError as invalid:
        for error in invalid.errors(include_url=False):
            if passes is None or not passes(error["input"]):
                place = tuple(part for part in error["loc"] if part != "[key]")
                if error["type"] == "extra_forbidden":  # in a table within this one, whose own were found above
                    known = [*_field_names(_inner_model(model, place[:-1]))]
                    problems.add_at((*path, *place), f"is no field of {place[-2]}", str(place[-1]), known)
                else:
                    problems.add_at((*path, *place), explain(error))
    return None


def _inner_model(model: type[BaseModel], place: Path) -> type[BaseModel]:
    """Return the model of the table at a path within another one."""
    for name in place:
        annotation = model.model_fields[str(name)].annotation
        types = (annotation, *get_args(annotation))
        model = next(each for each in types if isinstance(each, type) and issubclass(each, BaseModel))
    return model


def _field_names(model: type[BaseModel]) -> Iterator[str]:
    """Go through the names that a field may be written by."""
    for name, field in model.model_fields.items():
        alias = field.validation_alias
        yield from (str(choice) for choice in alias.choices) if isinstance(alias, AliasChoices) else (name,)
