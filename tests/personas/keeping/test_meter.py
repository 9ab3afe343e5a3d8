"""What a stream tells of tokens and money: of streams that the real agents printed, and of anything else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from team_mail.personas.keeping.events import Events
from team_mail.personas.keeping.meter import Meter
from team_mail.personas.spending.usage import Usage, usage_of
from team_mail.personas.streams.stream import read_stream

from ...samples import STORM, examples

RECORDED = Path(__file__).parent.parent / "streams" / "recorded"
# Three answers, each of 1,000 tokens given, 800 of them from the cache, and 50 written; Copilot tells no tokens.
TOLD = {
    "claude": Usage(3000, 2400, 150, 0.00588, model="claude-opus-5-5", session="4a0a7f4e-86d4-40ae-aac8-52202229797e"),
    "codex": Usage(3000, 2400, 150, session="01a22a04-3e8a-76d0-"),
    "gemini": Usage(3000, 2400, 150, model="gemini-2.5-flash", session="86213684-5420-45ff-b488-f36c09a43079"),
    "opencode": Usage(3000, 2400, 150, session="ses_dd5fba44bffeYf3YTFmAtSDLlZ"),
    "copilot": Usage(model="gpt-4.1", session="6723afbd-18f1-434e-bdfa-ad92367ee271"),
    "qwen": Usage(3000, 2400, 150, model="fake", session="1ee7f8bc-f9ba-4c3b-b05b-faab272fef20"),
}


def metered(data: bytes, *cuts: int) -> Usage:
    """Feed a stream in pieces, as a keeper does; return what it reports."""
    events = Events()
    for begin, end in zip([0, *cuts], [*cuts, len(data)], strict=True):
        events.feed(data[begin:end])
    events.finish()
    return usage_of(json.loads(events.meter.text(partial=not events.final)))


@pytest.mark.parametrize("agent", TOLD)
def test_the_stream_of_each_agent_tells_what_the_model_counted(agent):
    """The keeper, which sees it in pieces, and the reader of the log say the same; what is not told is None."""
    data, told = (RECORDED / f"{agent}.jsonl").read_bytes(), TOLD[agent]

    usage = metered(data)

    assert usage.session
    assert usage.session.startswith(told.session)
    assert usage == Usage(**{**vars(told), "session": usage.session})
    assert read_stream(data).usage == usage


@pytest.mark.parametrize("agent", TOLD)
@settings(max_examples=examples(25), deadline=None)
@given(cuts=st.lists(st.integers(0, 15_000), max_size=6).map(sorted))
def test_it_is_the_same_however_the_stream_is_split(agent, cuts):
    """A pipe breaks lines anywhere."""
    data = (RECORDED / f"{agent}.jsonl").read_bytes()
    cuts = [min(cut, len(data)) for cut in cuts]
    assert metered(data, *cuts) == metered(data)


@pytest.mark.parametrize(("agent", "given"), [("claude", 2000), ("qwen", 2000), ("opencode", 2000), ("codex", None)])
def test_a_stream_that_breaks_off_tells_the_answers_so_far(agent, given):
    """It says that there may be more; Codex and Gemini tell nothing before their end."""
    rows = (RECORDED / f"{agent}.jsonl").read_bytes().splitlines(keepends=True)
    answers = (b'"type":"assistant"', b'"step_finish"', b'"turn.completed"')
    last = max(number for number, row in enumerate(rows) if any(answer in row for answer in answers))

    usage = metered(b"".join(rows[:last]))

    assert (usage.input, usage.partial) == (given, True)
    assert usage.usd is None


def test_an_answer_that_is_told_with_each_of_its_parts_counts_once():
    """Claude repeats the tokens of a message with each block of it; a later figure replaces an earlier one."""
    meter = Meter()
    for output in (1, 1, 40):
        usage = {"input_tokens": 10, "cache_creation_input_tokens": 5, "output_tokens": output}
        meter.count({"type": "assistant", "message": {"id": "m", "usage": usage}})
    assert meter.figures() == {
        "input": 15, "cached": None, "output": 40, "usd": None, "model": None, "session": None,
    }  # fmt: skip


def test_many_answers_take_no_room():
    """A stream may last for days: only the last answers are told apart."""
    meter = Meter()
    for number in range(1000):
        usage = {"input_tokens": 10, "output_tokens": 1}
        meter.count({"type": "assistant", "message": {"id": f"m{number}", "usage": usage}})
    assert meter.figures()
    assert (meter.figures() or {})["input"] == 10_000
    assert len(vars(meter)["_steps"]) <= 64


def test_a_cost_of_nothing_is_unknown():
    """OpenCode says 0 for each model whose price it does not know, and that is not what it costs."""
    meter = Meter()
    meter.count({"type": "step_finish", "part": {"cost": 0, "tokens": {"input": 5, "output": 1}}})
    assert (meter.usd, (meter.figures() or {})["input"]) == (None, 5)


def step(id: str, cost: float, given: int = 5) -> dict:
    """Write the end of a step as OpenCode does."""
    return {"type": "step_finish", "part": {"id": id, "cost": cost, "tokens": {"input": given, "output": 0}}}


def test_a_step_that_is_told_twice_costs_once():
    """Its money is known by its id, as its tokens are; of steps long past the sum is kept."""
    meter = Meter()
    for number in range(200):
        for _ in range(2):
            meter.count(step(f"s{number}", 0.5))
    assert usage_of(meter.figures()) == Usage(1000, None, 0, 100.0)
    assert not meter.lacks


@pytest.mark.parametrize(
    ("events", "partial"),
    [
        ([step("a", 0.5), step("b", 0.25)], False),
        ([step("a", 0.5), step("b", 0)], True),
        ([step("a", 0.5), step("b", 0, 0)], False),
        ([step("a", 0), step("b", 0)], False),
        ([step("a", 0.5), {"type": "step_finish", "part": {"id": "b", "cost": 1}}], True),
        (
            [
                {
                    "type": "result",
                    "is_error": False,
                    "modelUsage": {"a": {"inputTokens": 1, "outputTokens": 1}, "b": {}},
                }
            ],
            True,
        ),
    ],
)
def test_a_sum_without_one_of_its_parts_is_a_least(events, partial):
    """A step without a price, or a model whose tokens cannot be read, may have cost anything."""
    meter = Meter()
    for event in events:
        meter.count(event)
    assert json.loads(meter.text(partial=False))["partial"] == partial
    rows = "".join(f"{json.dumps(event)}\n" for event in events) + '{"type": "result", "is_error": false}\n'
    assert read_stream(rows.encode()).usage.partial == partial


def test_a_figure_beyond_all_bounds_is_unknown():
    """No run costs so much; it would spend every budget, or make every sum absurd."""
    usage = {"input_tokens": 10**11, "output_tokens": 5}
    meter = Meter()
    meter.count({"type": "result", "is_error": False, "total_cost_usd": 999999999999999, "usage": usage})
    assert meter.figures() is None
    for number in range(3):
        meter.count(step(f"s{number}", 9000, 9 * 10**9))
    assert (meter.figures() or {})["usd"] is None
    assert usage_of({"input": 10**11, "output": 5, "usd": 1e12}) == Usage(None, None, 5)


def test_a_cost_of_nothing_for_no_tokens_is_known():
    """Claude's service refused it before any answer."""
    nothing = {"input_tokens": 0, "output_tokens": 0, "cache_read_input_tokens": 0}
    for tokens, usd in ((nothing, 0.0), (nothing | {"input_tokens": 5}, None), ({}, None)):
        meter = Meter()
        meter.count({"type": "result", "is_error": True, "total_cost_usd": 0, "usage": tokens, "modelUsage": {}})
        assert meter.usd == usd


