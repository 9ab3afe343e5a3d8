"""The team's settings: `.team/team.toml`, `TEAM_…` variables and flags. Every key has a default and a known origin.

All mistakes are reported at once, each with its place; an unknown setting is an error. Durations are in seconds and
sizes in bytes. Paths are absolute once read, and relative ones start from the folder that holds `.team`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ...mail.text.units import size, span
from ...personas.agents.presets.preset import names
from ...personas.spending.amount import Unit, amount
from ...personas.spending.prices import Price
from ..errors import SettingsError
from .file import Key, TomlFile, read_toml
from .presets import fill_in, without_use
from .problems import Fields, problem
from .text import Origin, environment, flagged
from .values import (
    Branch,
    Command,
    Commands,
    Crontab,
    Finite,
    Folders,
    Glob,
    HomePaths,
    Limit,
    MailType,
    Money,
    Name,
    Parallel,
    PresetName,
    Rooted,
    Seconds,
    Size,
    Spelled,
    Sprint,
    Variable,
    Within,
)  # fmt: skip

DEFAULT = "default"
_SPANS = frozenset({"timeout", "setup_timeout", "idle", "grace", "every", "deadline", "pace", "retry_backoff"})


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class TeamSettings(_Table):
    """`[team]`: the base branch, the human's name, the default agent, and whether a sprint lands on its own."""

    base: Branch = "main"
    human: Name = "you"
    agent: str = "shell"
    auto_land: bool = False


class AgentSettings(_Table):
    """`[agents.NAME]`: a command, a folder of patches (`replay`), or a script without a model (`scripted`).

    What the table leaves out of a command, its `preset` says, which the name of the table alone may choose. `model` is
    passed on as the preset says, and is the one whose price counts where the agent names none.
    In a `sandbox`, a command may write its workspace and what `home` names of the user's home folder.
    """

    kind: Literal["command", "replay", "scripted"] = "command"
    preset: PresetName | None = None
    command: Command | None = None
    model: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    args: tuple[str, ...] = ()
    prompt: Literal["stdin", "argument", "file"] = "stdin"
    timeout: Limit = 1_800.0
    idle: Limit | None = None
    grace: Seconds = 30.0
    bad_exit: Literal["failed", "ok"] = "failed"
    env: tuple[Variable, ...] = ()
    env_file: str | None = None
    max_output: Size = 10_000_000
    litter: tuple[Glob, ...] = ()
    folder: str | None = None
    max_parallel: Annotated[int, Field(ge=1, le=1000)] | None = None
    sandbox: Literal["none", "bwrap"] = "none"
    home: HomePaths = ()
    network: Literal["on", "off"] = "on"

    @model_validator(mode="after")
    def _whole(self) -> Self:
        needed = {"command": "command", "replay": "folder"}.get(self.kind)
        if needed and getattr(self, needed) is None:
            example = 'folder = "patches"' if needed == "folder" else 'command = ["my-agent"], or preset = "claude"'
            raise ValueError(f'says no {needed}, which kind "{self.kind}" needs: write {example}')
        fitting = {"command": {"command", "preset"}, "replay": {"folder"}}.get(self.kind, set[str]())
        for name in ("command", "folder", "preset"):
            if name not in fitting and getattr(self, name) is not None:
                raise ValueError(f'says {name}, which kind "{self.kind}" has no use for; leave it out')
        if self.sandbox != "none" and self.kind != "command":
            raise ValueError(f'says sandbox, which kind "{self.kind}" has no use for; leave it out')
        if self.network == "off" and self.sandbox == "none":
            raise ValueError('says network = "off", which only a sandbox can see to: write sandbox = "bwrap"')
        return self


class SprintSettings(_Table):
    """`[sprint]`: mode, concurrency, schedule and limits. `max_wakes` 0 means three times the size of the roster.

    `wakes_not` are the types of mail that waits for its recipient's next run.
    """

    parallel: Parallel = "always"
    sequential_only: tuple[Sprint, ...] = ()
    max_parallel: Annotated[int, Field(ge=1, le=1000)] = 8
    max_attempts: Annotated[int, Field(ge=1, le=1000)] = 3
    every: Limit | None = 900.0
    cron: Crontab | None = None
    fallback_above: Annotated[float, Field(ge=0, le=1)] = 0.5
    deadline: Limit = 14_400.0
    pace: Seconds = 0.0
    retry_backoff: Seconds = 10.0
    max_wakes: Annotated[int, Field(ge=0)] = 0
    max_mails: Annotated[int, Field(ge=0)] = 100
    wakes_not: tuple[MailType, ...] = ("fyi", "status", "progress", "result", "approve")


