"""What is wrong with teams, channels, reports and schedules: two of one name, no members, names of nobody."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from ...mail.text.nearest import suggestion
from .file import Key
from .settings import Settings


def wrong_groups(settings: Settings, roster: Collection[str] | None) -> Iterator[tuple[Key, str]]:
    """Yield each key that is wrong, with the words that follow it.

    `roster` has the ids of the personas; without one, any name is valid, as it is for mail.
    """
    for name in settings.teams.keys() & settings.groups.keys():
        yield ("teams", name), f" has the name of a group, so @{name} would be both; rename one"
    for name, table in settings.channels.items():
        if not settings.channel_members[name]:
            yield ("channels", name), f' has no members: write members = ["nova"], or channel = "{name}" in a team'
        yield from _strangers(("channels", name, "members"), table.members, settings, roster)
    for name, team in settings.teams.items():
        yield from _strangers(("teams", name, "members"), team.members, settings, roster)
        yield from _strangers(("teams", name, "reviewers"), team.reviewers, settings, roster)
    for name, table in settings.schedules.items():
        listed = table.sprint if isinstance(table.sprint, tuple) else ()
        yield from _strangers(("schedules", name, "sprint"), listed, settings, roster)
    yield from _strangers(("github", "to"), [settings.github.to] if settings.github.to else [], settings, roster)
    yield from _wrong_rounds(settings, roster)


def _wrong_rounds(settings: Settings, roster: Collection[str] | None) -> Iterator[tuple[Key, str]]:
    """Yield what is wrong with gates by report, reviews, the deployment and the supervisor."""
    for name, gate in settings.gates.items():
        yield from _strangers(("gates", name, "report"), [gate.report] if gate.report else [], settings, roster)
    for name in settings.review:
        yield from _strangers(("review", name), [name], settings, roster)
        if name not in settings.reporters and not (roster and name not in roster):
            yield ("review", name), f" is asked for no review: name {name} in a gate's report, or as a reviewer"
    if persona := settings.deploy.persona:
        yield from _strangers(("deploy", "persona"), [persona], settings, roster)
    if settings.supervisor.review == "last round" and settings.team.auto_land:
        yield ("supervisor", "review"), ' = "last round" lets land what nobody has reviewed: leave out auto_land'
    if settings.supervisor.improve and not _is_bounded(settings):
        yield ("supervisor", "improve"), " never ends by itself: write max_rounds or max_time, or [budget] day"


def _is_bounded(settings: Settings) -> bool:
    """Tell whether something ends rounds in which nothing changes."""
    return bool(settings.supervisor.max_rounds or settings.supervisor.max_time or settings.budget.day)


def _strangers(
    key: Key, names: Collection[str], settings: Settings, roster: Collection[str] | None
) -> Iterator[tuple[Key, str]]:
    """Yield the names that are neither on the roster nor the human's, each with the nearest ones."""
    known = sorted({*roster, settings.team.human}) if roster else []
    for each in dict.fromkeys(names):
        if known and each not in known:
            yield key, f": no persona {each!r}{suggestion(each, known, most=3)}"
