"""Whether a run goes on with the session of an earlier one of its persona, as `[sprint] resume` says.

A session carries what its agent had read and thought when it asked, which the answer needs. After a conflict it carries
the old files as well, and agents then take their change for made; so that starts afresh unless everything is resumed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from ...mail.message import Message
from ...personas.agent import Agent
from ...personas.agents.command import CommandAgent
from ...personas.spending.usage import UNKNOWN, Usage
from ..context import Context
from ..kinds import RunStatus
from ..state.facts import Run
from ..state.reading import with_past
from ..state.sprints import State


class Resumption(NamedTuple):
    """The session that a run goes on with, "" for none, and why none although there is one to go on with.

    `before` are the tokens that are told again of the runs before, if the agent does that.
    """

    session: str = ""
    why_not: str = ""
    before: Usage = UNKNOWN

    def own(self, usage: Usage) -> Usage:
        """Return what a run used of what its agent told, which may be for the whole session."""
        parts = (
            (usage.input, self.before.input),
            (usage.cached, self.before.cached),
            (usage.output, self.before.output),
        )
        if any(told is None or earlier is None or told < earlier for told, earlier in parts):
            return usage
        given, cached, output = ((told or 0) - (earlier or 0) for told, earlier in parts)
        return replace(usage, input=given, cached=cached, output=output)


FRESH = Resumption()


def resumption(context: Context, persona: str, agent: str, sprint: int, mail: Sequence[Message]) -> Resumption:
    """Return the session that the next run of a persona in a sprint goes on with; `mail` is what it is given."""
    policy = context.settings.sprint.resume
    if policy == "never":
        return FRESH
    past = with_past(context.mailbox.projections, State(), [persona]).runs
    run = _to_go_on_with([run for run in past if run.persona == persona and run.finished], sprint, policy, mail)
    if run is None:
        return FRESH
    player, table = context.agents.get(agent), context.settings.agents.get(agent)
    if table and table.kind == "jules":  # which goes on with its sessions by itself
        return FRESH
    session = run.usage.session or ""
    if why_not := _hindrance(run, agent, player, session):
        return Resumption(why_not=why_not)
    is_whole = isinstance(player, CommandAgent) and player.sessions.cumulative
    return Resumption(session, before=_used_in(session, past) if is_whole else UNKNOWN)


def _used_in(session: str, past: Sequence[Run]) -> Usage:
    """Return the tokens that the runs of a session have used, as far as that is known."""
    used = [run.usage for run in past if run.usage.session == session]
    given, cached, output = (sum(getattr(each, name) or 0 for each in used) for name in ("input", "cached", "output"))
    return Usage(given, cached, output)


def _hindrance(run: Run, agent: str, player: Agent | None, session: str) -> str:
    """Return why the session of a run is not gone on with, "" if it is."""
    if run.agent != agent:
        return f"agent {run.agent} had it, and {agent} plays now"
    if not session:
        return "its agent told the name of none"
    return player.unresumable(session) if isinstance(player, CommandAgent) else "its agent has none"


def _to_go_on_with(past: Sequence[Run], sprint: int, policy: str, mail: Sequence[Message]) -> Run | None:
    """Return the run whose question is answered, else with "always" the last one of the sprint, unless that failed so.

    After a run that went on with a session and failed, the next one starts afresh: the session may be why.
    """
    if past and past[-1].resumed and past[-1].status != RunStatus.OK:
        return None
    answered = {each for message in mail for each in (message.reply_to, message.thread) if each}
    asked = next((run for run in reversed(past) if run.asked and run.asked in answered), None)
    if asked or policy != "always":
        return asked
    return past[-1] if past and past[-1].sprint == sprint else None
