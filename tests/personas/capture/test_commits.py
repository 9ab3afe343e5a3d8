"""Commits that a run leaves beside its work tree: taken if there is one change, else kept, and never believed."""

from __future__ import annotations

import os
import subprocess

import pytest
from team_mail.personas.workspace import Captured, Mirror, Workspace

AUTHOR = {f"GIT_{who}_{what}": "bob@example.com" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
QUIET = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1"}
ENV = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")} | AUTHOR | QUIET


def git(folder, *words: str, stdin: bytes | None = None) -> str:
    words = ("git", "-c", "protocol.file.allow=always", *words)
    ended = subprocess.run(words, cwd=folder, env=ENV, input=stdin, capture_output=True, check=True)
    return ended.stdout.decode().strip()


def commit(folder, name: str, text: str) -> str:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)
    git(folder, "add", "--", name)
    git(folder, "commit", "-qm", f"{name}: {text.strip()}")
    return git(folder, "rev-parse", "HEAD")


@pytest.fixture
def project(tmp_path):
    folder = tmp_path / "project"
    folder.mkdir()
    git(folder, "init", "-q", "-b", "main")
    commit(folder, "README", "one\n")
    git(folder, "branch", "other")
    return folder


@pytest.fixture
def workspace(project, tmp_path) -> Workspace:
    return Mirror(project, tmp_path / "team" / "work").workspace("run-1", git(project, "rev-parse", "HEAD"), "bob")


def unbundled(captured: Captured, project, where: str = "") -> dict[str, str]:
    """Fetch what was kept into the user's repository; return the subjects of its heads by branch."""
    (kept,) = [kept for kept in captured.kept if kept.where == where]
    file = project.parent / "kept.bundle"
    file.write_bytes(kept.bundle)
    git(project, "fetch", "-q", str(file), "refs/heads/*:refs/heads/kept/*")
    rows = git(project, "for-each-ref", "--format=%(refname:lstrip=3) %(subject)", "refs/heads/kept").splitlines()
    return dict(row.split(" ", 1) for row in rows)


def test_a_change_that_only_another_branch_has_is_taken(workspace):
    """The agent committed on a branch of its own and went back: that is its patch, and the notes say where from."""
    at = workspace.path
    git(at, "switch", "-qc", "fix/login")
    commit(at, "login.py", "fixed\n")
    git(at, "switch", "-q", "work")

    captured = workspace.capture()

    assert captured.files == ("login.py",)
    assert b"+fixed" in captured.patch
    assert captured.notes == ("the work tree had no change, so that of branch fix/login was taken",)
    assert (captured.kept, captured.asks) == ((), False)


@pytest.mark.parametrize("how", ["stash", "stash with untracked", "worktree inside", "worktree outside", "detached"])
def test_the_only_change_is_taken_wherever_it_is(workspace, tmp_path, how):
    """From a stash with its untracked files, from a linked worktree, and from a HEAD that is on no branch."""
    at = workspace.path
    if how.startswith("stash"):
        (at / "README").write_text("two\n")
        (at / "new").write_text("new\n")
        git(at, "add", "README" if "untracked" in how else "-A")
        git(at, "stash", "-q", *(["-u"] if "untracked" in how else []))
    elif how.startswith("worktree"):
        place = at / ".claude/worktrees/one" if "inside" in how else tmp_path / "outside"
        git(at, "worktree", "add", "-q", "--detach", str(place))
        commit(place, "README", "two\n")
        commit(place, "new", "new\n")
    else:
        git(at, "switch", "-q", "--detach")
        commit(at, "README", "two\n")
        commit(at, "new", "new\n")
        git(at, "checkout", "-q", workspace.base, "--", "README")
        git(at, "rm", "-q", "new")

    captured = workspace.capture()

    assert set(captured.files) == {"README", "new"}
    assert captured.kept == ()


def test_the_work_tree_counts_and_other_changes_are_kept(workspace, project):
    """A branch whose change is in the work tree, too, is nothing more; the others are in the bundle, and told."""
    at = workspace.path
    git(at, "switch", "-qc", "first")
    commit(at, "a", "a\n")
    git(at, "switch", "-q", "-c", "second", "work")
    commit(at, "b", "b\n")
    git(at, "switch", "-q", "work")
    git(at, "merge", "-q", "first")
    (at / "c").write_text("c\n")

    captured = workspace.capture()

    assert captured.files == ("a", "c")
    assert captured.asks
    assert unbundled(captured, project) == {"second": "b: b"}
    assert captured.kept[0].heads == ("branch second",)


