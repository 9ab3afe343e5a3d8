"""Git between hosts, with real processes and the log on PostgreSQL: hosts without a clone, and one that takes over."""

from __future__ import annotations

import pytest
from team_mail.team.api.control import land
from team_mail.team.api.sprints import run_sprint

from ...conftest import git
from ...hosts import hosts_of
from ...postgres import needs_postgres

pytestmark = needs_postgres
BRANCH = "team/sprint-1"
WRITE = "printf 'as %s says\\n' \"$TEAM_PERSONA\" > poem.txt\n"


@pytest.mark.parametrize("remote", [False, True])
def test_runs_work_on_a_host_without_a_clone(tmp_path, schemas, remote):
    """It gets what they start from as bundles, or from the remote; of two that conflict, one starts from a weave."""
    more = f'[workspace]\nremote = "{tmp_path / "repository"}"\n' if remote else ""
    with hosts_of(tmp_path, schemas(), script=WRITE, settings=more, bare=("b",)) as hosts:
        hosts.worker("b", "--slots", "2")
        result = run_sprint(hosts.context("a"))
        assert result.converged, hosts.said("b")
        offered = [event.data for event in hosts.events("run.offered")]
        assert len({each["base"] for each in offered}) == 2
        assert [bool(each["bundle"]) for each in offered] == ([False, False, True] if remote else [True] * 3)
        assert not (hosts.host("b").parent / ".git").exists()


def test_a_host_that_takes_over_has_what_had_landed(tmp_path, schemas):
    """The sprint that another host ended is landed from a clone that never had its branch."""
    with hosts_of(tmp_path, schemas(), script="date +%N > $TEAM_PERSONA.txt\n") as hosts:
        hosts.worker("b", "--slots", "2")
        assert run_sprint(hosts.context("a")).converged
        first, second = hosts.host("a").parent, hosts.host("c").parent
        tip = git(first, "rev-parse", BRANCH)
        assert land(hosts.context("c")).commit == tip
        assert git(second, "rev-parse", "main") == tip
        git(second, "fsck", "--strict")
