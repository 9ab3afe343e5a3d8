"""Workspaces: a patch has all that a run changed and nothing else, whatever is done to the clone (A5, A6)."""

import os
import re
import resource
import shutil
import socket
import subprocess
import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor

import pytest
from team_mail.personas.agent import Job
from team_mail.personas.agents.command import CommandAgent
from team_mail.personas.capture.capture import Capture
from team_mail.personas.capture.confined import _LIMITED
from team_mail.personas.capture.trust import Trust
from team_mail.personas.capture.user_settings import users_settings
from team_mail.personas.errors import GitError, WorkspaceLost, WorkspaceStuck
from team_mail.personas.running.folder import RunFolder
from team_mail.personas.setup import sharing
from team_mail.personas.workspace import Captured, Mirror

from ..waiting import until_old

WHO = resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN
MANY = 1_000
FEW = 200
NAMES = (b"-rf", b"--help", b"new\nline", b"tab\there", b'quo"te', b"back\\slash", b"caf\xe9", b" space ", "é".encode(),
         b":(glob)*", b"a => b", b"{x}", b"\x01\x7f", b"HEAD")  # fmt: skip
AUTHOR = {f"GIT_{who}_{what}": "bob@example.com" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
QUIET = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1"}


def git(folder, *words, stdin=None):
    env = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")} | AUTHOR | QUIET
    ended = subprocess.run(["git", *words], cwd=folder, env=env, input=stdin, capture_output=True, check=True)
    return ended.stdout.decode(errors="replace").strip()


def repository(folder, files, *options):
    """Make a repository of one commit with fast-import, which is fast for thousands of files."""
    folder.mkdir(parents=True)
    git(folder, "init", "-q", "-b", "main", *options)
    stream = b"commit refs/heads/main\ncommitter bob <bob@example.com> 1767225600 +0000\ndata 5\nbegin\n"
    for name, (mode, content) in files.items():
        stream += b"M %s inline %s\ndata %d\n%s\n" % (mode.encode(), name.encode(), len(content), content)
    git(folder, "fast-import", "--quiet", stdin=stream)
    git(folder, "reset", "-q", "--hard", "main")
    return folder


def many(count):
    """Return `count` files of 51 lines in forty folders."""
    lines = b"".join(b"line %d\n" % line for line in range(50))
    return {f"part{number % 40}/f{number}.py": ("100644", lines + b"%d\n" % number) for number in range(count)}


@pytest.fixture
def project(tmp_path):
    return repository(
        tmp_path / "project",
        {
            "README": ("100644", b"one\ntwo\nthree\n"),
            "run.sh": ("100755", b"#!/bin/sh\n"),
            "picture": ("100644", bytes(range(256)) * 4),
            "link": ("120000", b"README"),
            "src/a.py": ("100644", b"a = 1\n"),
            "src/b.py": ("100644", b"b = 1\n"),
            ".gitignore": ("100644", b"*.log\n"),
        },
    )


@pytest.fixture
def mirror(project, tmp_path):
    return Mirror(project, tmp_path / "team" / "work")


@pytest.fixture
def workspace(mirror, project):
    return mirror.workspace("run-1", git(project, "rev-parse", "HEAD"), "bob")


def tree(folder):
    """Return what git would keep of a folder: names, kinds, execute permissions and contents."""
    entries = {}
    for path in folder.rglob("*"):
        if ".git" in path.relative_to(folder).parts or (path.is_dir() and not path.is_symlink()):
            continue
        link = path.is_symlink()
        kind = "link" if link else "program" if path.stat().st_mode & 0o100 else "file"
        entries[str(path.relative_to(folder))] = (kind, path.readlink() if link else path.read_bytes())
    return entries


def replayed(mirror, workspace, captured):
    """Apply a captured patch to a fresh clone of the same base; return its files."""
    fresh = mirror.workspace("replayed", workspace.base)
    if captured.patch:
        git(fresh.path, "apply", "--whitespace=nowarn", "-", stdin=captured.patch)
    return tree(fresh.path)


def test_what_a_run_is_given_is_no_part_of_its_patch(workspace, mirror):
    """Git ignores the folder, and so does the capture, whatever the run does to the ignore files."""
    RunFolder(workspace.path).make()
    (workspace.path / ".team" / "run" / "previous.patch").write_bytes(b"half\n")
    assert git(workspace.path, "status", "--porcelain") == ""
    (workspace.path / ".gitignore").write_text("!*\n!/.team/run/\n")
    (workspace.path / ".git" / "info" / "exclude").unlink()
    (workspace.path / "sub" / ".team" / "run").mkdir(parents=True)
    (workspace.path / "sub" / ".team" / "run" / "own").write_text("x")
    git(workspace.path, "add", "--all")
    git(workspace.path, "commit", "-qm", "all")
    assert workspace.capture().files == (".gitignore", "sub/.team/run/own")


def test_nothing_is_left_behind_a_link_of_the_repository(project, mirror, tmp_path):
    """A base may have a link in the place of the folder, which leads out of the clone."""
    (tmp_path / "elsewhere").mkdir()
    (project / ".team").symlink_to(tmp_path / "elsewhere")
    git(project, "add", "-f", ".team")
    git(project, "commit", "-qm", "link")
    workspace = mirror.workspace("run-2", git(project, "rev-parse", "HEAD"), "bob")
    with pytest.raises(WorkspaceStuck, match=r"\.team is a link in the commit that the run starts from"):
        RunFolder(workspace.path).make()
    assert not [*(tmp_path / "elsewhere").iterdir()]
    assert workspace.capture().patch == b""


def test_a_workspace_is_a_clean_clone(workspace, project):
    """It is on a branch, with the history and the refs; its author is the persona, and it has no remote."""
    git(project, "tag", "v1")
    assert git(workspace.path, "status", "--porcelain", "--branch") == "## work"
    assert git(workspace.path, "log", "--format=%H") == workspace.base
    assert git(workspace.path, "rev-parse", "origin/main") == workspace.base
    assert git(workspace.path, "config", "user.name") == "bob"
    assert git(workspace.path, "config", "user.email") == "bob@team-mail.invalid"
    assert git(workspace.path, "remote") == ""
    assert git(workspace.path, "fsck") == ""
    assert tree(workspace.path) == tree(project)


def test_the_patch_has_every_kind_of_change(workspace, mirror):
    """Applied to the base it gives edits, new and empty files, modes, binaries, links, deletions and renames."""
    at = workspace.path
    (at / "README").write_text("one\n2\nthree\n")
    (at / "empty").touch()
    (at / "run.sh").chmod(0o644)
    (at / "src/a.py").chmod(0o755)
    (at / "picture").write_bytes(bytes(range(255, -1, -1)) * 4)
    (at / "link").unlink()
    (at / "link").symlink_to("/etc/passwd")
    (at / "src/b.py").rename(at / "moved.py")
    (at / "deep/er").mkdir(parents=True)
    (at / "deep/er/no newline").write_bytes(b"end")
    (at / "noise.log").write_text("ignored")
    captured = workspace.capture()

    (at / "noise.log").unlink()
    assert replayed(mirror, workspace, captured) == tree(at)
    assert set(captured.files) == {
        "README", "empty", "run.sh", "src/a.py", "src/b.py", "picture", "link", "moved.py", "deep/er/no newline",
    }  # fmt: skip
    assert (captured.insertions, captured.deletions) == (4, 3)
    assert captured.trouble == ()
    assert b"root:" not in captured.patch


def test_an_unchanged_workspace_has_an_empty_patch(workspace):
    """Touched and ignored files do not count as changes."""
    (workspace.path / "README").touch()
    (workspace.path / "README").write_text((workspace.path / "README").read_text())
    (workspace.path / "x.log").touch()
    assert workspace.capture() == Captured(b"", (), 0, 0)


def test_the_patch_has_commits_too(workspace, mirror):
    """Committed, on another branch, staged or untracked: the patch is the difference from the base."""
    at = workspace.path
    (at / "committed").write_text("1\n")
    git(at, "add", "committed")
    git(at, "commit", "-q", "-m", "one")
    git(at, "checkout", "-q", "-b", "other")
    git(at, "rm", "-q", "src/a.py")
    git(at, "commit", "-q", "-m", "two")
    (at / "staged").write_text("2\n")
    git(at, "add", "staged")
    (at / "loose").write_text("3\n")
    captured = workspace.capture()
    assert captured.files == ("committed", "loose", "src/a.py", "staged")
    assert replayed(mirror, workspace, captured) == tree(at)


@pytest.mark.parametrize("what", ["deleted", "a file", "a link", "emptied", "a pipe"])
def test_a_capture_does_not_need_the_clones_git_folder(workspace, mirror, tmp_path, what):
    """Whatever was done to `.git`, the patch is the same, because the mirror's is used."""
    directory = workspace.path / ".git"
    (workspace.path / "new").write_text("new\n")
    subprocess.run(["rm", "-rf", directory], check=True)
    (tmp_path / "elsewhere").mkdir()
    {
        "deleted": lambda: None,
        "a file": lambda: directory.write_text(f"gitdir: {tmp_path}/elsewhere\n"),
        "a link": lambda: directory.symlink_to(tmp_path / "elsewhere"),
        "emptied": directory.mkdir,
        "a pipe": lambda: os.mkfifo(directory),
    }[what]()
    assert workspace.capture().files == ("new",)
    workspace.remove()
    assert (tmp_path / "elsewhere").is_dir()


@pytest.mark.parametrize("what", ["gone", "a link", "a file"])
def test_a_workspace_that_was_removed_is_an_error(workspace, tmp_path, what):
    """A missing folder is not a patch that deletes everything, and a link in its place is not followed."""
    workspace.path.rename(tmp_path / "away")
    if what == "a link":
        workspace.path.symlink_to(tmp_path / "away")
    elif what == "a file":
        workspace.path.touch()
    with pytest.raises(WorkspaceLost, match="gone or replaced"):
        workspace.capture()
    workspace.remove()
    assert (tmp_path / "away/README").exists()
    assert not os.path.lexists(workspace.path)


def booby_trap(at, script):
    """Add to a clone all that makes git run programs: hooks, fsmonitor, filters, drivers, includes."""
    directory = at / ".git"
    (directory / "hooks").mkdir(exist_ok=True)
    for hook in ("post-index-change", "pre-commit", "post-checkout", "reference-transaction", "fsmonitor-watchman"):
        (directory / "hooks" / hook).symlink_to(script)
    with (directory / "config").open("a") as config:
        config.write(
            f"[core]\n\tfsmonitor = {script}\n\tpager = {script}\n\tsshCommand = {script}\n\tuntrackedCache = true\n"
            f'[filter "evil"]\n\tclean = {script}\n\tsmudge = {script}\n\tprocess = {script}\n\trequired = true\n'
            f'[diff]\n\texternal = {script}\n[diff "evil"]\n\ttextconv = {script}\n\tcommand = {script}\n'
            f'[merge "evil"]\n\tdriver = {script}\n[core]\n\tattributesFile = {at}/.gitattributes\n'
            f"[extensions]\n\tworktreeConfig = true\n[include]\n\tpath = {at}/more\n"
        )
    (directory / "info").mkdir(exist_ok=True)
    (directory / "info/attributes").write_text("* filter=evil diff=evil\n")
    (directory / "info/exclude").write_text("hidden\n")
    (directory / "config.worktree").write_text(f"[core]\n\tfsmonitor = {script}\n\tworktree = /\n")
    (at / "more").write_text(f"[core]\n\tfsmonitor = {script}\n")
    (at / ".gitattributes").write_text("* filter=evil diff=evil merge=evil\n")


def test_a_capture_runs_no_program_of_the_clone(project, tmp_path):
    """Hooks, fsmonitor, filters, drivers and includes do not run, though `git status` would run them (A5)."""
    inner = repository(tmp_path / "inner", {"file": ("100644", b"inner\n")})
    git(project, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(inner), "sub")
    git(project, "commit", "-qm", "with a submodule")
    workspace = Mirror(project, tmp_path / "work").workspace("run-1", git(project, "rev-parse", "HEAD"))
    marker, script = tmp_path / "marker", tmp_path / "evil.sh"
    script.write_text(f'#!/bin/sh\necho "$0 $*" >> {marker}\ncat\n')
    script.chmod(0o755)
    at = workspace.path
    for place in (at / "sub", at / "embedded"):
        git(at, "clone", "-q", str(inner), str(place))
        (place / "file").write_text("changed\n")
        booby_trap(place, script)
    (at / "README").write_text("changed\n")
    (at / "hidden").write_text("from the agent's own exclude\n")
    booby_trap(at, script)
    (at / ".git/objects/info/alternates").write_text("/nowhere\n")
    captured = workspace.capture()

    assert not marker.exists()
    assert captured.files == (".gitattributes", "README", "embedded", "hidden", "more")
    assert b"new file mode 160000" in captured.patch  # the weaver's to refuse
    subprocess.run(["git", "status"], cwd=at / "embedded", capture_output=True, check=False)
    ran = len(marker.read_text().splitlines())
    print(f"0 of the clone's programs ran in capture; {ran} ran in `git status` of the same clone")


def test_file_names_of_every_kind_are_captured(workspace, mirror):
    """With options, newlines, quotes or invalid UTF-8 as names, the patch still applies (A6)."""
    for name in NAMES:
        (workspace.path / os.fsdecode(name)).write_bytes(name)
    captured = workspace.capture()
    assert replayed(mirror, workspace, captured) == tree(workspace.path)
    assert set(captured.files) == {name.decode(errors="backslashreplace") for name in NAMES}
    print(f"{len(NAMES)} hostile names, all captured and applied")


def test_files_that_cannot_be_captured_are_reported(workspace):
    """Git's messages name pipes and repositories without a commit; everything else is captured."""
    at = workspace.path
    (at / "README").unlink()
    os.mkfifo(at / "README")
    os.mkfifo(at / "pipe")
    with socket.socket(socket.AF_UNIX) as listening:
        os.chdir(at)  # the name of a socket may not be long
        listening.bind("socket")
    (at / "unborn").mkdir()
    git(at / "unborn", "init", "-q")
    (at / "good").write_text("good\n")
    captured = workspace.capture()
    assert captured.files == ("good",)
    assert any("README" in words for words in captured.trouble)
    assert any("unborn" in words for words in captured.trouble)


def test_unreadable_files_are_left_out_and_removed(project, tmp_path):
    """For a user other than root, files without permissions do not count as changes, and can be removed."""
    their = tmp_path / "their"
    their.mkdir()
    their.chmod(0o777)
    for folder in (tmp_path, *tmp_path.parents):
        if not folder.stat().st_mode & 0o001:
            folder.chmod(folder.stat().st_mode | 0o011)
    commit = git(project, "rev-parse", "HEAD")

    def run():
        if os.geteuid() == 0:
            os.setgid(65534)
            os.setuid(65534)
        made = Mirror(project / ".git", their / "work").workspace("run-1", commit)
        (made.path / "closed/inner").mkdir(parents=True)
        (made.path / "closed/inner/file").touch()
        (made.path / "new").write_text("new")
        for name in ("src", "README", "closed"):
            (made.path / name).chmod(0)
        captured = made.capture()
        assert captured.files == ("new",)
        for name in ("README", "closed"):
            assert [words for words in captured.trouble if name in words and "Permission denied" in words]
        made.remove()
        assert [path.name for path in (their / "work").iterdir()] == ["mirror.git"]

    pid = os.fork()
    if pid == 0:
        try:
            run()
            os._exit(0)
        except BaseException:  # noqa: BLE001 - nothing of the test runner's may run in the child
            traceback.print_exc()
        finally:
            os._exit(1)
    assert os.waitpid(pid, 0)[1] == 0


def test_a_folder_that_is_too_deep_for_a_path_is_skipped_and_removed(workspace):
    """Two thousand nested folders break neither the capture nor the removal."""
    here = os.open(workspace.path, os.O_RDONLY)
    for _ in range(2_100):
        os.mkdir("d", dir_fd=here)
        deeper = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = deeper
    os.close(os.open("file", os.O_CREAT, dir_fd=here))
    os.close(here)
    (workspace.path / "good").touch()
    assert "good" in workspace.capture().files
    workspace.remove()
    assert not workspace.path.exists()


def test_a_capture_has_a_time_limit(workspace, monkeypatch):
    """A file that git cannot finish fails the capture, and does not block the scheduler (A4)."""
    monkeypatch.setattr("team_mail.personas.capture.confined._TIMEOUT", 0.2)
    with (workspace.path / "huge").open("wb") as huge:
        huge.truncate(100 << 30)
    with pytest.raises(GitError, match=r"git add: no end within 0\.2 s"):
        workspace.capture()


def test_a_capture_has_a_size_limit(workspace, monkeypatch):
    """A patch that is too large fails the capture, and is not read into memory (A4)."""
    monkeypatch.setattr("team_mail.personas.capture.confined.MAX_PATCH", 1 << 20)
    (workspace.path / "bomb").write_bytes(os.urandom(2 << 20))
    with pytest.raises(GitError, match="git diff: what the run left is larger than a capture may be"):
        workspace.capture()
    (workspace.path / "bomb").write_bytes(os.urandom(1 << 19))
    assert workspace.capture().files == ("bomb",)


def test_workspaces_that_a_crash_left_behind_are_discarded(mirror, workspace):
    """Clones and their trusted files are removed, except those of runs that are still open."""
    kept = mirror.workspace("run-2", workspace.base)
    third = mirror.workspace("run-3", workspace.base)
    third.path.rename(third.path.with_name("elsewhere"))
    assert mirror.discard(keep=["run-2"]) == {"run-1", "run-3"}
    assert not workspace.path.exists()
    assert kept.capture().patch == b""
    assert mirror.discard(keep=["run-2"]) == set()


def test_clones_that_nobody_needs_are_removed_a_little_later(mirror, workspace):
    """Many of them by one process; whoever settles the mirror need not wait, nor whoever removes all."""
    others = [mirror.workspace(f"run-{number}", workspace.base) for number in range(2, 6)]
    for number in range(2, 6):
        mirror.remove_soon(f"run-{number}")
    mirror.settle()
    assert not any(other.exists for other in others)
    assert mirror.clones == {"run-1"}
    mirror.remove_soon("run-1")
    mirror.remove_all()
    assert not mirror.folder.exists()


def test_a_run_that_starts_again_gets_a_fresh_clone(mirror, workspace):
    """After a crash the same run finds nothing of its first attempt."""
    (workspace.path / "half done").touch()
    again = mirror.workspace("run-1", workspace.base)
    assert again.path == workspace.path
    assert again.capture().patch == b""


def test_the_clone_of_a_run_that_starts_again_is_not_removed_with_its_earlier_one(mirror, workspace):
    """As of a run that a worker gave back and takes again: at once, or while the earlier clone is being removed."""
    for hurried in (False, True):
        mirror.remove_soon("run-1")
        if hurried:
            threading.Thread(target=mirror.settle).start()
        again = mirror.workspace("run-1", workspace.base)
        mirror.settle()
        assert again.exists
        assert again.capture().patch == b""


@pytest.mark.parametrize("lost", ["HEAD", "config", "trusted", "objects"])
def test_a_mirror_that_lost_a_part_is_made_whole_and_runs_go_on(mirror, workspace, project, lost):
    """As after a crash while it was removed, or because an agent did that; also for a process that knows nothing."""
    place = mirror.folder / "mirror.git" / lost
    shutil.rmtree(place) if place.is_dir() else place.unlink()
    (workspace.path / "new").write_text("new\n")
    for each in (mirror, Mirror(project, mirror.folder)):
        other = each.workspace("run-2", workspace.base)
        (other.path / "two").touch()
        assert other.capture().files == ("two",)
    assert workspace.capture().files == ("new",)


def test_mirrors_of_two_processes_are_made_at_once(project, tmp_path):
    """Of a sprint and of whoever looks at it: both are of use, and nothing is left beside them."""
    base, folder = git(project, "rev-parse", "HEAD"), tmp_path / "work"
    mirrors = [Mirror(project, folder) for _ in range(4)]
    with ThreadPoolExecutor(4) as threads:
        made = [*threads.map(lambda pair: pair[1].workspace(f"run-{pair[0]}", base), enumerate(mirrors))]
    assert [each.capture().patch for each in made] == [b""] * 4
    assert {path.name for path in folder.iterdir()} == {"mirror.git", *(f"run-{number}" for number in range(4))}


def test_the_users_repository_is_never_written(workspace, project):
    """Runs leave no object, ref or file in it, and its garbage collection does not harm open runs."""
    before = sorted((project / ".git").iterdir()), git(project, "count-objects"), git(project, "for-each-ref")
    (workspace.path / "new").write_text("new\n")
    git(workspace.path, "add", "new")
    git(workspace.path, "commit", "-qm", "in the clone")
    assert workspace.capture().files == ("new",)
    assert before == (sorted((project / ".git").iterdir()), git(project, "count-objects"), git(project, "for-each-ref"))
    git(project, "gc", "-q", "--prune=now")
    assert workspace.capture().files == ("new",)


def config(folder):
    """Read a repository's own config."""
    rows = git(folder, "config", "--local", "--list").splitlines()
    return dict(row.split("=", 1) for row in rows)


def test_the_mirror_is_configured_for_captures(mirror, workspace, tmp_path):
    """A capture does not wait for fsync, and the packs that git maps fit into the memory that it may use."""
    folder = tmp_path / "team/work/mirror.git"

    settings = config(folder)
    mapped, window = (
        int(git(folder, "config", "--type=int", f"core.{key}")) for key in ("packedGitLimit", "packedGitWindowSize")
    )

    assert (settings["core.bare"], settings["core.fsync"]) == ("true", "none")
    memory = 1024 * int(re.search(r"ulimit -v (\d+)", _LIMITED)[1])
    assert window <= mapped <= memory / 4
    assert workspace._lay("again", Trust(), []).line("config", "core.fsync") == "none"


def test_a_workspace_has_the_mirrors_config_and_runs_no_maintenance(workspace):
    """An agent's own git commands in the clone neither collect garbage nor map more than the mirror may."""
    settings = config(workspace.path)

    assert (settings["core.bare"], settings["core.fsync"]) == ("false", "none")
    assert (settings["core.packedgitlimit"], settings["core.packedgitwindowsize"]) == ("512m", "64m")
    assert (settings["gc.auto"], settings["maintenance.auto"]) == ("0", "false")


@pytest.mark.parametrize("kind", ["shallow", "sha256", "worktree", "bare"])
def test_repositories_of_every_kind_can_be_mirrored(project, tmp_path, kind):
    """Shallow, with SHA-256 ids, a linked worktree, or bare."""
    source = tmp_path / "source"
    if kind == "sha256":
        repository(source, {"README": ("100644", b"one\n")}, "--object-format=sha256")
    elif kind == "worktree":
        git(project, "worktree", "add", "-q", str(source))
    else:
        git(project, "commit", "-q", "--allow-empty", "-m", "second")
        git(tmp_path, "clone", "-q", *({"shallow": ["--depth=1"]}.get(kind, ["--bare"])), f"file://{project}", "source")
    made = Mirror(source, tmp_path / "work").workspace("run-1", git(source, "rev-parse", "HEAD"))
    git(made.path, "log", "--stat")
    (made.path / "README").write_text("changed\n")
    git(made.path, "commit", "-qam", "changed")
    assert made.capture().files == ("README",)


def test_a_commit_that_does_not_exist_is_an_error(mirror):
    """Git's error is raised before anything is created."""
    with pytest.raises(GitError, match="git ls-tree"):
        mirror.workspace("run-1", "0" * 39 + "1")


def test_twenty_four_workspaces_at_once_do_not_interfere(tmp_path):
    """Made, changed, captured and removed in parallel, each has its own patch, and no file is left behind."""
    source = repository(tmp_path / "source", many(FEW))
    mirror, commit = Mirror(source, tmp_path / "work"), git(source, "rev-parse", "HEAD")

    def run(number):
        made = mirror.workspace(f"run-{number}", commit)
        (made.path / "mine").write_text(f"{number}\n")
        (made.path / f"part{number}/f{number}.py").write_text("changed\n")
        captured = made.capture()
        made.remove()
        return captured

    began = time.perf_counter()
    with ThreadPoolExecutor(24) as threads:
        captured = list(threads.map(run, range(24)))
    took = time.perf_counter() - began
    for number, each in enumerate(captured):
        assert each.files == ("mine", f"part{number}/f{number}.py")
        assert f"+{number}\n".encode() in each.patch
    assert [path.name for path in (tmp_path / "work").iterdir()] == ["mirror.git"]
    assert not list((tmp_path / "work/mirror.git/runs").iterdir())
    print(f"24 workspaces of {FEW} files made, captured and removed in {took:.2f} s")


def spent():
    """Return the CPU time of this process and its ended children, which a busy machine does not stretch."""
    return sum(usage.ru_utime + usage.ru_stime for usage in map(resource.getrusage, WHO))


@pytest.mark.parametrize(("changed", "most"), [(True, 3), (False, 2)])
def test_a_run_needs_three_git_processes(workspace, mirror, tmp_path, monkeypatch, changed, most):
    """One checks out the clone and two capture it, one if nothing has changed; the rest is a few small files."""
    until_old(tmp_path / "project/.git/config")
    users_settings(tmp_path / "project/.git")
    counted, real = tmp_path / "counted", shutil.which("git")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/git").write_text(f'#!/bin/sh\necho "$@" >> {counted}\nexec {real} "$@"\n')
    (tmp_path / "bin/git").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin", prepend=os.pathsep)
    made = mirror.workspace("run-2", workspace.base)
    if changed:
        (made.path / "new").touch()
    assert made.capture().files == ("new",) * changed
    made.remove()
    assert len(counted.read_text().splitlines()) == most


@pytest.mark.parametrize("times", [1, pytest.param(3, marks=pytest.mark.storm)])
def test_the_cost_of_a_run_is_printed_beside_that_of_plain_git(tmp_path, times):
    """Clone, launch and capture of a run are measured beside `git clone --shared` and `git diff`.

    That the ratio is at most 1.5 is for the benchmark on a quiet machine.
    """
    large = repository(tmp_path / "large", many(MANY))
    mirror, commit = Mirror(large, tmp_path / "work"), git(large, "rev-parse", "HEAD")
    mirror.update(commit)
    parts, hand = {"clone": [], "launch": [], "capture": []}, []
    for number in range(times):
        marks = [spent()]
        made = mirror.workspace(f"run-{number}", commit)
        marks.append(spent())
        job = Job(f"run-{number}", "bob", 1, 1, "", made.path, tmp_path / f"runs/{number}", tmp_path, 60.0)
        assert CommandAgent("a", ("rm", "part0/f0.py")).play(job).status == "ok"
        marks.append(spent())
        assert made.capture().files == ("part0/f0.py",)
        marks.append(spent())
        for took, begin, end in zip(parts.values(), marks, marks[1:], strict=False):
            took.append(end - begin)
        git(tmp_path, "clone", "-q", "--shared", str(large), f"hand-{number}")
        (tmp_path / f"hand-{number}/part0/f0.py").unlink()
        git(tmp_path / f"hand-{number}", "diff", "--binary", "--full-index")
        hand.append(spent() - marks[-1])
    ours = min(map(sum, zip(*parts.values(), strict=True)))
    each = ", ".join(f"{name} {min(took) * 1e3:.0f}" for name, took in parts.items())
    print(f"a run costs {ours * 1e3:.0f} ms ({each}), by hand {min(hand) * 1e3:.0f} ms: {ours / min(hand):.2f}")


def test_a_change_in_the_moment_of_the_checkout_is_captured(workspace, monkeypatch):
    """Its size and time may be those in the index; git looks into such a file only if the index is no younger."""
    times, run = [], Capture.run
    monkeypatch.setattr(
        Capture, "run", lambda self: times.append((self.folder / "index").stat().st_mtime_ns) or run(self)
    )
    workspace.capture()
    assert times == [(workspace._trusted / "index").stat().st_mtime_ns]


def test_all_mirrors_of_a_team_have_one_root(mirror):
    """Slots and caches are shared between a sprint and the dispatches beside it."""
    nested = mirror.nested("dispatch-1")

    assert nested.folder == mirror.folder / "dispatch-1"
    assert (nested.root, nested.nested("more").root) == (mirror.folder, mirror.folder)


def test_a_link_in_the_commit_leads_no_refusal_out_of_the_workspace(workspace, tmp_path):
    """Where gates and set-ups have no mail, the file that says so is written into the workspace or not at all."""
    (tmp_path / "elsewhere").mkdir()
    (workspace.path / ".team").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(WorkspaceStuck, match=r"\.team is a link in the commit"):
        RunFolder(workspace.path).refuse("no mail here")
    assert [*(tmp_path / "elsewhere").iterdir()] == []


def test_changes_before_the_agent_are_put_back(workspace):
    """A file that was changed, added or deleted before, and that the agent left so, is no part of the patch."""
    (workspace.path / "README").write_text("set up\n")
    (workspace.path / "picture").unlink()
    (workspace.path / "new").write_text("new\n")
    (workspace.path / "src" / "a.py").write_text("a = 2\n")
    made = workspace.changes()
    (workspace.path / "src" / "a.py").write_text("a = 3\n")
    (workspace.path / "new").unlink()

    assert sorted(change.path for change in made) == [b"README", b"new", b"picture", b"src/a.py"]
    assert workspace.capture((), (), made).files == ("src/a.py",)
    git(workspace.path, "switch", "-qc", "aside")
    git(workspace.path, "add", "-A")
    git(workspace.path, "commit", "-qm", "everything")
    captured = workspace.capture((), (), made)
    assert (captured.files, captured.kept) == (("src/a.py",), ())


@pytest.fixture(params=["plain", "btrfs"])
def place(request, tmp_path):
    """A folder on a file system of either kind."""
    if request.param == "plain":
        yield tmp_path
        return
    if os.geteuid() or not shutil.which("mkfs.btrfs"):
        pytest.skip("needs root and mkfs.btrfs, to make a file system that shares contents")
    image, folder = tmp_path / "image", tmp_path / "mounted"
    with image.open("wb") as file:
        file.truncate(256 << 20)
    folder.mkdir()
    made = subprocess.run(["mkfs.btrfs", "-q", image], capture_output=True, check=False)
    if made.returncode or subprocess.run(["mount", "-o", "loop", image, folder], check=False).returncode:
        pytest.skip("no file system can be mounted here")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_workspaces_of_a_large_commit_share_what_is_in_their_files_where_the_file_system_can(place, monkeypatch):
    """Each has its own files all the same, and what somebody does to those they were copied from is in none of them."""
    monkeypatch.setattr(sharing, "_LARGE", 1_000_000)
    files = {f"d{number % 4}/{number}": ("100644", os.urandom(100_000)) for number in range(40)}
    project = repository(place / "project", files | {"link": ("120000", b"d0/0"), "run": ("100755", b"#!/bin/sh\n")})
    mirror, commit = Mirror(project, place / "work"), git(project, "rev-parse", "HEAD")
    mirror.workspace("run-0", commit)
    os.sync()
    before = shutil.disk_usage(place).free

    made = [mirror.workspace(f"run-{number}", commit) for number in range(1, 6)]

    os.sync()
    if place.name == "mounted":
        assert before - shutil.disk_usage(place).free < 6_000_000, "five times four megabytes"
    (made[0].path / "d0/0").write_bytes(b"changed")
    assert made[0].capture().files == ("d0/0",)
    assert [tree(each.path) == tree(project) for each in made] == [False, True, True, True, True]
    assert made[1].capture().patch == b""
    for shared in (place / "work").glob("mirror.git/files/*/files/d1/1"):
        shared.write_bytes(b"tampered")
    last = mirror.workspace("run-6", commit)
    assert tree(last.path) == tree(project)
    assert git(last.path, "status", "--porcelain") == ""
    assert last.capture().patch == b""
