"""Agents: who works in a team, whether they could work here, and the run of a trial."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ...mail.errors import UsageError
from ...mail.text.nearest import suggestion
from ...personas.agents.presets.preset import names
from ...scheduler.context import Context
from ...scheduler.overview.registry import Registry
from ...scheduler.overview.registry import registry as registered
from ...scheduler.settings.reading import of_preset, read_settings
from ...scheduler.settings.settings import AgentSettings, Settings
from ...scheduler.sprint.control import by_people_only
from ..checks import agent_state, installed_agents
from ..doctor import Diagnosis, examine
from ..interrupts import Interrupts, uninterrupted
from ..trial.trial import Candidate, Trial, try_agent


@dataclass(frozen=True)
class Trials:
    """The trials of one or more agents."""

    trials: tuple[Trial, ...]

    @property
    def works(self) -> bool:
        """Whether all of them did what they are known to do."""
        return all(trial.works for trial in self.trials)

    def document(self) -> dict[str, Any]:
        """Return the JSON object of `team try --json`."""
        return {"works": self.works, "trials": [trial.document() for trial in self.trials]}


def registry(context: Context) -> Registry:
    """Return who works in the team: each persona with its agents, what it does now, how its last run ended."""
    return registered(context, context.clock.now())


def doctor(home: Path | None) -> Diagnosis:
    """Look whether a team could work on this machine, and whether the one in `home` could; nothing is run."""
    return examine(home)


def candidates(home: Path | None, name: str | None = None, *, every: bool = False) -> list[Candidate]:
    """Return the agents to try: the one of that name, every one in PATH, or by default those that the team has.

    An agent is what the settings of the team in `home` say, else what its preset says. If there is none at all, the
    list is empty. Raises UsageError for a name that is neither, and within a run.
    """
    by_people_only("team try", home or Path.cwd() / ".team")
    settings = read_settings(home, os.environ).settings if home else Settings()
    root = settings.workspace.root
    if name:
        chosen = [_named(settings, name)]
    elif not every and (own := [*_of_team(settings)]):
        chosen = own
    else:
        states = installed_agents(root=root)
        chosen = [(state.name, settings.agents.get(state.name, state.settings)) for state in states]
        chosen = chosen if every else chosen[:1]
    return [_candidate(each, table, home, root) for each, table in chosen]


def try_agents(
    wanted: Sequence[Candidate],
    home: Path | None = None,
    *,
    timeout: float | None = None,
    listener: Callable[[str], object] = lambda _: None,
    interrupts: Interrupts = uninterrupted,
) -> Trials:
    """Make one real run of each agent, one after the other, in scratch repositories.

    Raises NotReady if one cannot be started, Stopped if interrupted, UsageError within a run.

    Args:
        wanted: What `candidates` returned.
        home: The team's folder, whose settings say where scratch repositories lie, and what tokens cost.
        timeout: How long each run may take, in seconds; by default as long as its settings say.
        listener: Is told of each agent that is started.
        interrupts: Ends the run, and with it all trials.
    """
    by_people_only("team try", home or Path.cwd() / ".team")
    team = read_settings(home, os.environ).settings if home else Settings()
    trials: list[Trial] = []
    for each in wanted:
        listener(each.name)
        limited = {} if timeout is None else {"timeout": timeout}
        table = each.settings.model_copy(update=limited)
        trials.append(try_agent(replace(each, settings=table), team, interrupts))
    return Trials(tuple(trials))


def _named(settings: Settings, name: str) -> tuple[str, AgentSettings]:
    if name in settings.agents:
        return name, settings.agents[name]
    if name in names():
        return name, of_preset(name)
    known = sorted({*settings.agents, *names()})
    raise UsageError(f"{name!r} is neither an agent of team.toml nor a preset{suggestion(name, known)}")


def _of_team(settings: Settings) -> Iterator[tuple[str, AgentSettings]]:
    """Yield the agents of the team, unless their program is not there, as that of a new team."""
    for name in settings.team.agents:
        table = settings.agents.get(name)
        program = table.command[0] if table and table.command else ""
        if table and (table.kind == "chat" or "/" in program or (program and shutil.which(program))):
            yield name, table


def _candidate(name: str, table: AgentSettings, home: Path | None, root: str | None) -> Candidate:
    """Look at an agent; its program is named by its full path if it lies in the checkout, which a trial does not have.

    Raises UsageError for an agent that is neither a command nor a chat model.
    """
    if table.kind == "chat":
        return Candidate(name, table, version=table.model or "")
    if not table.command:
        instead = "; `team jules status` shows whether its key works" if table.kind == "jules" else ""
        raise UsageError(
            f"agent {name} is neither a command nor a chat model, so that there is nothing to try here{instead}"
        )
    state = agent_state(name, table, root)
    program, *words = table.command
    own = (home.parent / program) if home and "/" in program and not program.startswith("/") else None
    command = (str(own), *words) if own and own.exists() else table.command
    return Candidate(name, table.model_copy(update={"command": command}), state.version, state.login, state.preset)
