"""What `team clean --older` removes of git and of Jules: what nobody needs, and nothing that keeps a commit alive."""

from __future__ import annotations

import os
import time
from datetime import timedelta

import pytest
from team_mail.mail.log.event import Draft
from team_mail.personas.jules.record import Record, Records, work_of
from team_mail.team.api.team import clean

OLD = 40 * 86_400.0  # seconds


@pytest.fixture
def refs(team, tmp_path):
    """Makes the refs of a sprint whose last commit, on top of the base branch, is so many days old."""

    def refs(name, days):
        tree, main = team.git("rev-parse", "main^{tree}", "main").split()
        signed = f"weaver <weaver@team-mail> {int(time.time() - days * 86_400)} +0000"
        (tmp_path / "commit").write_text(f"tree {tree}\nparent {main}\nauthor {signed}\ncommitter {signed}\n\n{name}\n")
        commit = team.git("hash-object", "-t", "commit", "-w", str(tmp_path / "commit"))
        team.git("update-ref", f"refs/team/{name}/base", main)
        team.git("update-ref", f"refs/team/{name}/tip", commit)
        return commit

    return refs


def test_refs_go_once_the_base_has_what_they_keep(team, refs):
    """Those of the newest five, of what is younger, and of commits that nothing else keeps stay; a dry run tells."""
    for number in range(1, 8):
        team.git("merge", "-q", "--ff-only", refs(f"sprint-{number}", 60 - number))
    only = refs("sprint-8", 90)
    refs("dispatch-9", 1)
    context = team.context()

    found = clean(team.home, keep=True, older=timedelta(days=30))
    assert found.refs == ("refs/team/sprint-1", "refs/team/sprint-2", "refs/team/sprint-3")
    assert clean(team.home).refs == ()
    assert clean(team.home, older=timedelta(days=30)).refs == found.refs
    left = {ref.split("/")[2] for ref in team.git("for-each-ref", "--format=%(refname)", "refs/team").split()}
    assert left == {"sprint-4", "sprint-5", "sprint-6", "sprint-7", "sprint-8", "dispatch-9"}
    team.git("gc", "-q", "--prune=now")
    assert context.git.run("cat-file", "-e", only).returncode == 0


def test_refs_of_the_open_sprint_stay(team, refs):
    """However old its commits are."""
    team.git("merge", "-q", "--ff-only", refs("sprint-1", 80))
    for number in range(2, 8):
        team.git("merge", "-q", "--ff-only", refs(f"sprint-{number}", 60 - number))
    start = {"sprint": 1, "id": "s", "base_branch": "main", "base": team.git("rev-parse", "main")}
    start |= {"branch": "team/sprint-1", "mode": "parallel", "rule": "always", "reason": "asked for", "rolling": True}
    context = team.context()
    context.append([Draft("sprint.started", "scheduler", data=start | {"personas": ["ann"]})])
    assert clean(team.home, older=timedelta(days=30)).refs == ("refs/team/sprint-2",)


def test_records_of_jules_go_once_their_work_is_over(team):
    """A session that a run of the persona's may go on with stays, and so does one of a run that goes on."""
    records = Records(team.home)
    for number, (work, over, old) in enumerate(
        [
            ("sprints", True, True),
            ("sprints", False, True),
            ("sprints", True, False),
            (work_of("a", "gone"), False, True),
        ]
    ):
        persona = f"ann-{number}"
        records.write(Record(persona, work, f"run-{number}", "mark", "title", "2026-01-01T00:00:00Z", over=over))
        (file,) = (team.home / "work" / "jules").glob(f"{persona}_*.json")
        if old:
            os.utime(file, (time.time() - OLD, time.time() - OLD))
    done = clean(team.home, older=timedelta(days=30))
    assert [(each.noun, each.path.exists()) for each in done.leftovers] == [("record", False)] * 2
    assert {record.persona for record in records.all()} == {"ann-1", "ann-2"}
