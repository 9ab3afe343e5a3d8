"""Routes that look at the whole team: what needs a person, what is under way, whether the server answers."""

from __future__ import annotations

from typing import Any

from ... import api
from ..common.console import Console
from ..common.route import Asked, Page, Route, Scope
from ..common.variables import described


def health(console: Console, asked: Asked) -> dict[str, str]:
    """Say that the server answers."""
    del console, asked
    return {"status": "ok"}


def status(console: Console, asked: Asked) -> dict[str, Any]:
    """Return what `team status --json` prints."""
    del asked
    return api.records.status(console.context).document()


def head(console: Console, asked: Asked) -> dict[str, Any]:
    """Return the log's last `seq`, and how many `needs` there are: null if `known` is that seq already.

    `damage` is the sentence that commands print of a damaged log, "" for a sound one.
    """
    seq = console.context.mailbox.log.head().seq
    needs = None if asked.number("known") == seq else len(api.records.status(console.context).needs)
    return {"seq": seq, "needs": needs, "damage": console.damage}


def personas(console: Console, asked: Asked) -> dict[str, Any]:
    """Return each persona of the roster by its id: name, the folder of its file, and how its prompt begins."""
    del asked
    roster = console.context.roster
    return {
        each.id: {
            "name": each.name,
            "folder": str(each.source.parent) if each.source else "",
            "prompt_preview": each.prompt[:200],
        }
        for each in roster.personas
    }


def clean(console: Console, asked: Asked) -> dict[str, Any]:
    """Clean up what crashes and time left, as `team clean --json`."""
    del asked
    return api.team.clean(console.context.home).document()


def roster(console: Console, asked: Asked) -> dict[str, Any]:
    """Return what `team personas --json` prints."""
    del asked
    return api.team.personas(console.context.home).document()


ROUTES = (
    Route("GET", "/api/health", "Whether the server answers.", health, is_open=True),
    Route(
        "GET", "/api/status", "What needs a person, and all that is under way.", status, page=Page("/", "needs.html")
    ),
    Route("GET", "/api/head", "Where the log ends, and how many matters need a person.", head,
          query=described(known="The seq that is known: while the log ends with it, the matters are not counted.")),
    Route("GET", "/api/personas", "The personas that may be asked.", personas),
    Route("GET", "/api/roster", "The roster: who plays whom, teams and channels.", roster),
    Route("POST", "/api/clean", "Put on record which runs and claims are over, and remove what they left.", clean,
          scope=Scope.ACT),
)  # fmt: skip
