"""The team's address book: the roster, the groups, and what an address means."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from .errors import UnknownRecipient, UsageError
from .text.nearest import suggestion

POSTMASTER = "postmaster"  # the sender of bounces
SCHEDULER = "scheduler"
WEAVER = "weaver"
PROGRAMS = frozenset({SCHEDULER, WEAVER, POSTMASTER})
EVERYBODY = "all"
_SYSTEM = "team-mail"  # the sender of what the log says of itself, see SYSTEM in log/event.py
_NAME = r"\w[\w.-]{0,63}"


def no_program(sender: str) -> str:
    """Return a sender that a person or an agent may name. Raises UsageError for a program of the team."""
    if sender in PROGRAMS or sender == _SYSTEM:
        raise UsageError(f"{sender} is a program of the team; no person or agent can send as {sender}")
    return sender


class Directory(NamedTuple):
    """Who can send and receive mail. `personas` is None as long as the team has no roster; then any name is valid.

    `guests` work for the team without being on the roster: they send and receive mail, but are not part of `@all`.
    """

    personas: frozenset[str] | None = None
    groups: Mapping[str, tuple[str, ...]] = {}
    human: str = "you"
    guests: frozenset[str] = frozenset()

    @property
    def names(self) -> frozenset[str]:
        """Everyone who can receive mail, including programs and guests; empty without a roster."""
        return self.personas | PROGRAMS | {self.human} | self.guests if self.personas else frozenset()

    def recipients(self, addresses: Iterable[str], sender: str) -> tuple[str, ...]:
        """Expand addresses to personas, each once, in the order given.

        `curator` and `curator@team` are the same persona; `@all` and `all@team` are everyone except the sender;
        `@docs` is a group of `team.toml`, also without the sender. Raises UnknownRecipient with the nearest names, and
        UsageError if no recipient is left.
        """
        names: dict[str, None] = {}
        for address in addresses:
            names |= dict.fromkeys(self._expanded(address.strip(), sender))
        if not names:
            raise UsageError("no recipient: name a persona or a group, as in --to curator or --to @all")
        return tuple(names)

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
        if name.startswith("@") or name.removesuffix("@team") == EVERYBODY:
            raise UsageError(f"{name} is a group: it receives mail, and sends none")
        return self.checked(name)

    def _expanded(self, address: str, sender: str) -> list[str]:
        group = address.removesuffix("@team") if address == f"{EVERYBODY}@team" else address
        if group != EVERYBODY and not group.startswith("@"):
            return [self.checked(address)]
        group = group.removeprefix("@")
        if group == EVERYBODY:
            if not self.personas:
                raise UnknownRecipient("@all reaches nobody: the team has no roster yet (.team/personas/<id>.md)")
            return sorted((self.personas | {self.human}) - {sender})
        if group not in self.groups:
            raise UnknownRecipient(f"no group @{group}{self._nearest(group, self.groups)}")
        return [self.checked(name) for name in self.groups[group] if name != sender]

    def _nearest(self, name: str, names: Iterable[str] | None = None) -> str:
        return suggestion(name, sorted(self.names if names is None else names), most=3)
