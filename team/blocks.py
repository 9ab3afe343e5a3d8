"""The lines of `team.toml` about agents, written from the presets: live for what is installed, else commented out.

In the template, `#: agents` stands where they go.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from ..personas.agents.presets.preset import Preset, presets

_PLAYS = re.compile(r'^agent = "shell" +', re.MULTILINE)


def with_agents(template: str, installed: Sequence[Preset], spoken: Collection[str] = ()) -> str:
    """Return the text of a `team.toml` for the agents that are installed; the first of them plays.

    Those whose names are in `spoken` are spoken to by ACP.
    """
    text = template.replace("#: agents\n", _blocks({preset.name for preset in installed}, spoken), 1)
    if not installed:
        return text
    return _PLAYS.sub(lambda match: f'agent = "{installed[0].name}" '.ljust(len(match[0])), text, count=1)


def agent_block(preset: Preset, *, spoken: bool = False) -> str:
    """Return the lines that name an agent, spoken to by ACP or started as a command."""
    kind = 'kind = "acp"\n' if spoken else ""
    return f'[agents.{preset.name}]\npreset = "{preset.name}"\n{kind}'


def _blocks(live: Collection[str], spoken: Collection[str]) -> str:
    blocks = (
        (about(each), agent_block(each, spoken=each.name in live and each.name in spoken), each.name in live)
        for each in presets()
    )
    return "".join(f"\n{head}\n{block if shown else _commented(block)}" for head, block, shown in blocks) + "\n"


def about(preset: Preset) -> str:
    """Return a comment on what is known of an agent."""
    if preset.seen is None:
        return f"# {preset.title}: not tried, as {preset.not_run}"
    seen = f"# {preset.title} {preset.seen.version}, as it was tried on {preset.seen.on}"
    missing = "; ".join(dict.fromkeys(preset.seen.missing.values()))
    return f"{seen}: {missing}" if missing else seen


def _commented(text: str) -> str:
    return "".join(f"# {line}\n" if line else "#\n" for line in text.splitlines())