class GateSettings(_Table):
    """`[gates.NAME]`: a command that passes by its exit code, or by the number `key` in the JSON that it prints."""

    command: Command
    timeout: Limit = 600.0
    threshold: Finite | None = None
    key: Annotated[str, Field(min_length=1)] | None = None

    @model_validator(mode="after")
    def _judged(self) -> Self:
        if self.key is not None and self.threshold is None:
            raise ValueError("has key but no threshold: write the least number that passes, as in threshold = 0.8")
        return self


class WorkspaceSettings(_Table):
    """`[workspace]`: where private clones lie, outside of the checkout, and what is in one before its agent starts.

    `setup` are commands, of which `setup_inputs` names the files that they depend on. Every run and gate has `ports`
    ports of its own, from `port` on.
    """

    root: Rooted | None = None
    setup: Commands = ()
    setup_timeout: Limit = 600.0
    setup_inputs: tuple[Glob, ...] = ()
    copies: Annotated[tuple[Within, ...], Field(alias="copy")] = ()  # BaseModel has a method `copy`
    cache: Folders = ()
    port: Annotated[int, Field(ge=1024, le=65_000)] = 20_000
    ports: Annotated[int, Field(ge=1, le=1000)] = 10


class PriceSettings(_Table):
    """`[prices.MODEL]`: US dollars for a million tokens; those from the cache cost as much as others by default."""

    input: Money
    output: Money
    cached: Money | None = None


class BudgetSettings(_Table):
    """`[budget]`: how much a sprint, a day, a persona or a run may use; with `hard`, runs that go on are ended too."""

    sprint: Spelled | None = None
    day: Spelled | None = None
    persona: Spelled | None = None
    run: Spelled | None = None
    hard: bool = False

    @model_validator(mode="after")
    def _of_one(self) -> Self:
        if self.run and amount(self.run).unit == Unit.RUNS:
            raise ValueError(
                f'says run = "{self.run}", and one run cannot be counted in runs: write "$1" or "1M tokens"'
            )
        return self


class DispatchSettings(_Table):
    """`[dispatch]`: folders outside of the repository that absolute paths in tasks may lead into."""

    outside: tuple[Rooted, ...] = ()


class Settings(_Table):
    """All settings of a team. They are valid without any `[agents]`, but then nobody can be launched."""

    team: TeamSettings = TeamSettings()
    agents: Mapping[Name, AgentSettings] = {}
    sprint: SprintSettings = SprintSettings()
    gates: Mapping[Name, GateSettings] = {}
    groups: Mapping[Name, tuple[Name, ...]] = {}
    workspace: WorkspaceSettings = WorkspaceSettings()
    dispatch: DispatchSettings = DispatchSettings()
    prices: Mapping[str, PriceSettings] = {}
    budget: BudgetSettings = BudgetSettings()

    @property
    def price_list(self) -> dict[str, Price]:
        """The user's own prices, by model."""
        return {name: Price(table.input, table.output, table.cached) for name, table in self.prices.items()}


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
    settings = _validated(values, file, origins, home.absolute().parent)
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


def _validated(values: dict[str, Any], file: TomlFile, origins: Mapping[Key, Origin], root: Path) -> Settings:
    problems: list[str] = []
    try:
        settings = Settings.model_validate(values)
    except ValidationError as wrong:
        problems = [problem(error, _place(error["loc"], file, origins), _fields) for error in wrong.errors()]
    else:
        problems = list(_contradictions(settings, file, origins))
        if not problems:
            return _completed(settings, origins, root)
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
    """Find settings that contradict each other."""
    if ("sprint", "every") in origins and ("sprint", "cron") in origins:
        yield f"{origins['sprint', 'cron'].where}: sprint.cron and sprint.every are both set; keep one"
    for key, why in without_use(settings.agents, origins):
        yield f"{_place(key, file, origins)}: {'.'.join(key)} {why}"
    agent, agents = settings.team.agent, settings.agents
    if agents and agent not in agents and ("team", "agent") in origins:
        error = {"type": "unknown_agent", "loc": ("team", "agent"), "input": agent, "ctx": {"known": sorted(agents)}}
        yield problem(error, _place(("team", "agent"), file, origins), _fields)


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
    return settings.model_copy(update={"agents": agents})


def _absolute(path: str | None, root: Path) -> str | None:
    return None if path is None else str(root / Path(path).expanduser())


def _fields(key: Key) -> Fields:
    """Return the settings that the table `key` may hold, name to type; None if it may hold any name."""
    if not key:
        return {name: field.annotation for name, field in Settings.model_fields.items()}
    tables = {
        "team": TeamSettings, "sprint": SprintSettings, "agents": AgentSettings, "gates": GateSettings,
        "workspace": WorkspaceSettings, "dispatch": DispatchSettings, "prices": PriceSettings,
        "budget": BudgetSettings,
    }  # fmt: skip
    named = key[0] in {"agents", "gates", "prices"}
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
    return span(value) if name in _SPANS else size(value) if name == "max_output" else value
