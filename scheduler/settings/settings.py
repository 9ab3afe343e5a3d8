"""The team's settings: `.team/team.toml`, `TEAM_…` variables and flags, each key with a default and a known origin.

Whatever is wrong is said at once, by name and place; a setting that nobody knows is refused, not ignored. Spans of
time are seconds, sizes are bytes; files and folders are absolute, and count from the folder that holds `.team`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self, cast

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from ...mail.directory import EVERYBODY, PROGRAMS
from ...mail.units import byte_count, crontab, seconds, size, span
from ..errors import SettingsError
from ..problems_settings import Fields, problem
from .file import Key, Written, read_toml
from .text import Origin, environment, flagged

DEFAULT = "default"
_SPANS = frozenset({"timeout", "every", "deadline", "pace", "retry_backoff"})
_NAME = re.compile(r"\w[\w.-]{0,63}")
_EVERY = re.compile(r"every +(\d{1,6})")


def _name(value: str) -> str:
    if not _NAME.fullmatch(value) or value in {*PROGRAMS, EVERYBODY}:
        raise ValueError("must be a name of letters, digits, '.', '_' and '-', and none of the team's own programs")
    return value


def _branch(value: str) -> str:
    if not value or value.startswith("-") or re.search(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|\.$|/$|^/", value):
        raise ValueError("must be the name of a branch")
    return value


def _filled(command: tuple[str, ...]) -> tuple[str, ...]:
    if not command or not command[0].strip() or "\0" in "".join(command):
        raise ValueError('must be the list of a command\'s words: write command = ["make", "test"]')
    return command


def _variable(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z_]\w*", name, re.ASCII):
        raise ValueError("must be the name of a variable to pass on (values belong in the file that env_file names)")
    return name


def _mode(value: Any) -> str | tuple[int, ...]:
    if value in {"always", "never"} if isinstance(value, str) else _are_sprints(value):
        return value
    if isinstance(value, str) and (match := _EVERY.fullmatch(value.strip())) and int(match[1]):
        return f"every {int(match[1])}"
    raise ValueError('must be "always", "never", "every 5" or a list of sprints ([50, 55, 60])')


def _are_sprints(value: Any) -> bool:
    return isinstance(value, tuple) and all(
        type(number) is int and number > 0 for number in cast("tuple[Any, ...]", value)
    )


def _finite(value: float) -> float:
    if not math.isfinite(value):
        raise ValueError("must be a number")
    return value


Name = Annotated[str, AfterValidator(_name)]
Command = Annotated[tuple[str, ...], AfterValidator(_filled)]
Seconds = Annotated[float, BeforeValidator(seconds)]
Limit = Annotated[float, BeforeValidator(seconds), Field(gt=0)]
Size = Annotated[int, BeforeValidator(byte_count)]
Sprint = Annotated[int, Field(ge=1)]
Parallel = Annotated[str | tuple[int, ...], BeforeValidator(_mode)]


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class TeamSettings(_Table):
    """`[team]`: where a sprint starts, whom it tells, who plays, and whether it lands by itself."""

    base: Annotated[str, AfterValidator(_branch)] = "main"
    human: Name = "you"
    agent: str = "shell"
    auto_land: bool = False


class AgentSettings(_Table):
    """`[agents.NAME]`: a command, a folder of patches (`replay`), or a script that needs no model (`scripted`)."""

    kind: Literal["command", "replay", "scripted"] = "command"
    command: Command | None = None
    prompt: Literal["stdin", "argument", "file"] = "stdin"
    timeout: Limit = 1_800.0
    env: tuple[Annotated[str, AfterValidator(_variable)], ...] = ()
    env_file: str | None = None
    max_output: Size = 10_000_000
    folder: str | None = None

    @model_validator(mode="after")
    def _whole(self) -> Self:
        needed = {"command": "command", "replay": "folder"}.get(self.kind)
        if needed and getattr(self, needed) is None:
            example = 'folder = "patches"' if needed == "folder" else 'command = ["my-agent", "--print"]'
            raise ValueError(f'says no {needed}, which kind "{self.kind}" needs: write {example}')
        for other in ("command", "folder"):
            if other != needed and getattr(self, other) is not None:
                raise ValueError(f'says {other}, which kind "{self.kind}" has no use for; leave it out')
        return self


class SprintSettings(_Table):
    """`[sprint]`: in which mode, how many at once, how often, and when to give up. `max_wakes` 0: thrice the roster."""

    parallel: Parallel = "always"
    sequential_only: tuple[Sprint, ...] = ()
    max_parallel: Annotated[int, Field(ge=1, le=1000)] = 8
    max_attempts: Annotated[int, Field(ge=1, le=1000)] = 3
    every: Limit | None = 900.0
    cron: Annotated[str, AfterValidator(crontab)] | None = None
    fallback_above: Annotated[float, Field(ge=0, le=1)] = 0.5
    deadline: Limit = 14_400.0
    pace: Seconds = 0.0
    retry_backoff: Seconds = 10.0
    max_wakes: Annotated[int, Field(ge=0)] = 0
    max_mails: Annotated[int, Field(ge=0)] = 100


class GateSettings(_Table):
    """`[gates.NAME]`: a command judged by its exit code, or by the JSON number `key` that it prints."""

    command: Command
    timeout: Limit = 600.0
    threshold: Annotated[float, AfterValidator(_finite)] | None = None
    key: Annotated[str, Field(min_length=1)] | None = None

    @model_validator(mode="after")
    def _judged(self) -> Self:
        if self.key is not None and self.threshold is None:
            raise ValueError("says key and no threshold: write the least number that passes, as in threshold = 0.8")
        return self


class Settings(_Table):
    """All settings of a team. Without any `[agents]` they hold, but nobody can be launched."""

    team: TeamSettings = TeamSettings()
    agents: Mapping[Name, AgentSettings] = {}
    sprint: SprintSettings = SprintSettings()
    gates: Mapping[Name, GateSettings] = {}
    groups: Mapping[Name, tuple[Name, ...]] = {}


@dataclass(frozen=True)
class Loaded:
    """The settings in force, and for each dotted key where its value comes from."""

    settings: Settings
    origins: Mapping[str, Origin]

    def document(self) -> dict[str, dict[str, Any]]:
        """Return every key with its value in force and where that comes from, as the JSON object of `team config`."""
        values = {".".join(key): value for key, value in _leaves(self.settings.model_dump())}
        return {key: {"value": values[key], "from": origin.where} for key, origin in self.origins.items()}


def read_settings(home: Path, environ: Mapping[str, str], flags: Mapping[str, str] | None = None) -> Loaded:
    """Read the settings of the team in `home`. `flags` are dotted keys with what was written behind the flag.

    A flag beats the environment, that the file, that the default; an empty variable says nothing. Raises SettingsError
    with everything that is wrong.
    """
    written = read_toml(home)
    values: dict[str, Any] = _tuples(written.values)
    told = {key: Origin(value, f"team.toml:{written.line(key)}") for key, value in _leaves(values)}
    for layer in (environment(environ, values, _fields), flagged(flags or {}, _fields)):
        for key, (value, origin) in layer.items():
            _put(values, told, key, value)
            told[key] = origin
    settings = _validated(values, written, told, home.absolute().parent)
    return Loaded(settings, _origins(settings, told))


def _put(values: dict[str, Any], told: dict[Key, Origin], key: Key, value: Any) -> None:
    """Set one value; a new rhythm takes the place of the other kind that was written further down."""
    table = values
    for name in key[:-1]:
        inner: Any = table.setdefault(name, {})
        table = cast("dict[str, Any]", inner) if isinstance(inner, dict) else {}
    table[key[-1]] = value
    for one, other in (("every", "cron"), ("cron", "every")):
        if key == ("sprint", one) and (place := told.get(("sprint", other))) and place.where.startswith("team.toml"):
            table.pop(other, None)
            del told["sprint", other]


def _validated(values: dict[str, Any], written: Written, told: Mapping[Key, Origin], root: Path) -> Settings:
    problems: list[str] = []
    try:
        settings = Settings.model_validate(values)
    except ValidationError as wrong:
        problems = [problem(error, _place(error["loc"], written, told), _fields) for error in wrong.errors()]
    else:
        problems = list(_contradictions(settings, written, told))
        if not problems:
            return _completed(settings, told, root)
    raise SettingsError("; ".join(sorted(dict.fromkeys(problems), key=_line)))


def _line(problem: str) -> int:
    found = re.match(r"team\.toml:(\d+)", problem)
    return int(found[1]) if found else 0


def _place(loc: Sequence[str | int], written: Written, told: Mapping[Key, Origin]) -> str:
    """Say where a key was written: its own origin, else the nearest table in the file."""
    key = tuple(str(part) for part in loc)
    for length in range(len(key), 0, -1):
        if origin := told.get(key[:length]):
            return origin.where
    return f"team.toml:{written.line(key)}"


def _contradictions(settings: Settings, written: Written, told: Mapping[Key, Origin]) -> Iterator[str]:
    """Find settings that are well alone and wrong together."""
    if ("sprint", "every") in told and ("sprint", "cron") in told:
        yield f"{told['sprint', 'cron'].where}: sprint.cron and sprint.every are both set; keep one"
    agent, agents = settings.team.agent, settings.agents
    if agents and agent not in agents and ("team", "agent") in told:
        error = {"type": "unknown_agent", "loc": ("team", "agent"), "input": agent, "ctx": {"known": sorted(agents)}}
        yield problem(error, _place(("team", "agent"), written, told), _fields)


def _completed(settings: Settings, told: Mapping[Key, Origin], root: Path) -> Settings:
    """Let a cron line stand instead of the default rhythm, and make files and folders absolute."""
    if settings.sprint.cron is not None and ("sprint", "every") not in told:
        settings = settings.model_copy(update={"sprint": settings.sprint.model_copy(update={"every": None})})
    agents = {
        name: agent.model_copy(
            update={"env_file": _absolute(agent.env_file, root), "folder": _absolute(agent.folder, root)}
        )
        for name, agent in settings.agents.items()
    }
    return settings.model_copy(update={"agents": agents})


def _absolute(path: str | None, root: Path) -> str | None:
    return None if path is None else str(root / Path(path).expanduser())


def _fields(key: Key) -> Fields:
    """Return the settings that the table `key` may hold, by name, each with its type; None where any name will do."""
    if not key:
        return {name: field.annotation for name, field in Settings.model_fields.items()}
    tables = {"team": TeamSettings, "sprint": SprintSettings, "agents": AgentSettings, "gates": GateSettings}
    named = key[0] in {"agents", "gates"}
    if key[0] not in tables or len(key) != 1 + named:
        return None
    return {name: field.annotation for name, field in tables[key[0]].model_fields.items()}


def _tuples(value: Any) -> Any:
    """Make TOML's lists what frozen settings hold."""
    if isinstance(value, dict):
        return {name: _tuples(item) for name, item in cast("dict[str, Any]", value).items()}
    return tuple(map(_tuples, cast("list[Any]", value))) if isinstance(value, list) else value


def _leaves(values: Mapping[str, Any], above: Key = ()) -> Iterator[tuple[Key, Any]]:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _leaves(cast("dict[str, Any]", value), (*above, name))
        else:
            yield (*above, name), value


def _origins(settings: Settings, told: Mapping[Key, Origin]) -> dict[str, Origin]:
    """Give every key in force its origin, in the order of the settings; defaults are written as in the file."""
    return {
        ".".join(key): told.get(key) or Origin(_spelled(key[-1], value), DEFAULT)
        for key, value in _leaves(settings.model_dump())
    }


def _spelled(name: str, value: Any) -> Any:
    if value is None:
        return None
    return span(value) if name in _SPANS else size(value) if name == "max_output" else value
