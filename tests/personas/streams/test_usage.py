"""What a run used, from the process that printed it to the outcome."""

from __future__ import annotations

from pathlib import Path

import pytest
from team_mail.personas.agents.command import CommandAgent
from team_mail.personas.running.process import RunLimits
from team_mail.personas.spending.usage import UNKNOWN

RECORDED = Path(__file__).parent / "recorded"


@pytest.mark.parametrize("agent", ["claude", "codex", "gemini", "opencode", "qwen"])
def test_a_process_that_prints_a_recorded_stream_has_used_what_that_tells(job, agent):
    """It is counted as it comes, so also what is cut out of the output because that is too long."""
    noise = """yes '{"type":"user"}' | head -n 20000"""
    script = f"sed '$d' {agent}.jsonl; {noise}; tail -n 1 {agent}.jsonl".replace(agent, f"{RECORDED}/{agent}")

    outcome = CommandAgent("a", ("sh", "-c", script), limits=RunLimits(output=20_000)).play(job())

    assert (outcome.status, outcome.cut) == ("ok", True)
    usage = outcome.usage
    assert (usage.input, usage.cached, usage.output, usage.partial) == (3000, 2400, 150, False)
    assert usage.usd == (0.00588 if agent == "claude" else None)


def test_a_process_that_prints_no_stream_has_used_nobody_knows_what(job):
    """A script's words about tokens are no stream."""
    script = """echo '{"usage": {"input_tokens": 5}}'; echo 'tokens used: 7'"""
    assert CommandAgent("a", ("sh", "-c", script)).play(job()).usage == UNKNOWN


def test_a_process_that_is_ended_has_used_at_least_what_it_told(job):
    """Two of the answers of Claude came before its time was over."""
    script = f"head -n 4 {RECORDED}/claude.jsonl; exec sleep 60"
    outcome = CommandAgent("a", ("sh", "-c", script)).play(job(timeout=1.0))
    assert outcome.status == "timeout"
    assert (outcome.usage.input, outcome.usage.output, outcome.usage.partial) == (2000, 100, True)
