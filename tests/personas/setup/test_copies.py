"""Files of the checkout in workspaces: those named and not tracked, never through a link that leads out."""

import os
import subprocess

import pytest
from team_mail.personas.setup.caches import link_caches
from team_mail.personas.setup.copies import copy_files, find_copies


@pytest.fixture
def top(tmp_path):
    """A checkout with a committed file, ignored ones, and one that is neither."""
    folder = tmp_path / "project"
    folder.mkdir()
    for words in (["init", "-q"], ["config", "user.email", "a@b"], ["config", "user.name", "ada"]):
        subprocess.run(["git", *words], cwd=folder, check=True)
    files = {
        ".gitignore": ".env*\n*.local\nout/\n", "a.txt": "a\n", ".env": "KEY=1\n", "sub/.env": "KEY=2\n",
        "sub/x.local": "x\n", "notes.txt": "mine\n", "out/big.bin": "big\n", ".team/mail/events.jsonl": "{}\n",
    }  # fmt: skip
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    subprocess.run(["git", "add", "a.txt", ".gitignore"], cwd=folder, check=True)
    subprocess.run(["git", "commit", "-qm", "Begin"], cwd=folder, check=True)
    return folder


@pytest.fixture
def workspace(tmp_path):
    folder = tmp_path / "clone"
    folder.mkdir()
    return folder


def test_files_are_named_by_globs(top):
    """Of a folder all that is untracked, by a wildcard all that matches; one that is not there is told."""
    found = find_copies(top, [".env", "sub", "*.toml", "a.txt"])

    assert found.files == (".env", "sub/.env", "sub/x.local")
    assert found.notes == (
        "copy '*.toml' names no file of your checkout",
        "copy 'a.txt' names files that git tracks: workspaces have them as they were committed",
    )


def test_what_is_no_regular_file_is_told_as_that(top):
    """A pipe is there, so that there is no such file would be false."""
    os.mkfifo(top / "pipe")
    (top / "empty").mkdir()

    assert find_copies(top, ["pipe", "empty"]).notes == (
        "copy 'pipe' names what is no regular file",
        "copy 'empty' names no file of your checkout",
    )


def test_worktreeinclude_names_ignored_files(top):
    """Its syntax is that of .gitignore; what git does not ignore is not copied, and neither is the team's mail."""
    (top / ".worktreeinclude").write_text("# secrets\n.env\n*.local\n!sub/.env\nnotes.txt\n*.jsonl\n")
    (top / ".gitignore").write_text(".env*\n*.local\n*.jsonl\n")

    assert find_copies(top, []).files == (".env", "sub/x.local")


def test_the_users_own_ignore_file_counts(top, tmp_path, monkeypatch):
    """A file that only core.excludesFile ignores is ignored."""
    (tmp_path / "ignore").write_text("notes.txt\n")
    (tmp_path / "gitconfig").write_text(f"[core]\n\texcludesFile = {tmp_path}/ignore\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    (top / ".worktreeinclude").write_text("notes.txt\n")

    assert find_copies(top, []).files == ("notes.txt",)


def test_no_link_leads_out_of_the_checkout(top, tmp_path):
    """A link within the checkout gives the file that it leads to; links elsewhere, pipes and repositories are told."""
    (tmp_path / "secret").write_text("secret\n")
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "id").write_text("key\n")
    (top / "out.local").symlink_to(tmp_path / "secret")
    (top / "git.local").symlink_to(".git/config")
    (top / "in.local").symlink_to("sub/x.local")
    (top / "folder.local").symlink_to(tmp_path / "keys")
    (top / "dead.local").symlink_to("nowhere")
    os.mkfifo(top / "pipe.local")
    subprocess.run(["git", "init", "-q", "inner.local"], cwd=top, check=True)
    who = ["-c", "user.name=ada", "-c", "user.email=a@b"]
    subprocess.run(["git", *who, "commit", "-qm", "x", "--allow-empty"], cwd=top / "inner.local", check=True)

    found = find_copies(top, ["*.local", "inner.local"])

    assert found.files == ("in.local",)
    assert sorted(note.replace(" of your checkout is not copied", "") for note in found.notes) == [
        "dead.local: it is no regular file",
        "folder.local: it is a link that leads out of it",
        "git.local: it is a link that leads out of it",
        "inner.local/: it is a repository of its own",
        "out.local: it is a link that leads out of it",
    ]


def test_copies_keep_mode_and_content(top, workspace):
    """A secret stays readable for its owner alone, and a link becomes the file that it leads to."""
    (top / ".env").chmod(0o600)
    (top / "in.local").symlink_to("sub/x.local")

    copied = copy_files(top, [".env", "sub/.env", "in.local"], workspace)

    assert copied == ((".env", "sub/.env", "in.local"), ())
    assert (workspace / ".env").stat().st_mode & 0o777 == 0o600
    assert (workspace / "sub/.env").read_text() == "KEY=2\n"
    assert not (workspace / "in.local").is_symlink()


def test_nothing_is_written_through_a_link_of_the_commit(top, workspace, tmp_path):
    """The commit may have a link where a folder is expected, or the file itself."""
    (tmp_path / "elsewhere").mkdir()
    (workspace / "sub").symlink_to(tmp_path / "elsewhere")
    (workspace / ".env").symlink_to(tmp_path / "elsewhere" / "env")

    copied = copy_files(top, [".env", "sub/.env"], workspace)
    linked = link_caches(tmp_path / "caches", ["sub/cache", "cache"], workspace)

    assert copied.files == ()
    assert copied.notes == (
        ".env of your checkout is not copied: the commit has it, or a link on its way",
        "sub/.env of your checkout is not copied: the commit has it, or a link on its way",
    )
    assert linked == (("cache",), ("cache sub/cache is not shared: the commit has it, or a link on its way",))
    assert [*(tmp_path / "elsewhere").iterdir()] == []


def test_a_file_that_vanishes_is_told(top, workspace):
    """It was there when the files were looked for."""
    assert copy_files(top, ["gone"], workspace).notes == (
        "gone of your checkout is not copied: No such file or directory",
    )


def test_a_cache_is_the_same_folder_in_each_workspace(tmp_path):
    """What one leaves the next one finds; names with slashes are different folders."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        assert link_caches(tmp_path / "caches", [".cache/uv", ".cache%2Fuv"], tmp_path / name).notes == ()

    (tmp_path / "one/.cache/uv/wheel").write_text("wheel")
    assert (tmp_path / "two/.cache/uv/wheel").read_text() == "wheel"
    assert not [*(tmp_path / "two/.cache%2Fuv").iterdir()]
