"""A team: create it, and read its settings, personas, templates, mail, and texts that start sprints unattended."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from ...mail.directory import Subteam
from ...mail.message import Message
from ...mail.text.nearest import suggestion
from ...mail.text.units import counted
from ...personas.agents.recipe import has_model
from ...personas.foreign.finding import found_in
from ...personas.foreign.sheet import Note
from ...personas.persona import Persona
from ...personas.prompt import fault_of
from ...personas.roster import Roster
from ...scheduler.context import Context
from ...scheduler.kinds import LaunchReason
from ...scheduler.limits.routing import Work
from ...scheduler.overview.leftovers import Leftover
from ...scheduler.overview.tasks import StaleClaim
from ...scheduler.routes import routing_of
from ...scheduler.settings.reading import Loaded, read_settings
from ...scheduler.settings.settings import Settings
from ...scheduler.sprint.control import by_people_only
from .. import templates as template_files
from ..cleaning import Cleaning, Freed
from ..init import Made, make_team
from ..install import texts
from ..open import open_for_dispatch, recipe_of, roster_of
from ..place import Orphan, orphans

_FIELDS = ("id", "name", "emoji", "description", "role", "scheduled", "priority")


@dataclass(frozen=True)
class Personas:
    """A team's roster, the agents that may play each persona of it, and the files that are not valid personas.

    `notes` tell what became of the keys of other tools' files, and `unread` names the files, and folders, that are not
    read. `teams` are those of `[teams]`, and `channels` has the members of each channel.
    """

    personas: tuple[Persona, ...]
    agents: Mapping[str, tuple[str, ...]]
    problems: tuple[str, ...]
    notes: tuple[Note, ...]
    unread: tuple[str, ...]
    teams: Mapping[str, Subteam]
    channels: Mapping[str, tuple[str, ...]]

    def document(self) -> dict[str, Any]:
        """Return the JSON object of `team personas --json`; `paths` is empty for every file, null for none."""
        return {
            "personas": [self._persona(persona) for persona in self.personas], "problems": [*self.problems],
            "notes": [
                {"file": str(each.source), "line": each.line, "key": each.key, "why": each.why, "lost": each.lost}
                for each in self.notes
            ],
            "unread": [*self.unread],
            "teams": {name: each._asdict() | {"channel": each.channel or None} for name, each in self.teams.items()},
            "channels": {name: [*members] for name, members in self.channels.items()},
        }  # fmt: skip

    def _persona(self, persona: Persona) -> dict[str, Any]:
        return {name: getattr(persona, name) for name in _FIELDS} | {
            "agent": self.agents[persona.id][0], "agents": [*self.agents[persona.id]],
            "paths": None if persona.paths == () else [*(persona.paths or ())], "timeout": persona.timeout,
            "file": str(persona.source),
        }  # fmt: skip


@dataclass(frozen=True)
class Cleaned:
    """What crashes and time had left; `removed` tells whether it was cleaned up, or only found.

    `orphans` are folders of workspaces whose team is gone. `freed` are runs whose end is on record now, `claims` those
    that are over, `leftovers` folders that nobody needs, `staying` the folders of old runs whose output is nowhere
    else, `refs` the sprints and dispatches whose refs nobody needs, as `refs/team/sprint-1`, and `troubles` what could
    not be done.
    """

    orphans: tuple[Orphan, ...]
    removed: bool
    freed: tuple[Freed, ...] = ()
    leftovers: tuple[Leftover, ...] = ()
    staying: int = 0
    troubles: tuple[str, ...] = ()
    claims: tuple[StaleClaim, ...] = ()
    refs: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """The bytes that were in the folders."""
        return sum(each.size for each in self.leftovers) + sum(each.size for each in self.orphans)

    def document(self) -> dict[str, Any]:
        """Return the JSON object of `team clean --json`."""
        folders = [{"folder": str(each.folder), "home": each.home, "bytes": each.size} for each in self.orphans]
        left = [{"folder": str(each.path), "what": each.what, "bytes": each.size} for each in self.leftovers]
        return {
            "removed": self.removed, "bytes": self.size, "folders": folders, "leftovers": left,
            "freed": [{"run": each.run, "persona": each.persona} for each in self.freed], "staying": self.staying,
            "claims": [
                {"what": each.what, "owner": each.owner, "token": each.token, "why": each.why} for each in self.claims
            ],
            "refs": [*self.refs], "troubles": [*self.troubles],
        }  # fmt: skip


@dataclass(frozen=True)
class Templates:
    """The templates of a dispatch, by name."""

    templates: tuple[template_files.Template, ...]

    def document(self) -> list[dict[str, Any]]:
        """Return the JSON array of `team templates --json`."""
        return [
            each._asdict() | {"parameters": [parameter._asdict() for parameter in each.parameters]}
            for each in self.templates
        ]


@dataclass(frozen=True)
class Inbox:
    """Mail of a persona, the newest first. `more` tells that there is more than was asked for."""

    messages: tuple[Message, ...]
    more: bool

    def document(self) -> list[dict[str, Any]]:
        """Return the JSON array of `team-mail inbox --json`."""
        return [message.listed() for message in self.messages]


@dataclass(frozen=True)
class InstallTexts:
    """Files that start sprints unattended, as lines of text with the place of each."""

    lines: tuple[str, ...]

    def document(self) -> dict[str, Any]:
        """Return the text as a JSON object."""
        return {"text": "\n".join(self.lines)}


def init(start: Path, personas: Sequence[str] = (), environ: Mapping[str, str] = os.environ) -> Made:
    """Make the team of the repository that `start` lies in; see `make_team`."""
    return make_team(start, personas, environ)


def config(home: Path, environ: Mapping[str, str] = os.environ) -> Loaded:
    """Read the settings in force, and where each value comes from. Raises SettingsError."""
    return read_settings(home, environ)


def personas(home: Path, environ: Mapping[str, str] = os.environ) -> Personas:
    """Return the roster, with the problems of its files and agents. Raises SettingsError."""
    settings = read_settings(home, environ).settings
    roster = roster_of(home, settings)
    names = [persona.id for persona in roster.personas]
    problems = [
        *roster.problems,
        *([roster.circle] if roster.circle else []),
        *(fault for persona in roster.personas if (fault := fault_of(persona))),
    ]
    problems += [
        f"{persona.id}: agent {persona.agent!r} is none of [agents] in team.toml"
        for persona in roster.personas
        if persona.agent and persona.agent not in settings.agents
    ]
    problems += [
        f"route.{name} in team.toml names {each!r}, which is no persona of the roster{suggestion(each, names)}"
        for name, rule in settings.route.items()
        for each in rule.personas
        if not each.startswith("@") and each not in names
    ]
    routing = routing_of(settings)
    works = (Work(persona.id, LaunchReason.BATCH, own=persona.agent) for persona in roster.personas)
    agents = {work.persona: routing.candidates(work)[1] for work in works}
    notes = (*roster.notes, *_taken_as_text(roster), *_untold(roster, settings, agents))
    return Personas(
        tuple(roster.personas), agents, tuple(problems), notes, (*roster.unread, *_unnamed(home, settings)),
        teams=settings.subteams, channels=settings.channel_members,
    )  # fmt: skip


def _taken_as_text(roster: Roster) -> Iterator[Note]:
    """Yield a note for each persona whose braces are text, because they cannot be rendered."""
    for persona in roster.personas:
        if persona.template is None and (fault := fault_of(replace(persona, template=True))):
            why = fault.partition(": ")[2].partition(";")[0]
            yield Note("prompt", persona.line, f"its braces are taken as text: {why}", source=persona.source)


def _untold(roster: Roster, settings: Settings, agents: Mapping[str, Sequence[str]]) -> Iterator[Note]:
    """Yield a note for each persona whose first agent cannot be told its model."""
    for persona in roster.personas:
        name = agents[persona.id][0]
        table = settings.agents.get(name)
        if not persona.model or table is None or not table.command or any("{model}" in word for word in table.command):
            continue
        recipe = recipe_of(table)
        if recipe is None or not has_model(recipe.preset, persona.model):
            what = recipe.preset.title if recipe else f"the command of [agents.{name}]"
            why = f"{persona.model} is no model that {what} can be told; {table.model or 'its own'} is used"
            yield Note("model", 1, why, source=persona.source)


def _unnamed(home: Path, settings: Settings) -> Iterator[str]:
    """Name the folders of other tools with personas that no setting names, and CrewAI's files."""
    for found in found_in(home.absolute().parent):
        place = Path(found.path)
        if {*place.parents, place} & {*map(Path, settings.team.personas)}:
            continue
        may = f"{found.path} has {counted(found.agents, 'file' if found.is_folder else 'agent')} that may be personas"
        read = f'they are read once [team] says personas = ["{found.path}"], and ' if found.is_folder else ""
        yield f"{may}; {read}`team personas import {found.path}` copies them"


