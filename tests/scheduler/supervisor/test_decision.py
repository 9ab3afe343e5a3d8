"""The decision of a round: equal to a naive oracle over any reports, and plain about reports that cannot be read."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from team_mail.scheduler.settings.supervision import GateSettings
from team_mail.scheduler.state.facts import Report
from team_mail.scheduler.supervisor.decision import APPROVED, decide_round

from ...samples import STORM

SEED = {
    "security": GateSettings(report="cipher", veto=True, says="BLOCKED - Security issue"),
    "ui": GateSettings(report="pixel", key="score", threshold=6, says="BLOCKED - UI too poor"),
    "tests": GateSettings(report="echo", key="pass_rate", threshold=0.8, says="BLOCKED - Tests failing"),
}
TREE = "t"


def report(persona, values, tree=TREE, seq=1):
    return Report(persona, f"{persona}-{seq}", 1, f"commit of {tree}", tree, values, seq)


def decided(*reports, gates=SEED, green=None):
    return decide_round(gates, reports, TREE, green or {})


GOOD = (report("cipher", {"veto": False}), report("pixel", {"score": 7.5}), report("echo", {"pass_rate": 0.95}))


def test_all_gates_pass_or_the_first_that_blocks_gives_the_words():
    """All that block are told."""
    assert decided(*GOOD).text == APPROVED
    bad = decided(GOOD[0], report("pixel", {"score": 5}), report("echo", {"pass_rate": 0.5}))
    assert (bad.text, bad.blocks) == ("BLOCKED - UI too poor", ("ui", "tests"))
    assert [verdict.why for verdict in bad.verdicts] == [
        "cipher has no veto", "score 5, and 6 is the least", "pass_rate 0.5, and 0.8 is the least",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("values", "passes", "why"),
    [
        ({}, False, "no number score in the report of pixel"),
        ({"score": "high"}, False, "no number score in the report of pixel, but 'high'"),
        ({"score": math.nan}, False, "no number score in the report of pixel, but nan"),
        ({"score": True}, False, "no number score in the report of pixel, but True"),
        ({"score": None}, False, "no number score in the report of pixel, but None"),
        ({"score": -3}, False, "score -3, and 6 is the least"),
        ({"score": 0}, False, "score 0, and 6 is the least"),
        ({"score": 6}, True, "score 6"),
        ({"score": 1e9}, True, "score 1e+09"),
        ({"unreadable": "it is not UTF-8"}, False, "the report of pixel cannot be read: it is not UTF-8"),
    ],
)
def test_a_number_that_is_none_blocks_and_says_what_was_read(values, passes, why):
    verdict = decided(GOOD[0], report("pixel", values), GOOD[2]).verdicts[1]
    assert (verdict.passed, verdict.why) == (passes, why)


def test_a_range_has_an_upper_end_too():
    gates = {"ui": GateSettings(report="pixel", key="score", threshold=0, at_most=10)}
    assert decided(report("pixel", {"score": 1e9}), gates=gates).verdicts[0].why == "score 1e+09, and 10 is the most"
    assert decided(report("pixel", {"passed": 12, "total": 0}), gates=gates).blocks == ("ui",)
    rate = {"tests": GateSettings(report="echo", threshold=0.8)}
    assert decided(report("echo", {"passed": 12, "total": 0}), gates=rate).blocks == ("tests",)
    assert decided(report("echo", {"passed": 9, "total": 10}), gates=rate).text == APPROVED


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({"veto": True}, "cipher vetoes"),
        ({"veto": True, "veto_reason": "SQL\nfrom input"}, "cipher vetoes: SQL\\nfrom input"),
        ({"veto": None}, "veto is None, which is neither true nor false"),
        ({"unreadable": "it is not UTF-8"}, "the report of cipher cannot be read: it is not UTF-8"),
        ({"veto": "false"}, "veto is 'false', which is neither true nor false"),
        ({"veto": 0}, "veto is 0, which is neither true nor false"),
        ({"veto": []}, "veto is [], which is neither true nor false"),
    ],
)
def test_what_is_no_veto_that_can_be_read_blocks(values, why):
    verdict = decided(report("cipher", values), *GOOD[1:]).verdicts[0]
    assert (verdict.passed, verdict.why, verdict.says) == (False, why, "BLOCKED - Security issue")


def test_a_report_without_a_veto_has_none():
    assert decided(report("cipher", {"score": 9}), *GOOD[1:]).text == APPROVED


def test_the_last_report_of_a_persona_on_the_tree_counts():
    """Those on other trees are stale, and named so; a veto by a persona that no gate names blocks nothing."""
    late = report("cipher", {"veto": True}, seq=9)
    assert decided(*GOOD, late).blocks == ("security",)
    assert decided(late, *GOOD).text == APPROVED
    stale = decided(report("cipher", {"veto": False}, tree="old"), *GOOD[1:]).verdicts[0]
    assert (stale.passed, "stale" in stale.why, "it passed" in stale.why) == (False, True, True)
    stale = decided(report("cipher", {"veto": True}, tree="old"), *GOOD[1:]).verdicts[0]
    assert "it blocked" in stale.why
    assert decided(*GOOD[1:]).verdicts[0].why == "no report of cipher"
    assert decided(*GOOD, report("nova", {"veto": True})).text == APPROVED


def test_a_veto_stands_whatever_the_same_run_reported_besides():
    """A mail, and then a file that says nothing of it."""
    twice = [replace(report("cipher", values), run="one") for values in ({"veto": True}, {})]
    assert decided(*GOOD[1:], *twice).blocks == ("security",)


def test_a_command_passes_by_its_verdict_on_the_tree():
    gates = {"unit": GateSettings(command=("make",), says="BLOCKED - Tests failing")}
    assert decided(gates=gates, green={"unit": True}).text == APPROVED
    assert decided(gates=gates, green={"unit": False}).text == "BLOCKED - Tests failing"
    assert decided(gates={"unit": GateSettings(command=("make",))}).text == "BLOCKED - unit"


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-20, 20),
    st.floats(),
    st.text(max_size=3),
    st.lists(st.integers(), max_size=1),
)
REPORTS = st.lists(
    st.tuples(
        st.sampled_from(["cipher", "pixel", "echo", "nova"]), st.sampled_from([TREE, "old"]),
        st.dictionaries(st.sampled_from(["veto", "score", "pass_rate", "passed", "total"]), VALUES, max_size=4),
    ),
    max_size=8,
)  # fmt: skip


def oracle(given_reports):
    """Decide as the first brief of a supervisor does, step by step."""

    def last(persona):
        own = [values for who, tree, values in given_reports if who == persona and tree == TREE]
        return own[-1] if own else None

    def number(values, key):
        value = values.get(key)
        is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        return value if is_number else None

    review, ui, tests = last("cipher"), last("pixel"), last("echo")
    veto = None if review is None else review.get("veto", False)
    if veto is not False:
        return "BLOCKED - Security issue"
    if ui is None or number(ui, "score") is None or number(ui, "score") < 6:
        return "BLOCKED - UI too poor"
    if tests is None or number(tests, "pass_rate") is None or number(tests, "pass_rate") < 0.8:
        return "BLOCKED - Tests failing"
    return "APPROVED - Deploy"


@pytest.mark.parametrize("many", [200, pytest.param(10_000, marks=STORM)])
def test_the_decision_is_that_of_a_naive_oracle(many):
    @settings(max_examples=many, deadline=None)
    @given(REPORTS)
    def compared(given_reports):
        reports = [report(who, values, tree, seq) for seq, (who, tree, values) in enumerate(given_reports)]
        decision = decided(*reports)
        assert decision.text == oracle(given_reports)
        assert (decision.blocks == ()) == (decision.text == APPROVED)
        assert json.dumps([verdict.why for verdict in decision.verdicts])

    compared()
