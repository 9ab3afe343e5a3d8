"""Where the workspaces of a team lie."""

from __future__ import annotations

import json
import os
import shutil

import pytest
from team_mail.mail.errors import UsageError
from team_mail.mail.letter import Letter
from team_mail.mail.log.event import Draft
from team_mail.mail.open import open_log, open_mailbox
from team_mail.team.place import orphans, place_trouble, state_folder, workspace_folder

from ..console import run_command


@pytest.fixture
def state(tmp_path):
    """The environment of a user whose state folder is in the test's folder."""
    return {"XDG_STATE_HOME": str(tmp_path / "state")}


def opened(folder):
    """Make a team with a log; return its `.team` folder."""
    home = folder / ".team"
    home.mkdir(parents=True)
    open_log(home).append([Draft("mail.sent", "ann", ("bob",), "x")])
    return home


def test_workspaces_lie_in_the_users_state_folder(tmp_path, state):
    """Not in the checkout, whose files an agent would find above its workspace."""
    folder = workspace_folder(opened(tmp_path / "my: project"), None, state)
    assert folder.parent == tmp_path / "state" / "team-mail"
    assert folder.name.startswith("my--project-")
    assert folder.is_dir()
    assert state_folder(None, {}).parts[-3:] == (".local", "state", "team-mail")
    assert state_folder("~/runs").is_absolute()


def test_the_place_of_a_new_team_does_not_change_with_its_first_event(tmp_path, state):
    """Its first sprint asks for workspaces before anything is on record; the folder must be no orphan later."""
    home = tmp_path / "project" / ".team"
    home.mkdir(parents=True)
    before = workspace_folder(home, None, state)
    open_log(home).append([Draft("mail.sent", "ann", ("bob",), "x")])

    assert workspace_folder(home, None, state) == before
    assert list(orphans(None, state)) == []
    assert [event.kind for event in open_log(home).read()] == ["log.opened", "mail.sent"]


def test_a_copied_repository_shares_nothing(tmp_path, state):
    """Nor does one that was deleted and made again at the same place."""
    home = opened(tmp_path / "project")
    shutil.copytree(tmp_path / "project", tmp_path / "copy")
    places = {workspace_folder(home, None, state), workspace_folder(tmp_path / "copy" / ".team", None, state)}
    shutil.rmtree(tmp_path / "project")
    places.add(workspace_folder(opened(tmp_path / "project"), None, state))
    assert len(places) == 3


def test_a_linked_path_is_the_same_team(tmp_path, state):
    """However a user goes to the repository, the workspaces are the same."""
    home = opened(tmp_path / "project")
    (tmp_path / "link").symlink_to(tmp_path / "project")
    assert workspace_folder(tmp_path / "link" / ".team", None, state) == workspace_folder(home, None, state)


def test_a_place_that_cannot_be_used_is_one_clear_error(tmp_path, state):
    """It names the folder, the reason and the setting."""
    home = opened(tmp_path / "project")
    with pytest.raises(UsageError, match=r"would lie in the checkout .*; set root in \[workspace\] of team.toml"):
        workspace_folder(home, str(tmp_path / "project" / "runs"), state)
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match=r"cannot make workspaces in .*: .*; set root"):
        workspace_folder(home, str(tmp_path / "file"), state)


@pytest.mark.parametrize("place", ["project/runs", "project", "project/.team/runs", "file", "file/runs", "link"])
def test_a_place_that_cannot_be_used_is_known_before_the_start(tmp_path, state, place):
    """With the words of the start, and without a trace of the attempt; a place that can be used is no trouble."""
    home = opened(tmp_path / "project")
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    before = sorted(tmp_path.rglob("*"))

    trouble = place_trouble(home, str(tmp_path / place), state) or ""

    assert trouble.partition(":")[0].startswith(("the workspaces would lie in", "cannot make workspaces in"))
    assert "outside of the checkout" in trouble
    assert place_trouble(home, str(tmp_path / "new" / "runs"), state) is None
    assert place_trouble(home, None, state) is None
    assert sorted(tmp_path.rglob("*")) == before
    with pytest.raises(UsageError):
        workspace_folder(home, str(tmp_path / place), state)


def test_folders_of_teams_that_are_gone_are_orphans(tmp_path, state):
    """Moved, deleted and made anew; what is not ours is left alone."""
    home, rival = opened(tmp_path / "project"), opened(tmp_path / "other")
    kept, gone = workspace_folder(home, None, state), workspace_folder(rival, None, state)
    (gone / "run-1").mkdir()
    (gone / "caches" / "runs").mkdir(parents=True)
    (gone / "caches" / "runs" / "module").touch()
    (gone / "caches" / "runs").chmod(0o500)  # as Go and others protect what they have downloaded
    foreign = kept.with_name("foreign")
    foreign.mkdir()
    (foreign / "team.json").write_text(json.dumps({"v": 99, "home": "/nowhere", "team": "x"}))
    assert list(orphans(None, state)) == []
    (tmp_path / "other").rename(tmp_path / "moved")
    (orphan,) = orphans(None, state)
    assert (orphan.folder, orphan.home) == (gone, str(rival))
    orphan.remove()
    assert (gone.exists(), kept.exists(), foreign.exists()) == (False, True, True)


def test_gates_without_a_repository_keep_no_matter_away(tmp_path):
    """Nobody can say how the base stands, and the mail needs its reader all the same."""
    home = opened(tmp_path)
    open_mailbox(home).send(Letter("bob", ("you",), "Hello", "Where is the repository?"))
    (home / "team.toml").write_text('[gates.tests]\ncommand = ["true"]\n')
    (home / "work" / "nowhere").mkdir(parents=True)  # as a dispatch leaves it
    ended = run_command("team", "status", cwd=tmp_path, env={"PATH": os.environ["PATH"]})
    assert ended.returncode == 0, ended.stderr
    assert b"bob writes: Hello" in ended.stdout
