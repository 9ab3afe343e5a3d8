"""What a preset says of a table `[agents.NAME]`: every key that the table leaves out.

A table without a command whose name is that of a preset has that one, so a newer preset mends it by itself.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol, cast

from ...mail.errors import UsageError
from ...personas.agents.command import read_environment
from ...personas.agents.presets.preset import Preset, names, preset
from ...personas.environment import reaching
from .file import Key
from .local import is_here, local_model
from .text import Origin


class Table(Protocol):
    """What is looked at of a checked table."""

    @property
    def preset(self) -> str | None:
        """Its preset."""
        ...

    @property
    def model(self) -> str | None:
        """The model that its command is told to use."""
        ...

    @property
    def kind(self) -> str:
        """Its kind."""
        ...

    @property
    def sandbox(self) -> str:
        """The sandbox that it is in, "none" for none."""
        ...

    @property
    def mcp(self) -> bool:
        """Whether its agent is given the tools of `team mcp`."""
        ...

    @property
    def args(self) -> tuple[str, ...]:
        """More words of its command."""
        ...


def fill_in(values: Mapping[str, Any], origins: dict[Key, Origin]) -> None:
    """Add to each table what its preset says, with the preset as the origin of these keys."""
    agents: Any = values.get("agents")
    for name, table in cast("dict[str, Any]", agents).items() if isinstance(agents, dict) else ():
        if isinstance(table, dict) and (known := _chosen(name, cast("dict[str, Any]", table))):
            if more := _mail_tools(known, cast("dict[str, Any]", table)):
                table["args"] = more
            for key, value in _said(known, cast("dict[str, Any]", table)).items():
                if key not in table:
                    table[key] = value
                    origins["agents", name, key] = Origin(value, f"preset {known.name}")


def limit_local(values: Mapping[str, Any], origins: dict[Key, Origin], environ: Mapping[str, str], root: Path) -> None:
    """Let one run at a time ask a model on this machine, unless a table says how many may."""
    agents: Any = values.get("agents")
    for name, table in cast("dict[str, Any]", agents).items() if isinstance(agents, dict) else ():
        if isinstance(table, dict) and "max_parallel" not in table:
            shown = _local(name, cast("dict[str, Any]", table), environ, root)
            if shown:
                table["max_parallel"] = 1
                origins["agents", name, "max_parallel"] = Origin(1, f"a model on this machine ({shown})")


def _local(name: str, table: Mapping[str, Any], environ: Mapping[str, str], root: Path) -> str:
    address = table.get("base_url")
    if isinstance(address, str) and is_here(address):
        return "base_url"
    command, env, file = table.get("command"), table.get("env"), table.get("env_file")
    variables = {each: environ.get(each, "") for each in reaching(filter(_is_text, _items(env)), environ)}
    if isinstance(file, str):
        with suppress(UsageError):  # told before anything starts
            variables |= read_environment(root / Path(file).expanduser(), name)
    words = [*_items(command)]
    if not words:
        return ""
    model = table.get("model")
    return local_model([*filter(_is_text, words), *([model] if isinstance(model, str) else [])], variables)


def _items(value: Any) -> tuple[Any, ...]:
    return cast("tuple[Any, ...]", value) if isinstance(value, tuple) else ()


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def without_use(agents: Mapping[str, Table], origins: Mapping[Key, Origin]) -> Iterator[tuple[Key, str]]:
    """Yield the keys that only the command of a preset has a use for, where there is none, each with what to do."""
    for name, agent in agents.items():
        for key in ("model", "args", "mcp"):
            if not getattr(agent, key):
                continue
            given = agent.preset and origins["agents", name, "command"].where.startswith("preset ")
            if key != "model" and not given:
                yield ("agents", name, key), "is for the command of a preset; write it into this table's command"
            elif key == "mcp" and agent.preset and not _given(agent):
                yield (
                    ("agents", name, key),
                    f"is nothing that {preset(agent.preset).title} was seen to take; leave it out",
                )
            elif key == "mcp" and find_spec("mcp") is None:
                yield ("agents", name, key), "needs the extra `mcp`: pip install 'team-mail[mcp]'"
            elif key == "model" and given and agent.preset and not preset(agent.preset).model:
                yield ("agents", name, key), f"is nothing that {preset(agent.preset).title} can be told; leave it out"


def _given(agent: Table) -> bool:
    """Tell whether the preset of a table says how its agent is given the tools of `team mcp`."""
    return agent.preset is not None and agent.kind == "command" and bool(preset(agent.preset).mcp)


def _chosen(name: str, table: Mapping[str, Any]) -> Preset | None:
    """Return the preset of a table; None also for a name that is wrong, which is refused elsewhere."""
    kind = table.get("kind", "command")
    chosen = table.get("preset", None if "command" in table else name)
    if kind not in {"command", "acp"} or not isinstance(chosen, str) or chosen not in names():
        return None
    return preset(chosen).by_protocol() if kind == "acp" else preset(chosen)


def _mail_tools(known: Preset, table: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return a table's `args` with those before them that give its agent the tools of `team mcp`, if it wants them."""
    if table.get("mcp") is not True or not known.mcp or "command" in table:
        return ()
    team = str(Path(sys.executable).with_name("team"))
    return (*(word.replace("{team}", team) for word in known.mcp), *_items(table.get("args")))


def _said(known: Preset, table: Mapping[str, Any]) -> dict[str, Any]:
    sandbox = table.get("sandbox") == "bwrap"
    model, args = table.get("model"), table.get("args")
    chosen = model if isinstance(model, str) else None
    more = cast("tuple[Any, ...]", args) if isinstance(args, tuple) else ()
    by_protocol = table.get("kind") == "acp"  # then the model is chosen for each run
    said: dict[str, Any] = {
        "preset": known.name,
        "command": known.words(None if by_protocol else chosen, [str(word) for word in more], sandbox=sandbox),
        "prompt": known.prompt,
        "env": known.env,
    }
    if sandbox:
        said["home"] = tuple(path for path in known.home if (Path.home() / path).exists())
    return said
