"""What a dry run weaves is what the tick would: also on a branch that others have moved, in a partial clone."""

from __future__ import annotations

import pytest
from team_mail.scheduler.sprint.preview import look_ahead

from ...conftest import ASKED, run_batch


@pytest.fixture
def moved(team, tmp_path):
    """A ticker whose patch waits, in a partial clone whose branch was moved to what was fetched without its files."""
    ticker = team.ticker({"ann": team.replaced(3, "by ann")})
    run_batch(ticker)
    team.git("clone", "-q", "--bare", str(team.folder), str(tmp_path / "origin"))
    team.git("-C", str(tmp_path / "origin"), "config", "uploadpack.allowFilter", "true")
    team.git("-C", str(tmp_path / "origin"), "config", "uploadpack.allowAnySHA1InWant", "true")
    theirs = tmp_path / "theirs"
    team.git("clone", "-q", "-b", "main", str(tmp_path / "origin"), str(theirs))
    poem = (theirs / "poem.txt").read_text().splitlines()
    (theirs / "poem.txt").write_text("\n".join([*poem[:20], "by somebody", *poem[21:]]) + "\n")
    team.git("-C", str(theirs), "commit", "-qam", "Change a line")
    team.git("-C", str(theirs), "push", "-q", "origin", "main")
    team.git("remote", "add", "origin", f"file://{tmp_path / 'origin'}")
    team.git("fetch", "-q", "--filter=blob:none", "origin")
    team.git("branch", "-f", "team/sprint-1", "origin/main")
    return ticker


def test_a_dry_run_fetches_what_a_partial_clone_lacks_of_a_branch_that_was_moved(team, moved):
    """At once, into the repository itself, as the tick would: else git would ask file by file, each time anew."""
    assert "?" in team.git("rev-list", "--objects", "--missing=print", "-1", "team/sprint-1")
    looked = look_ahead(moved, ASKED)
    assert looked.troubles == ()
    assert [each.submission.persona for each in looked.woven.landed] == ["ann"]
    assert "?" not in team.git("rev-list", "--objects", "--missing=print", "-1", "team/sprint-1")


def test_a_dry_run_says_what_cannot_be_fetched(team, moved, tmp_path):
    """What would keep the tick from weaving is a trouble like others."""
    (tmp_path / "origin").rename(tmp_path / "away")
    looked = look_ahead(moved, ASKED)
    assert looked.woven is None
    assert [trouble for trouble in looked.troubles if "this is a partial clone" in trouble]
