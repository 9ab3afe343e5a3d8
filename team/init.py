"""Creates a team in a repository: settings to edit, personas to choose from, and mail that git ignores.

Everything is checked before anything is written, and nothing that exists is overwritten.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

from ..mail.directory import EVERYBODY
from ..mail.errors import TeamMailError, UsageError
from ..mail.home import ignore_mail
from ..mail.text.nearest import suggestion
from ..personas.acp.agent import can_speak
from ..personas.agents.presets.installed import has_login, path_of
from ..personas.agents.presets.preset import Preset, presets
from ..personas.bundled import copy_into, library
from ..personas.environment import reaching
from ..personas.errors import NotARepository
from ..personas.foreign.finding import Found, found_in
from ..personas.git import Git, find_repository
from ..personas.roster import read_roster
from ..scheduler.errors import SettingsError
from ..scheduler.settings.reading import read_settings
from ..scheduler.settings.settings import SprintSettings, TeamSettings
from ..scheduler.sprint.control import by_people_only
from .blocks import with_agents
from .hooks.agents import AGENTS as HOOKED

PROPOSED = ("forge", "scribe", "artisan")


class Made(NamedTuple):
    """A team that was created, or existed already.

    `settings` and `personas` are the new files, `base` is the branch that sprints start from, `agents` are the presets
    of what is in PATH, `roster` counts its personas and `scheduled` those that take part in sprints. `agent` plays, and
    each of them has `attempts` runs at most. `others` are what other tools have in the repository; of `agents`,
    `hooks` are those whose own sessions could be shown mail, and `tools` those whose runs could have it by tools.
    """

    home: Path
    settings: bool
    personas: tuple[str, ...]
    base: str
    agents: tuple[str, ...]
    roster: int
    scheduled: int
    agent: str
    attempts: int
    others: tuple[Found, ...] = ()
    hooks: tuple[str, ...] = ()
    tools: tuple[str, ...] = ()

    def document(self) -> dict[str, Any]:
        """Return the result as a JSON object."""
        lists: dict[str, Any] = {key: [*getattr(self, key)] for key in ("personas", "agents", "hooks", "tools")}
        lists["others"] = [{"path": each.path, "count": each.agents} for each in self.others]
        return self._asdict() | lists | {"home": str(self.home)}


def make_team(start: Path, personas: Sequence[str] = (), environ: Mapping[str, str] = os.environ) -> Made:
    """Create the team of the repository that contains `start`.

    Raises NotARepository unless a repository has a commit and a branch checked out; UsageError for an unknown persona;
    TeamMailError if a file cannot be written.

    Args:
        start: A folder of the repository.
        personas: Bundled personas to copy, or "all"; by default PROPOSED, unless the team has personas already.
        environ: Where `TEAM_HOME` and `PATH` are read from.
    """
    _, top = find_repository(start)
    base = _branch(top)
    _known(personas)
    home = Path(environ["TEAM_HOME"]).absolute() if environ.get("TEAM_HOME") else top / ".team"
    by_people_only("team init", home)
    try:
        home.mkdir(parents=True, exist_ok=True)
        agents = installed(environ)
        new = _settings(home / "team.toml", base, agents, environ)
        copied = _copied(home / "personas", personas)
        ignore_mail(home)
    except OSError as error:
        raise TeamMailError(
            f"cannot write {error.filename or home}: {error.strerror}; nothing was overwritten"
        ) from None
    roster, (agent, attempts) = read_roster(home / "personas"), _in_force(home, environ)
    names = tuple(preset.name for preset in agents)
    hooks = tuple(name for name in names if name in HOOKED)
    tools = tuple(preset.name for preset in agents if preset.mcp and not _is_spoken_to(preset, environ))
    counts = len(roster.personas), len(roster.scheduled)
    return Made(home, new, copied, base, names, *counts, agent, attempts, tuple(found_in(top)), hooks, tools)


def installed(environ: Mapping[str, str] = os.environ) -> list[Preset]:
    """Return the presets of the agents in PATH: first those with a key or a login, then those seen to do most."""
    there = [preset for preset in presets() if path_of(preset, {"PATH": environ.get("PATH", "")})]
    return sorted(there, key=lambda preset: not has_login(preset, reaching(preset.env, environ), environ))


def _in_force(home: Path, environ: Mapping[str, str]) -> tuple[str, int]:
    """Return the agent that plays, and the most runs of each persona; of settings that are wrong, the defaults."""
    try:
        settings = read_settings(home, environ).settings
    except SettingsError:
        return TeamSettings().agents[0], SprintSettings().max_attempts
    return settings.team.agents[0], settings.sprint.max_attempts


def _branch(top: Path) -> str:
    """Return the branch that is checked out in `top`. Raises NotARepository if there is none, or no commit on it."""
    head = Git(_git_directory(top))
    named = head.run("symbolic-ref", "--quiet", "--short", "HEAD")
    commit = head.run("rev-parse", "--quiet", "--verify", "HEAD^{commit}")
    if named.returncode:
        raise NotARepository(
            f"{top} has no branch checked out (detached at {commit.stdout.decode()[:10]}); "
            "a sprint starts from a branch: git switch main, or git switch -c NAME"
        )
    if commit.returncode:
        raise NotARepository(f'{top} has no commit yet; make the first: git add . && git commit -m "Begin"')
    return os.fsdecode(named.stdout).strip()


def _git_directory(top: Path) -> Path:
    """Return the git directory of a checkout; a linked worktree has its own, with its own HEAD."""
    link = top / ".git"
    return (top / link.read_text().removeprefix("gitdir:").strip()).resolve() if link.is_file() else link


def _known(personas: Sequence[str]) -> None:
    names = sorted(file.name.split(".")[0] for file in library())
    for name in personas:
        if name not in {*names, EVERYBODY}:
            raise UsageError(f"no bundled persona {name!r}{suggestion(name, names)}")


def _is_spoken_to(preset: Preset, environ: Mapping[str, str]) -> bool:
    """Tell whether an agent that was seen to do every step over ACP can be spoken to here."""
    known = preset.by_protocol()
    return bool(known and known.settled and can_speak() and path_of(known, {"PATH": environ.get("PATH", "")}))


def _settings(path: Path, base: str, agents: Sequence[Preset], environ: Mapping[str, str]) -> bool:
    """Write the settings file unless it exists; tell whether it was written."""
    text = (files(__name__.rpartition(".")[0]) / "template.toml").read_text(encoding="utf-8")
    text = with_agents(text, agents, [each.name for each in agents if _is_spoken_to(each, environ)])
    text = text.replace('base = "main"', f"base = {json.dumps(base, ensure_ascii=False)}", 1)
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        return False
    except OSError:
        path.unlink(missing_ok=True)  # a half-written file would be read as a whole one
        raise
    return True


def _copied(folder: Path, personas: Sequence[str]) -> tuple[str, ...]:
    there = {path.name.split(".")[0] for path in folder.iterdir()} if folder.is_dir() else set[str]()
    if there and not personas:
        return ()
    personas = personas or PROPOSED
    if [*personas] == [EVERYBODY]:
        return tuple(path.name.split(".")[0] for path in copy_into(folder))
    folder.mkdir(exist_ok=True)
    wanted = [file for file in library() if file.name.split(".")[0] in {*personas} - there]
    for file in wanted:
        with (folder / file.name).open("xb") as copy:
            copy.write(file.read_bytes())
    return tuple(file.name.split(".")[0] for file in wanted)
