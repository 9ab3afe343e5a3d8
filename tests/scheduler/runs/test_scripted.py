"""The shipped fake in the hands of users: in a dispatch as the guide shows it, and in a sprint."""

from __future__ import annotations

import re
from pathlib import Path

from team_mail import Launch, Outcome, RunResult, ScriptedRunner, run_sprint

GUIDE = Path(__file__).parents[3] / "docs" / "dispatch.md"


def test_the_example_of_the_guide_works(tmp_path, monkeypatch):
    """Its own assertions hold, and no agent is started."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TEAM_HOME", str(tmp_path / ".team"))
    (example,) = [
        text for text in re.findall(r"^```python\n(.*?)^```$", GUIDE.read_text(), re.DOTALL | re.MULTILINE)
        if "ScriptedRunner" in text
    ]  # fmt: skip
    exec(example, {})
    assert not list((tmp_path / ".team").glob("runs/*"))


def test_a_sprint_takes_results_over_all_of_its_ticks(team):
    """The first run of ann fails, her retry in the next tick succeeds: the results go on from tick to tick."""
    launches: list[Launch] = []
    results = {"ann": [RunResult(Outcome("failed", 1, 0.0, "exit 1")), RunResult(Outcome("ok", 0, 0.0, "exit 0"))]}
    context = team.context(settings='[sprint]\nretry_backoff = "0s"\n')

    ended = run_sprint(context, runner=ScriptedRunner.factory(results, launches))

    assert ended.summary
    assert ended.summary.converged
    assert [launch.attempt for launch in launches if launch.persona == "ann"] == [1, 2]
