"""A team as text: what `team init` created, the settings in force, the roster, what is imported and exported."""

from __future__ import annotations

import json
import os
import shlex
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from ...mail.render import line, listed
from ...mail.text.units import counted
from ...personas.foreign.finding import Found
from ...personas.foreign.sheet import Note
from ...scheduler.settings.reading import Loaded
from ..api.outside.personas import EXISTS, REFUSED, SKIPPED, UNCHANGED, WRITTEN, Transfer
from ..api.team import Personas
from ..init import Made

SETTING_COLUMNS = ("setting", "value", "from")
_MOST = 20  # names of a team or channel that are shown
_PLACES = 3  # of a key that has no effect
PERSONA_COLUMNS = ("", "persona", "agent", "", "what for")


def made(team: Made) -> Iterator[str]:
    """Show what was created, what a sprint will start, and the next steps."""
    home, plays = os.path.relpath(team.home), team.agent in team.agents
    yield f"{home}/team.toml   {'new, every setting with its default' if team.settings else 'unchanged'}"
    new = f"{len(team.personas)} new ({listed(team.personas)})" if team.personas else "unchanged"
    yield f"{home}/personas/   {new}; {team.scheduled} of {team.roster} take part in a sprint"
    if team.agents:
        yield f"found here: {', '.join(team.agents)}; {team.agent} plays, as [team] agent says"
    yield "team init --personas NAMES adds other bundled ones, or all"
    yield from _offers(team)
    yield ""
    yield "Next"
    if plays:
        yield f"  1. {f'team try {team.agent}':<31} one small run shows whether it works here"
    else:
        yield f"  1. name your agent in {home}/team.toml; `team doctor` says what could be installed"
    yield "  2. scheduler --dry-run             what would be started, and why; nothing is"
    yield f"  3. scheduler sprint                from {team.base}, onto a branch of its own"
    yield "  4. team-mail inbox --persona you   what the team has to tell you"
    yield ""
    yield from _cost(team, home, plays=plays)


def _offers(team: Made) -> Iterator[str]:
    """Offer what goes with what is here already: agents of other tools, and sessions of one's own."""
    if team.others:
        places, count = " ".join(map(_word, team.others)), counted(sum(each.agents for each in team.others), "agent")
        yield f"team personas import {places} copies what may be {count} of other tools;"
        yield "  with --dry-run it tells what of them gets lost, and writes nothing"
    if team.hooks:
        also = f" (or of {listed(team.hooks[1:])})" if team.hooks[1:] else ""
        yield f"team hook install {team.hooks[0]} shows mail in your own sessions of it{also}"
    if team.tools:
        yield f"mcp = true below [agents.{team.tools[0]}] in team.toml gives its runs mail by tools (extra mcp)"


def _word(found: Found) -> str:
    return shlex.quote(line(found.path))


def _cost(team: Made, home: str, *, plays: bool) -> Iterator[str]:
    most, who = team.scheduled * team.attempts, team.agent if plays else "your agent"
    yield f"A sprint starts {counted(team.scheduled, 'run')} of {who}, and again whoever gets mail or a conflict,"
    yield f"or failed: {counted(most, 'run')} at most. What a run costs is what its model asks;"
    yield f"`team try{f' {who}' if plays else ''}` tells what one small run took, as far as its output says."
    yield f"For fewer, remove files from {home}/personas, or write `scheduled: false` in"
    yield "their front matter; `team personas` shows who is left."


def settings(loaded: Loaded) -> list[tuple[str, str, str]]:
    """List the settings, each with its value as JSON and where it comes from."""
    return [
        (
            key, "" if origin.value is None else json.dumps(origin.value, ensure_ascii=False, default=str),
            origin.where,
        )
        for key, origin in loaded.origins.items()
    ]  # fmt: skip


def groups(roster: Personas) -> Iterator[str]:
    """Show the teams and the channels, a line each; none where there are none."""
    for name, team in roster.teams.items():
        reviewed = f", reviewed by {listed(team.reviewers, _MOST)}" if team.reviewers else ""
        channel = f", channel {team.channel}" if team.channel else ""
        yield f"team {name}: {listed(team.members, _MOST)}{reviewed}{channel}"
    for name, members in sorted(roster.channels.items()):
        yield f"channel {name}: {listed(members, _MOST)}"


def personas(roster: Personas) -> Sequence[tuple[str, ...]]:
    """List the roster: emoji, id, agent, whether it takes part in sprints, description."""
    return [
        (
            persona.emoji, persona.id, ", ".join(roster.agents[persona.id]),
            "" if persona.scheduled else "not in sprints", persona.description,
        )
        for persona in roster.personas
    ]  # fmt: skip


def transfer(done: Transfer) -> Iterator[str]:
    """Show each persona that was written, then how many of which format were read."""
    for file in done.files:
        if file.status == WRITTEN and file.target:
            yield f"{'would write' if done.dry else 'wrote'}  {_path(file.target)}  from {_path(file.source)}"
    for text in (*lost(note for file in done.files for note in file.notes), *_unsaid(done)):
        yield f"lost   {text}"
    counts = [f"{count} {form}" for form, count in sorted(done.read.items())]
    others = [
        counted(len([file for file in done.files if file.status == status]), "file") + f" {word}"
        for status, word in (
            (UNCHANGED, "as before"),
            (EXISTS, "in the way"),
            (REFUSED, "refused"),
            (SKIPPED, "skipped"),
        )
        if any(file.status == status for file in done.files)
    ]
    total = counted(done.read.total(), "persona")
    read = f"{total} to export ({listed(counts)})" if done.out else f"{total} read ({listed(counts)})"
    none = "none to export" if done.out else "none read"
    yield "; ".join([read if counts else none, *others])


def troubles(done: Transfer) -> Iterator[str]:
    """Show why files were refused, and why some were skipped."""
    for file in done.files:
        if file.status in {EXISTS, REFUSED}:
            yield line(file.why)
        elif file.status == SKIPPED:
            yield f"{_path(file.source)}: skipped: {line(file.why)}"


def lost(notes: Iterable[Note]) -> Iterator[str]:
    """Show what has no effect here, each key and reason once, with the places where it stands."""
    places: dict[tuple[str, str], list[str]] = defaultdict(list)
    for note in notes:
        if note.lost:
            places[note.key, note.why].append(f"{_path(note.source)}:{note.line}" if note.source else "")
    for (key, why), where in places.items():
        yield f"{line(key)[:60]}: {line(why)} ({listed(where, _PLACES)})"


def _unsaid(done: Transfer) -> Iterator[str]:
    said: dict[str, list[str]] = defaultdict(list)
    for file in done.files:
        for text in file.lost:
            said[text].append(file.id)
    for text, ids in said.items():
        yield f"{line(text)} ({listed(ids, _PLACES)})"


def _path(path: object) -> str:
    shown = str(path)
    relative = os.path.relpath(shown)
    return line(relative if len(relative) < len(shown) else shown)