def test_two_changes_are_not_chosen_between(workspace, project):
    """With nothing in the work tree and two branches, none is taken, and both are kept."""
    at = workspace.path
    for name in ("one", "two"):
        git(at, "switch", "-qc", name, "work")
        commit(at, name, name)
    git(at, "switch", "-q", "work")

    captured = workspace.capture()

    assert (captured.patch, captured.asks) == (b"", True)
    assert unbundled(captured, project) == {"one": "one: one", "two": "two: two"}


def test_commits_that_no_branch_has_are_kept_but_not_taken(workspace, project):
    """They may have been given up on purpose, but nobody knows that."""
    at = workspace.path
    git(at, "switch", "-q", "--detach")
    commit(at, "lost", "lost\n")
    git(at, "switch", "-q", "work")

    captured = workspace.capture()

    assert (captured.patch, captured.asks) == (b"", True)
    assert list(unbundled(captured, project).values()) == ["lost: lost"]


def test_a_commit_that_was_made_again_is_not_kept(workspace):
    """An amended commit has the author, date and subject of the new one."""
    at = workspace.path
    commit(at, "mine", "mine\n")
    (at / "mine").write_text("mine, better\n")
    git(at, "commit", "-qa", "--amend", "--no-edit")

    captured = workspace.capture()

    assert (captured.files, captured.kept, captured.notes) == (("mine",), (), ())


def test_what_the_user_has_is_not_kept(workspace):
    """A branch of the user's that was checked out, and tags, are no work of the run."""
    git(workspace.path, "switch", "-qc", "mine", "origin/other")
    git(workspace.path, "tag", "here")
    git(workspace.path, "switch", "-q", "work")
    (workspace.path / "staged").write_text("staged\n")
    git(workspace.path, "add", "staged")
    assert workspace.capture().kept == ()


def test_what_was_fetched_is_no_work_of_the_run(workspace, tmp_path):
    """Neither under a remote's name nor under none."""
    source = tmp_path / "other"
    source.mkdir()
    git(source, "init", "-q", "-b", "main")
    commit(source, "theirs", "theirs\n")
    git(workspace.path, "fetch", "-q", str(source), "main")
    assert workspace.capture() == Captured(b"", (), 0, 0)
    git(workspace.path, "fetch", "-q", str(source), "main:refs/remotes/other/main")
    (workspace.path / ".git/FETCH_HEAD").unlink()
    assert workspace.capture() == Captured(b"", (), 0, 0)


@pytest.mark.parametrize("ignored", [False, True])
def test_files_in_a_worktree_of_the_clone_that_were_not_committed_count(workspace, ignored):
    """What a subagent left in its worktree is a change like one that it committed, be the folder ignored or not."""
    if ignored:
        (workspace._source / "info/exclude").write_text(".claude/\n")
    git(workspace.path, "worktree", "add", "-q", ".claude/worktrees/one", "-b", "one")
    commit(workspace.path / ".claude/worktrees/one", "a", "a\n")
    (workspace.path / ".claude/worktrees/one/b").write_text("b\n")

    captured = workspace.capture()

    assert captured.files == ("a", "b")
    assert ("left out of the patch: the worktree .claude/worktrees/one" in captured.notes) is not ignored


def test_a_worktree_outside_of_the_clone_is_told(workspace, tmp_path):
    """Its commits are read; files that are not committed are not, because its place is the agent's word."""
    git(workspace.path, "worktree", "add", "-q", str(tmp_path / "outside"), "-b", "out")
    commit(tmp_path / "outside", "a", "a\n")
    (tmp_path / "outside/b").write_text("b\n")

    captured = workspace.capture()

    assert captured.files == ("a",)
    assert f"not looked at: what is not committed in the worktree {tmp_path}/outside" in captured.notes


