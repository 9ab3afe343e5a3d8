"""The team's address book: the roster, groups, teams and channels, and what an address means."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from .errors import UnknownRecipient, UsageError
from .text.nearest import suggestion

POSTMASTER = "postmaster"  # the sender of bounces
SCHEDULER = "scheduler"
WEAVER = "weaver"
SUPERVISOR = "supervisor"
PROGRAMS = frozenset({SCHEDULER, WEAVER, POSTMASTER, SUPERVISOR})
EVERYBODY = "all"
_SYSTEM = "team-mail"  # the sender of what the log says of itself, see SYSTEM in log/event.py
_NAME = r"\w[\w.-]{0,63}"
_SIGNS = ("@", "#")  # of a group, team or channel; of a channel alone


def no_program(sender: str) -> str:
    """Return a sender that a person or an agent may name. Raises UsageError for a program of the team."""
    if sender in PROGRAMS or sender == _SYSTEM:
        raise UsageError(f"{sender} is a program of the team; no person or agent can send as {sender}")
    return sender


class Subteam(NamedTuple):
    """A team of `[teams.NAME]`: its members, who reviews their work, and the channel of both, "" for none."""

    members: tuple[str, ...]
    reviewers: tuple[str, ...] = ()
    channel: str = ""


def channels_of(
    teams: Mapping[str, Subteam], listed: Mapping[str, Sequence[str]] | None = None
) -> dict[str, tuple[str, ...]]:
    """Return the members of each channel, each once: those that `listed` names, then those of the teams with it."""
    channels = {name: dict.fromkeys(members) for name, members in (listed or {}).items()}
    for team in teams.values():
        if team.channel:
            channels.setdefault(team.channel, {}).update(dict.fromkeys((*team.members, *team.reviewers)))
    return {name: tuple(members) for name, members in channels.items()}


class Directory(NamedTuple):
    """Who can send and receive mail. `personas` is None as long as the team has no roster; then any name is valid.

    `groups` and `channels` have the members of each, by name; teams are groups. `guests` work for the team without
    being on the roster: they send and receive mail, but are not part of `@all`.
    """

    personas: frozenset[str] | None = None
    groups: Mapping[str, tuple[str, ...]] = {}
    human: str = "you"
    guests: frozenset[str] = frozenset()
    channels: Mapping[str, tuple[str, ...]] = {}

    @property
    def names(self) -> frozenset[str]:
        """Everyone who can receive mail, including programs and guests; empty without a roster."""
        return self.personas | PROGRAMS | {self.human} | self.guests if self.personas else frozenset()

    def recipients(self, addresses: Iterable[str], sender: str) -> tuple[str, ...]:
        """Expand addresses to personas, each once, in the order given.

        `curator` and `curator@team` are the same persona; `@all`, `@ALL` and `all@team` are everyone except the sender;
        `@docs` is a channel, team or group of `team.toml`, also without the sender, and `#docs` a channel. Raises
        UnknownRecipient with the nearest names, and UsageError if no recipient is left.
        """
        names: dict[str, None] = {}
        given = [address.strip() for address in addresses]
        for address in given:
            names |= dict.fromkeys(self._expanded(address, sender))
        if not given:
            raise UsageError("no recipient: name a persona or a group, as in --to curator or --to @all")
        if not names:
            raise UsageError(f"{', '.join(given)} reaches nobody but {sender}, who sends it; name somebody else, too")
        return tuple(names)

    def channel_of(self, addresses: Iterable[str], kept: str | None = None) -> str | None:
        """Return the channel that a message to these addresses goes through, None for none.

        `kept` is the one of the message that it answers. Raises UsageError for more than one.
        """
        parts = (_split(address.strip()) for address in addresses)
        named = dict.fromkeys([kept] if kept else [])
        named |= dict.fromkeys(name for sign, name in parts if sign and name in self.channels)
        if len(named) > 1:
            raise UsageError(f"a message goes through one channel, not {', '.join(named)}: send one to each")
        return next(iter(named), None)

    def channels_with(self, persona: str) -> tuple[str, ...]:
        """Return the names of the channels that a persona is a member of, sorted."""
        return tuple(sorted(name for name, members in self.channels.items() if persona in members))

    def checked_channel(self, name: str) -> str:
        """Return the channel that `review`, `@review` or `#review` names. Raises UnknownRecipient."""
        bare = name.strip()
        bare = bare[1:] if bare.startswith(_SIGNS) else bare
        if bare not in self.channels:
            known = self._nearest(bare, self.channels) or "; team.toml names none: write [channels.review]"
            raise UnknownRecipient(f"no channel {bare!r}{known}")
        return bare

    def checked(self, address: str) -> str:
        """Return the persona that an address names. Raises UnknownRecipient."""
        name = address.strip().removesuffix("@team")
        if not name:
            raise UsageError("no recipient: the address is empty")
        if not re.fullmatch(_NAME, name):
            raise UnknownRecipient(f"{address!r} is not a name: letters, digits, '.', '_' and '-' only")
        if self.names and name not in self.names:
            raise UnknownRecipient(f"no persona {name!r}{self._nearest(name)}")
        return name

    def checked_sender(self, name: str) -> str:
        """Return the persona or program that a message is from. Raises UnknownRecipient, UsageError."""
        if not name.strip():
            raise UsageError("who sends it? the sender's name is empty")
        if _split(name.strip())[0]:
            raise UsageError(f"{name} is a group: it receives mail, and sends none")
        return self.checked(name)

    def _expanded(self, address: str, sender: str) -> list[str]:
        sign, name = _split(address)
        if not sign:
            return [self.checked(address)]
        return [self.checked(member) for member in self._members(sign, name) if member != sender]

    def _members(self, sign: str, name: str) -> Sequence[str]:
        """Return whom `@name` or `#name` addresses: a channel comes before a group of its name."""
        if (sign, name.lower()) == ("@", EVERYBODY):
            if not self.personas:
                raise UnknownRecipient("@all reaches nobody: the team has no roster yet (.team/personas/<id>.md)")
            return sorted(self.personas | {self.human})
        known = self.channels if sign == "#" else {**self.groups, **self.channels}
        if name not in known:
            what = "channel" if sign == "#" else "group"
            raise UnknownRecipient(f"no {what} {sign}{name}{self._nearest(name, known)}")
        return known[name]

    def _nearest(self, name: str, names: Iterable[str] | None = None) -> str:
        return suggestion(name, sorted(self.names if names is None else names), most=3)


def _split(address: str) -> tuple[str, str]:
    """Split an address into its sign and its name; the sign of a persona is "", and that of everybody is "@"."""
    if address.removesuffix("@team").lower() == EVERYBODY:
        return "@", EVERYBODY
    return (address[0], address[1:]) if address.startswith(_SIGNS) else ("", address)
