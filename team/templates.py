"""Templates of a dispatch: tasks with parameters, bundled ones and a team's own in `.team/templates`.

`${name}` in a text becomes the value of that parameter. It is inserted after the JSON was parsed, so a value is always
text. `$${` stands for `${`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, NamedTuple, cast

from ..mail.errors import UsageError
from ..mail.render import line
from ..mail.text.nearest import suggestion
from ..scheduler.errors import InvalidTasks
from ..scheduler.problems import Problems, hint, shown, where
from ..scheduler.tasks.reader import read_limited
from ..scheduler.tasks.strict import read_json

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_PLACE = re.compile(r"\$(\$\{)|\$\{([A-Za-z_][\w-]*)\}")
_KEYS = ("description", "parameters", "tasks", "config")
_PARAMETER_KEYS = ("description", "default")


class Parameter(NamedTuple):
    """A parameter of a template; without a `default` it is required."""

    name: str
    description: str
    default: str | None = None


class Template(NamedTuple):
    """A template; `own` tells that it is the team's. `problem` says what is wrong with its file."""

    name: str
    description: str
    parameters: tuple[Parameter, ...] = ()
    own: bool = False
    problem: str = ""


def templates(home: Path | None) -> list[Template]:
    """Return all templates by name; those of the team in `home` replace bundled ones of the same name."""
    own = _own(home)
    return [_listed(name, file, own=name in own) for name, file in sorted((_bundled() | own).items())]


def template(name: str, values: Mapping[str, str], home: Path | None) -> bytes:
    """Return the `tasks.json` that a template becomes with these values for its parameters.

    Raises UsageError for an unknown template, a missing value, an unknown parameter, and an invalid template.
    """
    if not _NAME.fullmatch(name):
        raise UsageError(f"'{shown(name)}' is no name of a template: letters, digits, '_' and '-', and no path")
    there = _bundled() | _own(home)
    if name not in there:
        raise UsageError(f"there is no template '{name}'{suggestion(name, sorted(there))}")
    raw = _read(there[name])
    filling = _values(name, _parameters(raw), values)
    wanted = {key: _filled(raw[key], filling) for key in ("tasks", "config") if key in raw}
    return json.dumps(wanted, indent=2).encode()


def _bundled() -> dict[str, Traversable]:
    return _files(files(__name__.rpartition(".")[0]) / "dispatch_templates")


def _own(home: Path | None) -> dict[str, Traversable]:
    return _files(home / "templates") if home else {}


def _files(folder: Traversable) -> dict[str, Traversable]:
    """Return the templates of a folder by name; none if the folder is missing."""
    try:
        files = [file for file in folder.iterdir() if file.name.endswith(".json")] if folder.is_dir() else []
    except OSError as error:
        raise UsageError(f"cannot list {line(str(folder))}: {error.strerror}") from None
    named = {file.name.removesuffix(".json"): file for file in files}
    return {name: file for name, file in named.items() if _NAME.fullmatch(name)}


def _listed(name: str, file: Traversable, *, own: bool) -> Template:
    try:
        raw = _read(file)
    except UsageError as error:
        return Template(name, "", own=own, problem=str(error))
    return Template(name, raw["description"], _parameters(raw), own)


def _read(file: Traversable) -> dict[str, Any]:
    """Read a template's file. Raises InvalidTasks with all problems of the template itself."""
    problems = Problems()
    try:
        if not file.is_file():
            raise UsageError(f"{line(str(file))} is no file")
        with file.open("rb") as opened:
            raw = read_json(read_limited(cast("Any", opened)))
    except OSError as error:
        raise UsageError(f"cannot read {line(str(file))}: {error.strerror}") from None
    except InvalidTasks as refused:
        raise InvalidTasks([f"template {file.name}: {problem}" for problem in refused.problems]) from None
    for path, what in _faults(raw):
        problems.add(f"template {file.name}: {where(path)} {what}")
    problems.refuse()
    return raw


def _faults(raw: Any) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield what is wrong with the template itself: the path and the problem."""
    if not isinstance(raw, dict):
        yield ("it",), 'must be an object: {"description": …, "parameters": {…}, "tasks": […]}'
        return
    held = cast("dict[str, Any]", raw)
    yield from _unknown(held, _KEYS)
    if not isinstance(held.get("description"), str):
        yield ("description",), "must be text that says what the template is for"
    if not isinstance(held.get("tasks"), list):
        yield ("tasks",), "must be a list: […]"
    parameters: Any = held.get("parameters", {})
    if not isinstance(parameters, dict):
        yield ("parameters",), "must be an object: {…}"
        return
    named = cast("dict[str, Any]", parameters)
    for name, parameter in named.items():
        yield from _parameter_faults(name, parameter)
    for name in dict.fromkeys(_places([held.get("tasks"), held.get("config")])):
        if name not in named:
            yield ("parameters",), f"has no '{name}', but ${{{name}}} is used{hint(name, named)}"


def _parameter_faults(name: str, parameter: Any) -> Iterator[tuple[tuple[str, ...], str]]:
    path = ("parameters", name)
    if not _PLACE.fullmatch(f"${{{name}}}"):
        yield path, "is no name: letters, digits, '_' and '-', with a letter in front"
    if not isinstance(parameter, dict):
        yield path, 'must be an object: {"description": …, "default": …}'
        return
    held = cast("dict[str, Any]", parameter)
    yield from _unknown(held, _PARAMETER_KEYS, path)
    if not isinstance(held.get("description"), str):
        yield (*path, "description"), "must be text that says what to give"
    if not isinstance(held.get("default", ""), str):
        yield (*path, "default"), "must be text"


def _unknown(held: Mapping[str, Any], known: Collection[str], path: tuple[str, ...] = ()) -> Iterator[Any]:
    return (((*path, name), f"is no field{hint(name, known)}") for name in held if name not in known)


def _parameters(raw: Mapping[str, Any]) -> tuple[Parameter, ...]:
    parameters = raw.get("parameters", {})
    return tuple(Parameter(name, given["description"], given.get("default")) for name, given in parameters.items())


def _values(name: str, parameters: Collection[Parameter], given: Mapping[str, str]) -> dict[str, str]:
    """Return the value of each parameter. Raises UsageError with all that are missing or unknown."""
    known = [parameter.name for parameter in parameters]
    problems = [f"it has no parameter '{shown(key)}'{hint(key, known)}" for key in given if key not in known]
    problems += [
        f"it needs --set {parameter.name}=… ({line(parameter.description)})"
        for parameter in parameters
        if parameter.name not in given and parameter.default is None
    ]
    if problems:
        raise UsageError(f"template {name}: {'; '.join(problems)}")
    return {parameter.name: given.get(parameter.name, parameter.default or "") for parameter in parameters}


def _places(value: Any) -> Iterator[str]:
    """Yield the names of the parameters that are used."""
    if isinstance(value, str):
        yield from (match[2] for match in _PLACE.finditer(value) if match[2])
    elif isinstance(value, dict):
        yield from _places(list(cast("dict[str, Any]", value).values()))
    elif isinstance(value, list):
        for item in cast("list[Any]", value):
            yield from _places(item)


def _filled(value: Any, values: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        return _PLACE.sub(lambda match: match[1] or values[match[2]], value)
    if isinstance(value, dict):
        return {key: _filled(item, values) for key, item in cast("dict[str, Any]", value).items()}
    return [_filled(item, values) for item in cast("list[Any]", value)] if isinstance(value, list) else value
