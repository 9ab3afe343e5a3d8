"""Reads a team's settings: `.team/team.toml`, `TEAM_…` variables and flags. Every key has a known origin.

All mistakes are reported at once, each with its place; an unknown setting is an error. Paths are absolute once read,
and relative ones start from the folder that holds `.team`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from pydantic import ValidationError

from ...mail.team_file import folders_of, roster_names
from ...mail.text.units import size, span
from ...personas.agents.presets.preset import names
from ...personas.hidden import hidden
from ..errors import SettingsError
from .console import ConsoleSettings
from .file import Key, TomlFile, read_toml
from .groups import wrong_groups
from .notify import LoggingSettings, NotifySettings, OtelSettings
from .presets import fill_in, limit_local, without_use
from .problems import Fields, problem
from .schedules import ScheduleSettings
from .settings import (
    AgentSettings,
    BudgetSettings,
    ChannelSettings,
    DispatchSettings,
    PriceSettings,
    RouteSettings,
    Settings,
    SprintSettings,
    SubteamSettings,
    TeamSettings,
    WorkersSettings,
    WorkspaceSettings,
)
from .supervision import DeploySettings, GateSettings, ReviewSettings, SupervisorSettings
from .text import Origin, environment, flagged
from .webhooks import WebhookSettings

DEFAULT = "default"
_SIZES = frozenset({"max_output", "rotate"})
_SPANS = frozenset(
    {
        "timeout",
        "setup_timeout",
        "idle",
        "grace",
        "kill_after",
        "every",
        "deadline",
        "pace",
        "gather",
        "retry_backoff",
        "patience",
        "backoff_max",
        "max_time",
        "poll",
        "startup",
    }
)


@dataclass(frozen=True)
class Loaded:
    """The settings in force, and the origin of each dotted key."""

    settings: Settings
    origins: Mapping[str, Origin]

    def document(self) -> dict[str, dict[str, Any]]:
        """Return every key with its value and origin, as `team config` prints them in JSON."""
        values = {".".join(key): value for key, value in _leaves(self.settings.model_dump(by_alias=True))}
        return {key: {"value": values[key], "from": origin.where} for key, origin in self.origins.items()}


def read_settings(home: Path, environ: Mapping[str, str], flags: Mapping[str, str] | None = None) -> Loaded:
    """Read the settings of the team in `home`. `flags` maps dotted keys to the text given with the flag.

    A flag overrides the environment, which overrides the file, which overrides the default; an empty variable is
    ignored. Raises SettingsError with everything that is wrong.
    """
    file = read_toml(home)
    values: dict[str, Any] = _tuples(file.values)
    origins = {key: Origin(value, f"team.toml:{file.line(key)}") for key, value in _leaves(values)}
    for layer in (environment(environ, values, _fields), flagged(flags or {}, _fields)):
        for key, (value, origin) in layer.items():
            _put(values, origins, key, value)
            origins[key] = origin
    fill_in(values, origins)
    limit_local(values, origins, {**environ, **hidden()}, home.absolute().parent)
    settings = _validated(values, file, origins, home.absolute())
    return Loaded(settings, _all_origins(settings, origins))


def of_preset(name: str) -> AgentSettings:
    """Return the settings of a table that a preset alone makes. Raises KeyError if there is no preset of that name."""
    if name not in names():
        raise KeyError(name)
    values: dict[str, Any] = {"agents": {name: {}}}
    fill_in(values, {})
    return AgentSettings.model_validate(values["agents"][name])


def _put(values: dict[str, Any], origins: dict[Key, Origin], key: Key, value: Any) -> None:
    """Set one value; `every` replaces a `cron` that the file sets, and the other way round."""
    table = values
    for name in key[:-1]:
        inner: Any = table.setdefault(name, {})
        table = cast("dict[str, Any]", inner) if isinstance(inner, dict) else {}
    table[key[-1]] = value
    rivals: dict[Key, str] = {("sprint", "every"): "cron", ("sprint", "cron"): "every"}
    rival = rivals.get(key, "")
    if (origin := origins.get(("sprint", rival))) and origin.where.startswith("team.toml"):
        table.pop(rival, None)
        del origins["sprint", rival]


def _validated(values: dict[str, Any], file: TomlFile, origins: Mapping[Key, Origin], home: Path) -> Settings:
    problems: list[str] = []
    try:
        settings = Settings.model_validate(values)
    except ValidationError as wrong:
        problems = [problem(error, _place(error["loc"], file, origins), _fields) for error in wrong.errors()]
    else:
        problems = list(_contradictions(settings, file, origins))
        problems += [
            f"{_place(key, file, origins)}: {'.'.join(key)}{why}"
            for key, why in wrong_groups(settings, roster_names(home, folders_of(home, settings.team.personas)))
        ]
        if not problems:
            return _completed(settings, origins, home.parent)
    raise SettingsError("; ".join(sorted(dict.fromkeys(problems), key=_line)))


def _line(problem: str) -> int:
    match = re.match(r"team\.toml:(\d+)", problem)
    return int(match[1]) if match else 0


def _place(loc: Sequence[str | int], file: TomlFile, origins: Mapping[Key, Origin]) -> str:
    """Return where a key was written: its own origin, else the nearest table in the file."""
    key = tuple(str(part) for part in loc)
    for length in range(len(key), 0, -1):
        if origin := origins.get(key[:length]):
            return origin.where
    return f"team.toml:{file.line(key)}"


def _contradictions(settings: Settings, file: TomlFile, origins: Mapping[Key, Origin]) -> Iterator[str]:
    """Find settings that contradict each other, or stand where not everybody sees them."""
    here = origins.get(("team", "personas"))
    if here and not here.where.startswith("team.toml"):
        yield f"{here.where}: team.personas is read from team.toml alone, as mail reads it there; write it there"
    if ("sprint", "every") in origins and ("sprint", "cron") in origins:
        yield f"{origins['sprint', 'cron'].where}: sprint.cron and sprint.every are both set; keep one"
    for key, why in without_use(settings.agents, origins):
        yield f"{_place(key, file, origins)}: {'.'.join(key)} {why}"
    asked: dict[Key, tuple[str, ...]] = {}
    if settings.agents and ("team", "agent") in origins:
        asked["team", "agent"] = settings.team.agents
    for name, rule in settings.route.items():
        asked["route", name, "agent"] = rule.agents
        if rule.budget_left is not None and not (settings.budget.sprint or settings.budget.day):
            place = _place(("route", name, "budget_left"), file, origins)
            yield f"{place}: route.{name}.budget_left never fits without a sprint or a day in [budget]"
        groups = [each for each in rule.personas if each.startswith("@") and each[1:] not in settings.addressed]
        for group in groups:
            yield f"{_place(('route', name, 'personas'), file, origins)}: route.{name}.personas: no group {group}"
    for key, agents in asked.items():
        for agent in (each for each in agents if each not in settings.agents):
            error = {"type": "unknown_agent", "loc": key, "input": agent, "ctx": {"known": sorted(settings.agents)}}
            yield problem(error, _place(key, file, origins), _fields)


def _completed(settings: Settings, origins: Mapping[Key, Origin], root: Path) -> Settings:
    """Drop the default of `every` if `cron` is set, and make paths absolute."""
    if settings.sprint.cron is not None and ("sprint", "every") not in origins:
        settings = settings.model_copy(update={"sprint": settings.sprint.model_copy(update={"every": None})})
    agents = {
        name: agent.model_copy(
            update={"env_file": _absolute(agent.env_file, root), "folder": _absolute(agent.folder, root)}
        )
        for name, agent in settings.agents.items()
    }
    notify = {
        name: table.model_copy(update={"secret_file": _absolute(table.secret_file, root)})
        for name, table in settings.notify.items()
    }
    logging = settings.logging.model_copy(update={"file": _absolute(settings.logging.file, root)})
    otel = settings.otel.model_copy(update={"headers_file": _absolute(settings.otel.headers_file, root)})
    console = settings.console.model_copy(update={"secret_file": _absolute(settings.console.secret_file, root)})
    return settings.model_copy(
        update={"agents": agents, "notify": notify, "console": console, "logging": logging, "otel": otel}
    )


def _absolute(path: str | None, root: Path) -> str | None:
    return None if path is None else str(root / Path(path).expanduser())


def _fields(key: Key) -> Fields:
    """Return the settings that the table `key` may hold, name to type; None if it may hold any name."""
    if not key:
        return {name: field.annotation for name, field in Settings.model_fields.items()}
    tables = {
        "team": TeamSettings, "sprint": SprintSettings, "agents": AgentSettings, "gates": GateSettings,
        "workspace": WorkspaceSettings, "dispatch": DispatchSettings, "prices": PriceSettings,
        "budget": BudgetSettings, "route": RouteSettings, "teams": SubteamSettings, "channels": ChannelSettings,
        "supervisor": SupervisorSettings, "review": ReviewSettings, "deploy": DeploySettings,
        "notify": NotifySettings, "console": ConsoleSettings, "schedules": ScheduleSettings,
        "logging": LoggingSettings, "otel": OtelSettings, "webhooks": WebhookSettings,
        "workers": WorkersSettings,
    }  # fmt: skip
    named = key[0] in {"agents", "channels", "gates", "notify", "prices", "review", "route", "schedules", "teams"}
    if key[0] not in tables or len(key) != 1 + named:
        return None
    return {field.alias or name: field.annotation for name, field in tables[key[0]].model_fields.items()}


def _tuples(value: Any) -> Any:
    """Convert TOML's lists to tuples, for frozen settings."""
    if isinstance(value, dict):
        return {name: _tuples(item) for name, item in cast("dict[str, Any]", value).items()}
    return tuple(map(_tuples, cast("list[Any]", value))) if isinstance(value, list) else value


def _leaves(values: Mapping[str, Any], above: Key = ()) -> Iterator[tuple[Key, Any]]:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _leaves(cast("dict[str, Any]", value), (*above, name))
        else:
            yield (*above, name), value


def _all_origins(settings: Settings, origins: Mapping[Key, Origin]) -> dict[str, Origin]:
    """Return the origin of every key, in the order of the settings; defaults are formatted as in a file."""
    return {
        ".".join(key): origins.get(key) or Origin(_spelled(key[-1], value), DEFAULT)
        for key, value in _leaves(settings.model_dump(by_alias=True))
    }


def _spelled(name: str, value: Any) -> Any:
    if value is None:
        return None
    return span(value) if name in _SPANS else size(value) if name in _SIZES else value
