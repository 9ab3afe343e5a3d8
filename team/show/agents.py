"""Agents as text: what a look at this machine found, and what was seen of each step of a trial."""

from __future__ import annotations

from collections.abc import Iterator

from ...mail.render import line
from ...personas.agents.presets.preset import presets
from ...personas.spending.usage import Usage
from ...scheduler.state.usage import total
from ..api.agents import Diagnosis, Trial
from .tables import columns, span


def diagnosis(seen: Diagnosis) -> Iterator[str]:
    """Show every check, and what to do next."""
    yield from columns([(str(check.finding), check.what, check.text) for check in seen.checks])
    yield ""
    yield f"next: {seen.next}"


def trial(tried: Trial) -> Iterator[str]:
    """Show each step of a trial, with the repair of one that was not seen, and what the run took."""
    version = f" {line(tried.version)}" if tried.version else ""
    yield f"{line(tried.agent)}{version}"
    yield from columns([(_standing(step.seen, step.known), step.what, step.repair) for step in tried.steps])
    usage = tried.usage
    used = total([usage])
    money = "money unknown" if usage.usd is None else used.money_text
    tokens = "tokens unknown" if usage.tokens is None else f"{usage.input:,} tokens in and {usage.output:,} out"
    yield f"  took {span(tried.seconds)}, {tokens}, {money} ({_origin(usage)}); {line(tried.detail)}"
    if tried.output:
        yield f"  what it printed: {tried.output}"


def _origin(usage: Usage) -> str:
    """Say who knows what a run took."""
    return "money by a table of prices" if usage.estimated else "by its own output"


def installable() -> Iterator[str]:
    """Say that no agent is here, and what could be installed."""
    yield "no known agent is in PATH, and the team names no other that is there; install one of these:"
    yield ""
    yield from columns([(preset.title, preset.install) for preset in presets()])
    yield ""
    yield "or name a command of your own in team.toml; then `team try` shows whether it works here"


def _standing(seen: bool, known: bool) -> str:
    return "seen" if seen else "cannot" if known else "NOT SEEN"
