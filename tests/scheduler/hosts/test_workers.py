"""Runs on other hosts, with real processes: a leader, workers with homes of their own, and the log on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from team_mail.team.api.sprints import run_sprint

from ...conftest import git
from ...hosts import Hosts, hosts_of
from ...postgres import needs_postgres

pytestmark = needs_postgres

WRITE = """\
me=$TEAM_PERSONA
echo "$me works in $PWD"
if [ -e .team/run/conflict ]; then
    printf 'settled by %s\\n' "$me" > poem.txt
else
    printf 'as %s says\\n' "$me" > poem.txt
    [ "$me" = ann ] && team-mail send --to bob --type note -s "From ann" -b "Hello, bob."
fi
exit 0
"""


@pytest.fixture
def hosts(tmp_path: Path, schemas) -> Iterator[Hosts]:
    with hosts_of(tmp_path, schemas(), script=WRITE) as made:
        yield made


def test_a_sprint_whose_runs_were_on_two_hosts(hosts):
    """Two personas conflict and write to each other; neither notices that they work on different hosts."""
    hosts.worker("b", "--slots", "1")
    hosts.worker("c", "--slots", "1")
    result = run_sprint(hosts.context("a"))
    assert result.converged, hosts.said("b") + hosts.said("c")
    taken = hosts.events("run.taken")
    pids = {event.data["worker"]["pid"] for event in taken}
    assert len(taken) >= 3, "the one in conflict ran again"
    assert pids == {worker.pid for worker in hosts.workers}
    (letter,) = [e for e in hosts.events("mail.sent") if e.sender == "ann"]
    assert (letter.recipients, letter.run) == (("bob",), next(e.run for e in taken if e.run == letter.run))
    finished = {event.run: event.data["status"] for event in hosts.events("run.finished")}
    assert finished == {event.run: "ok" for event in taken}
    assert git(hosts.host("a").parent, "show", "team/sprint-1:poem.txt").startswith("settled by")
    for name in ("b", "c"):
        assert not [*(hosts.host(name).parent).glob("poem.txt.*")]
        assert git(hosts.host(name).parent, "branch", "--list", "team/*") == "", "only the leader writes refs"
