"""What is wrong with teams and channels: two of one name, channels without members, and names of nobody."""

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


def _strangers(
    key: Key, names: Collection[str], settings: Settings, roster: Collection[str] | None
) -> Iterator[tuple[Key, str]]:
    """Yield the names that are neither on the roster nor the human's, each with the nearest ones."""
    known = sorted({*roster, settings.team.human}) if roster else []
    for each in dict.fromkeys(names):
        if known and each not in known:
            yield key, f": no persona {each!r}{suggestion(each, known, most=3)}"
