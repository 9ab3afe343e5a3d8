"""What other processes can know of a gate while it is at work."""

from __future__ import annotations

from team_mail.team.open import open_team


def test_the_log_says_that_a_gate_began_before_the_gate_runs(team):
    """The gate passes only where its own start is on record; the verdict names the same gate, tick and commit."""
    log = team.home / "mail" / "events.jsonl"
    settings = f"""[gates.tests]\ncommand = ["grep", "-q", "gate.started", "{log}"]\n"""

    team.know_green(settings)
    summary = team.sprint({"ann": team.replaced(3, "ann's words")}, settings)

    assert [*summary.landed] == ["ann"]
    kinds = team.kinds("gate")[1:]
    assert kinds == ["gate.started", "gate.judged"]
    _, started, judged = (e.data for e in open_team(team.home, {}).mailbox.log.read() if e.kind in kinds)
    assert set(started) == {"sprint", "tick", "gate", "mark", "commit"}
    assert {name: judged[name] for name in started} == started


def test_a_gate_begins_once_for_each_run(team):
    """A commit with the patch is judged, and the one without it, which fails as well, at least twice."""
    team.sprint({"ann": team.replaced(3, "ann's words")}, '[gates.tests]\ncommand = ["false"]\n')

    commits = [e.data["commit"] for e in open_team(team.home, {}).mailbox.log.read() if e.kind == "gate.started"]

    base = team.git("rev-parse", "main")
    assert sum(commit != base for commit in commits) == 1
    assert commits.count(base) >= 2