def templates(home: Path | None) -> Templates:
    """List the templates of a dispatch, bundled ones and those of the team in `home`."""
    return Templates(tuple(template_files.templates(home)))


def template(name: str, values: Mapping[str, str], home: Path | None) -> bytes:
    """Return the `tasks.json` of a template with values for its parameters. Raises UsageError, InvalidTasks."""
    return template_files.template(name, values, home)


def inbox(context: Context, persona: str, *, unread: bool = False, limit: int = 50) -> Inbox:
    """List a persona's mail. Raises UnknownRecipient for a name that is not on the team."""
    mailbox = context.mailbox
    messages = mailbox.inbox(mailbox.directory.checked(persona), unread=unread, limit=limit + 1)
    return Inbox(tuple(messages[:limit]), len(messages) > limit)


def install_texts(context: Context, form: str = "all") -> InstallTexts:
    """Return the text that starts sprints: for "systemd", "crontab", "github", or "all". Raises UsageError."""
    return InstallTexts(tuple(texts(context.top, context.settings, form)))


def clean(home: Path | None, *, keep: bool = False, older: timedelta | None = None) -> Cleaned:
    """Clean up what crashes and time have left, of the team in `home`, and of teams that are gone; never mail.

    Raises SettingsError, and UsageError within a run.

    Args:
        home: The team's folder, whose settings say where workspaces lie; without one, only the default place is seen.
        keep: Whether everything is only found.
        older: Of what age the folders of runs, records of sessions and refs are removed, and dispatches that were cut
            off given up; None leaves these.
    """
    root = read_settings(home, os.environ).settings.workspace.root if home else None
    if home:
        by_people_only("team clean", home)
    own = _cleaned(home, keep=keep, older=older) if home else Cleaned((), not keep)
    gone = tuple(orphans(root))
    for orphan in () if keep else gone:
        orphan.remove()
    return replace(own, orphans=gone)


def _cleaned(home: Path, *, keep: bool, older: timedelta | None) -> Cleaned:
    """Clean up after one team."""
    context, repository = open_for_dispatch(home)
    cleaning = Cleaning(context, repository, keep=keep, older=older)
    freed, claims, left = tuple(cleaning.free()), cleaning.claims(), tuple(cleaning.leftovers())
    refs = cleaning.refs()
    return Cleaned((), not keep, freed, left, cleaning.staying, tuple(cleaning.troubles), claims, refs)
