"""What can be seen of the agents of a team without running them: variables that are not set, logins, old versions."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ..mail.errors import UsageError
from ..personas.agents.command import read_environment
from ..personas.agents.presets.installed import has_login, older, version_of
from ..personas.agents.presets.preset import Preset, preset, presets
from ..personas.environment import reaching
from ..personas.hidden import given
from ..scheduler.context import Context
from ..scheduler.settings.reading import of_preset
from ..scheduler.settings.settings import AgentSettings
from .place import state_folder

_VERSIONS = "versions.json"  # in the folder of all teams: what programs said when they were asked for their version


@dataclass(frozen=True)
class AgentState:
    """What is seen of an agent: its preset, if its program is that of one, the version, and whether it has a login.

    `unset` are the variables in its `env` that are not set, but for those that its preset names: nobody needs them all.
    """

    name: str
    settings: AgentSettings
    preset: Preset | None
    program: str | None
    version: str
    login: bool
    unset: tuple[str, ...]

    @property
    def notes(self) -> Iterator[str]:
        """What a person should know before the agent is started, one line each."""
        if self.unset:
            verb = "is" if len(self.unset) == 1 else "are"
            yield f"agent {self.name}: {', '.join(self.unset)} in its env {verb} not set"
        if self.preset and not self.login:
            yield f"agent {self.name}: no key and no login was found; {self.preset.login.how}"
        if self.is_old and self.preset and self.preset.seen:
            yield (
                f"agent {self.name}: {self.preset.program} {self.version} is older than {self.preset.seen.version}, "
                f"which was tried; {self.preset.install}"
            )

    @property
    def mend(self) -> str:
        """What to do about the first of the notes, "" if there is none."""
        if self.unset:
            return f"set {', '.join(self.unset)}"
        if self.preset and not self.login:
            return self.preset.login.how.partition(";")[0]
        return self.preset.install if self.preset and self.is_old else ""

    @property
    def is_old(self) -> bool:
        """Whether its version is older than the one that was tried."""
        return bool(self.preset and self.preset.seen and older(self.version, self.preset.seen.version))


def agent_state(name: str, settings: AgentSettings, root: str | None = None) -> AgentState:
    """Look at an agent, whose program is started for its version at most; `root` is `[workspace] root`."""
    environ = {**given(), **_of_file(name, settings)}
    known = _preset_of(settings)
    program = shutil.which(settings.command[0]) if settings.command else None
    names = [*reaching(settings.env, environ), *_of_file(name, settings)]
    own = [item for item in names if not known or item not in reaching(known.env, environ)]
    unset = tuple(item for item in own if not environ.get(item))
    version = version_of(known, program, _cache(root)) if known and program else ""
    login = has_login(known, names, environ) if known else True
    return AgentState(name, settings, known, program, version, login, unset)


def installed_agents(environ: Mapping[str, str] = os.environ, root: str | None = None) -> list[AgentState]:
    """Look at every agent in PATH that there is a preset for: first those with a login, then those seen to do most."""
    there = [each for each in presets() if shutil.which(each.program, path=environ.get("PATH", ""))]
    states = [agent_state(each.name, of_preset(each.name), root) for each in there]
    return sorted(states, key=lambda state: not state.login)


def notes_about(context: Context, agents: Iterable[str]) -> list[str]:
    """Return what a person should know of some agents of a team, each looked at once."""
    tables, root = context.settings.agents, context.settings.workspace.root
    wanted = (name for name in dict.fromkeys(agents) if name in tables and can_be_tried(tables[name]))
    return [note for name in wanted for note in agent_state(name, tables[name], root).notes]


def can_be_tried(settings: AgentSettings) -> bool:
    """Tell whether an agent can make a run in a scratch repository: a command or a chat model can."""
    return bool(settings.command) or settings.kind == "chat"


def _preset_of(settings: AgentSettings) -> Preset | None:
    """Return the preset of an agent: its own, as it is spoken to, or that of the program in its command."""
    if settings.preset:
        known = preset(settings.preset)
        return known.by_protocol() if settings.kind == "acp" else known
    program = Path(settings.command[0]).name if settings.command else ""
    return next((each for each in presets() if each.program == program), None)


def _of_file(name: str, settings: AgentSettings) -> dict[str, str]:
    """Return the variables of an agent's env_file; one that cannot be read is told elsewhere."""
    with suppress(UsageError):
        return read_environment(Path(settings.env_file), name) if settings.env_file else {}
    return {}


def _cache(root: str | None) -> Path | None:
    with suppress(UsageError):
        return state_folder(root) / _VERSIONS
    return None