def test_the_money_of_several_models_is_the_sum_and_the_name_that_of_the_most_used():
    """Claude asks a small model beside its own."""
    models = {
        "small": {"inputTokens": 5, "outputTokens": 1, "costUSD": 0.01},
        "large": {"inputTokens": 50, "outputTokens": 10, "cacheReadInputTokens": 40, "costUSD": 0.5},
    }
    meter = Meter()
    meter.count({"type": "result", "is_error": False, "total_cost_usd": 0.51, "modelUsage": models})
    assert (meter.model, meter.usd) == ("large", 0.51)
    assert usage_of(meter.figures()) == Usage(95, 40, 11, 0.51, model="large")


odd = st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5), st.lists)


@pytest.mark.parametrize("most", [40, pytest.param(1_000, marks=STORM)])
def test_no_event_makes_it_fail(most):
    """Whatever has another form is unknown, and the report stays JSON."""

    @settings(max_examples=most, deadline=None)
    @given(
        st.sampled_from(["assistant", "result", "turn.completed", "step_finish"]),
        st.dictionaries(
            st.sampled_from(["usage", "stats", "part", "message", "modelUsage", "total_cost_usd", "model"]), odd
        ),
        st.dictionaries(st.sampled_from(["input_tokens", "output_tokens", "input", "output", "cache", "tokens"]), odd),
    )
    def holds(kind, event, inner):
        meter = Meter()
        meter.count({**event, "type": kind})
        meter.count({"type": kind, "usage": inner, "stats": inner, "part": inner, "message": {"usage": inner}})
        usage = usage_of(json.loads(meter.text(partial=False)))
        assert json.loads(json.dumps(usage.document(), allow_nan=False)) == usage.document()

    holds()
