"""Who can be written to: the roster, the groups, and what an address means."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from .errors import UnknownRecipient, UsageError
from .nearest import suggestion

PROGRAMS = frozenset({"scheduler", "weaver", "postmaster"})
EVERYBODY = "all"
_NAME = r"\w[\w.-]{0,63}"


class Directory(NamedTuple):
    """The team's address book. `personas` is None as long as the team has no roster: then any name will do.

    `guests` work for the team without being on it: they write and are written to, and `@all` does not mean them.
    """

    personas: frozenset[str] | None = None
    groups: Mapping[str, tuple[str, ...]] = {}
    human: str = "you"
    guests: frozenset[str] = frozenset()

    @property
    def names(self) -> frozenset[str]:
        """Everybody who can get mail, programs and guests included; empty without a roster."""
        return self.personas | PROGRAMS | {self.human} | self.guests if self.personas else frozenset()

    def recipients(self, addresses: Iterable[str], sender: str) -> tuple[str, ...]:
        """Expand addresses to personas, each once, in the order given.

        `curator` and `curator@team` are one; `@all` and `all@team` are everybody but the sender; `@docs` is a group of
        `team.toml`, likewise without the sender. Raises UnknownRecipient with the nearest names, UsageError for nobody.
        """
        found: dict[str, None] = {}
        for address in addresses:
            found |= dict.fromkeys(self._expanded(address.strip(), sender))
        if not found:
            raise UsageError("no recipient: name a persona or a group, as in --to curator or --to @all")
        return tuple(found)

    def checked(self, address: str) -> str:
        """Return the one persona that an address names. Raises UnknownRecipient."""
        name = address.strip().removesuffix("@team")
        if not name:
            raise UsageError("no recipient: the address is empty")
        if not re.fullmatch(_NAME, name):
            raise UnknownRecipient(f"{address!r} is not a name: letters, digits, '.', '_' and '-' only")
        if self.names and name not in self.names:
            raise UnknownRecipient(f"no persona {name!r}{self._nearest(name)}")
        return name

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
