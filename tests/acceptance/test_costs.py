"""What a team costs, from real processes that print what real agents printed to the commands that show it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from .test_scheduler import Project, project

__all__ = ["project"]

RECORDED = Path(__file__).parent.parent / "personas" / "agents" / "recorded"
PLAY = "cat > /dev/null; sed -i 's/^{persona} .*/{persona} was here/' list.txt; cat %s/%s.jsonl"
PRICES = "[prices.fake]\ninput = 2\ncached = 1\noutput = 10\n"
EACH = (2 * 600 + 2400 + 10 * 150) / 1e6  # of a run that prints the stream of Qwen


@pytest.fixture
def paid(project: Project) -> Project:
    """A team whose agent prints the stream of Qwen, which tells tokens and no money."""
    project.agent(PLAY % (RECORDED, "qwen"), PRICES)
    return project


def test_a_sprint_tells_everywhere_what_it_cost(paid, tmp_path):
    """Its last lines, status, history, report, trace and log say the same, as text and as JSON."""
    ended = paid.run("scheduler", "sprint")

    assert ended.returncode == 0, ended.stderr
    assert "  used: about $0.02, 9.45k tokens\n" in ended.stdout
    assert "done in" in ended.stderr
    assert "1 file changed, about $0.0051, 3.15k tokens" in ended.stderr
    usages = [event["data"]["usage"] for event in paid.events("run.finished")]
    told = {"input": 3000, "cached": 2400, "output": 150, "usd": EACH, "estimated": True, "model": "fake"}
    assert [{name: usage[name] for name in told} for usage in usages] == [told] * 3
    status, (sprint,), report = paid.document("status"), paid.document("history"), paid.document("report")
    assert status["sprint"]["usage"] == sprint["usage"] == report["usage"]
    assert (sprint["usage"]["usd"], sprint["usage"]["output"]) == (pytest.approx(3 * EACH), 450)
    assert report["usd_per_patch"] == pytest.approx(EACH)
    assert [share["usage"]["usd"] for share in report["personas"]] == [EACH] * 3
    assert "about $0.02, 9.45k tokens" in paid.ok("scheduler", "status")
    assert "about $0.02  9.45k" in paid.ok("scheduler", "history")
    text = paid.ok("scheduler", "report", "--out", str(tmp_path / "out"))
    assert "  money          about $0.02; $0.0051 for each of 3 patches that landed\n" in text
    assert "  tokens         9.45k: 9k given (7.2k of them cached), 450 written\n" in text
    picture = (tmp_path / "out" / "costs.svg").read_text()
    for words in ("US dollars", "ann", "about $0.0051", "$0.0051 for each of 3 patches that landed"):
        assert words in picture
    trace = paid.ok("team", "trace", paid.events("run.finished")[0]["run"])
    assert "3,000 given (2,400 of them cached), 150 written, estimated by a table of prices; model fake" in trace


def test_what_no_agent_tells_is_unknown_and_never_nothing(project):
    """A command that prints no stream may have cost anything; a sum with such a run is a least one."""
    assert "  used: money and tokens unknown\n" in project.ok("scheduler", "sprint")
    project.agent(PLAY % (RECORDED, "claude"))
    (project.team / "personas" / "bob.md").write_text("---\nid: bob\nagent: mute\n---\nMind your line.\n")
    with (project.team / "team.toml").open("a") as file:
        file.write('[agents.mute]\ncommand = ["true"]\n')
    project.git("add", "--all", ".team/personas")

    document = project.document("sprint")

    assert document["usage"]["usd"] == pytest.approx(2 * 0.00588)
    assert (document["usage"]["runs"], document["usage"]["usd_unknown"]) == (3, 1)
    rows = project.ok("scheduler", "history").splitlines()
    assert rows[1].split()[-3:] == ["unknown", "unknown", "converged"]
    assert "  at least $0.01  at least 6.3k" in rows[2]
    assert json.loads(project.ok("scheduler", "history", "--json"))[0]["usage"]["usd"] is None


def test_a_run_that_goes_on_is_shown_with_what_it_used_so_far(project):
    """Two of three answers have come: at least their tokens are spent."""
    gate, stream = project.folder.with_name("gate"), RECORDED / "claude.jsonl"
    wait = f"while ! test -e {gate}; do sleep 0.1; done"
    project.agent(f"cat > /dev/null; head -n 4 {stream}; {wait}; tail -n +5 {stream}")
    process = project.start("scheduler", "sprint")
    try:
        for _ in range(600):
            runs = project.document("status")["runs"]
            if len(runs) == 3 and all(run["usage"]["input"] for run in runs):
                break
        assert [(run["status"], run["usage"]["input"], run["usage"]["partial"]) for run in runs] == [
            ("open", 2000, True)
        ] * 3
        assert "at least 6.3k tokens" in project.ok("scheduler", "status")
    finally:
        gate.touch()
        process.communicate(timeout=60)
