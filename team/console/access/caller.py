"""Who makes a request, and what it may ask for."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Scope(StrEnum):
    """What a token may be for. Only a person who has logged in may `act`."""

    READ = "read"
    CHAT = "chat"
    COMMANDS = "commands"
    MAIL = "mail"  # of `team mcp` alone, in the name of its sender
    ACT = "act"


OF_PROGRAMS = (Scope.CHAT, Scope.COMMANDS, Scope.MAIL, Scope.READ)


@dataclass(frozen=True)
class Caller:
    """Who makes a request: in whose name, for what, and by which login or token.

    `session` is the id of a person's login, and `token` the name of a program's token; one of both is "".
    """

    sender: str = ""
    scopes: frozenset[Scope] = frozenset()
    session: str = ""
    token: str = ""


NOBODY = Caller()