def test_a_commit_that_does_not_build_on_the_base_is_not_taken(workspace, project):
    """As a patch it would take back what the base has beyond it."""
    at = workspace.path
    git(at, "switch", "-q", "--orphan", "elsewhere")
    commit(at, "alone", "alone\n")
    git(at, "switch", "-q", "work")

    captured = workspace.capture()

    assert captured.patch == b""
    assert unbundled(captured, project) == {"elsewhere": "alone: alone"}


def test_hostile_git_folders_are_inert(workspace, tmp_path):
    """Alternates, grafts, replacements, garbage among refs, pipes and links change nothing and block nothing."""
    at = workspace.path
    git(at, "switch", "-qc", "fix")
    fix = commit(at, "fix", "fix\n")
    git(at, "switch", "-q", "work")
    directory = at / ".git"
    secret = tmp_path / "secret"
    secret.mkdir()
    git(secret, "init", "-q", "-b", "main")
    hidden = commit(secret, "key", "the key\n")
    with (directory / "objects/info/alternates").open("a") as alternates:
        alternates.write(f"{secret}/.git/objects\n")
    (directory / "refs/heads/hidden").write_text(f"{hidden}\n")
    (directory / "info/grafts").write_text(f"{fix} {hidden}\n")
    (directory / "refs/replace").mkdir()
    (directory / f"refs/replace/{workspace.base}").write_text(f"{fix}\n")
    (directory / "refs/heads/link").symlink_to(secret / ".git/refs/heads/main")
    os.mkfifo(directory / "refs/heads/pipe")
    (directory / "packed-refs").write_bytes(b"\xff\x00garbage\n" + b"0" * 40 + b" refs/heads/../../x\n")
    (directory / "objects/aa").mkdir(exist_ok=True)
    os.mkfifo(directory / "objects/aa" / ("a" * 38))
    (directory / "objects/bb").symlink_to(secret / ".git/objects")

    captured = workspace.capture()

    assert captured.files == ("fix",)
    assert b"the key" not in captured.patch
    assert captured.kept == ()


def test_objects_that_cannot_be_read_do_not_cost_the_patch(workspace):
    """Half a commit of an agent that was killed: the work tree is captured, and the run's clone is not thrown away."""
    (workspace.path / "new").write_text("new\n")
    oid = git(workspace.path, "hash-object", "-w", "-t", "commit", "--literally", "--stdin", stdin=b"garbage\n")
    (workspace.path / ".git/refs/heads/broken").write_text(f"{oid}\n")

    captured = workspace.capture()

    assert captured.files == ("new",)
    assert captured.unread
    assert "commits that could not be read" in captured.trouble[0]


@pytest.fixture
def with_submodule(project, tmp_path):
    """A project with a library as a submodule, and a workspace in which it is filled."""
    library = tmp_path / "library"
    library.mkdir()
    git(library, "init", "-q", "-b", "main")
    commit(library, "lib.py", "one\n")
    git(project, "submodule", "--quiet", "add", str(library), "vendor/lib")
    git(project, "commit", "-qm", "with a library")
    made = Mirror(project, tmp_path / "work").workspace("run-2", git(project, "rev-parse", "HEAD"))
    git(made.path, "submodule", "--quiet", "update", "--init")
    return made


def test_commits_in_a_submodule_are_kept_and_the_submodule_moves(with_submodule, project):
    """The patch points to the new commit, which is in the bundle, with what was not committed on top of it."""
    library = with_submodule.path / "vendor/lib"
    inside = commit(library, "lib.py", "two\n")
    (library / "more").write_text("more\n")
    (with_submodule.path / "own").write_text("own\n")

    captured = with_submodule.capture()

    assert captured.files == ("own", "vendor/lib")
    assert f"+Subproject commit {inside}".encode() in captured.patch
    assert captured.asks
    assert captured.notes == ("kept as a bundle: commits in submodule vendor/lib",)
    git(project, "submodule", "--quiet", "update", "--init")
    assert list(unbundled(captured, project / "vendor/lib", "submodule vendor/lib").values()) == [
        "Not committed by the run"
    ]
    assert git(project / "vendor/lib", "cat-file", "-t", inside) == "commit"


def test_a_submodule_that_was_only_filled_is_no_change(with_submodule):
    """Cloning it to build with it leaves no patch, no bundle and no mail."""
    assert with_submodule.capture() == Captured(b"", (), 0, 0)
