"""A look at a run that goes on sees what a capture would see, whatever the agent does in the meantime."""

import hashlib
import os
import shutil
import subprocess
import zlib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some
from team_mail.personas.capture.changes import Change
from team_mail.personas.errors import WorkspaceLost
from team_mail.personas.workspace import Mirror

from ...samples import examples

FILES = {"README": "one\n", "src/a.py": "a = 1\n", "src/deep/b.py": "b = 1\n", ".gitignore": "*.log\nbuild/\n"}
NAMES = (
    b"new\nline",
    b"\x1b[2Jwiped",
    b'quo"te',
    b"back\\slash",
    b"caf\xe9",
    b" space ",
    "\u202etxt".encode(),
    b":(x)",
)


def git(folder, *words):
    who = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    return subprocess.run(["git", *who, *words], cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    folder = tmp_path_factory.mktemp("source")
    for name, text in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    git(folder, "init", "-q", "-b", "main")
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "begin")
    return folder


@pytest.fixture(scope="module")
def mirror(source, tmp_path_factory):
    return Mirror(source, tmp_path_factory.mktemp("work"))


@pytest.fixture
def workspace(source, mirror):
    made = mirror.workspace("r1", git(source, "rev-parse", "HEAD"))
    yield made
    made.remove()


def glance(workspace, tmp_path, **more):
    (tmp_path / "objects").mkdir(exist_ok=True)

    def write(kind, body):
        whole = b"%s %d\0%s" % (kind.encode(), len(body), body)
        oid = hashlib.sha1(whole).hexdigest()
        (tmp_path / "objects" / oid[:2]).mkdir(exist_ok=True)
        (tmp_path / "objects" / oid[:2] / oid[2:]).write_bytes(zlib.compress(whole))
        return oid

    return workspace.glance(tmp_path / "eye", tmp_path / "objects", write, **more)


def seen(workspace, tmp_path):
    """What a look sees, in the words of a capture."""
    files = glance(workspace, tmp_path).look().files
    return {(path, *(version or (b"000000", b"0" * 40))) for path, version in files.items()}


def changed(workspace):
    return {(change.path, change.mode, change.oid) for change in workspace.changes()}


def put(place: Path, name, content):
    target = place / (os.fsdecode(name) if isinstance(name, bytes) else name)
    if content is None:
        target.unlink(missing_ok=True)
    elif target.parent.is_dir() and not target.is_dir():
        target.write_bytes(content)


EDITS = some.lists(
    some.tuples(
        some.sampled_from([*FILES, "new", "src/new.py", "a.log", ".team/run/x", *NAMES]),
        some.sampled_from([None, b"", b"one\n", b"two\n", b"\0binary", b"a = 1\n"]),
    ),
    max_size=8,
)


def test_files_that_git_converts_are_stored_as_git_stores_them(source, tmp_path):
    """Line endings, by the attributes of the base."""
    top = tmp_path / "other"
    shutil.copytree(source, top)
    (top / ".gitattributes").write_text("*.txt text=auto\n")
    git(top, "add", "-A")
    git(top, "commit", "-qm", "endings")
    workspace = Mirror(top, tmp_path / "work").workspace("r3", git(top, "rev-parse", "HEAD"))
    for name in ("a.txt", "new\nline.txt", 'quo"te.txt', "plain.py"):
        (workspace.path / name).write_bytes(b"one\r\ntwo\r\n")

    assert seen(workspace, tmp_path) == changed(workspace)


@settings(max_examples=examples(5), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(edits=EDITS)
def test_a_look_sees_what_a_capture_would_see(source, mirror, tmp_path, edits):
    """Whatever files are written and removed, hostile names included: git's own list is the oracle."""
    workspace = mirror.workspace("r2", git(source, "rev-parse", "HEAD"))
    for name, content in edits:
        put(workspace.path, name, content)

    assert seen(workspace, tmp_path) == changed(workspace)


def test_a_later_look_sees_what_changed_since(workspace, tmp_path):
    """It keeps what it has stored, and notices another content and the way back."""
    eye = glance(workspace, tmp_path)
    (workspace.path / "README").write_text("two\n")
    first = eye.look().files
    (workspace.path / "README").write_text("three\n")
    (workspace.path / "src/a.py").unlink()
    second = eye.look().files
    git(workspace.path, "checkout", "-q", "README")
    git(workspace.path, "update-index", "--assume-unchanged", "README")  # what an agent does to its own git

    assert first[b"README"] != second[b"README"]
    assert second[b"src/a.py"] is None
    before = (b"100644", git(workspace.path, "rev-parse", "HEAD:README").encode())
    assert {*eye.look().files.items()} <= {(b"README", before), (b"src/a.py", None)}


def test_links_and_pipes_lead_nowhere(workspace, tmp_path):
    """A file outside of the workspace is never read, and nobody waits for a pipe."""
    secret = tmp_path / "secret"
    secret.write_text("a = 'secret'\n")
    (workspace.path / "src/a.py").unlink()
    (workspace.path / "src/a.py").symlink_to(secret)
    (workspace.path / "README").unlink()
    os.mkfifo(workspace.path / "README")
    (workspace.path / "src/deep").rename(tmp_path / "deep")
    (tmp_path / "deep/b.py").write_text("secret = 2\n")
    (workspace.path / "src/deep").symlink_to(tmp_path / "deep")

    files = glance(workspace, tmp_path).look().files

    assert files[b"src/a.py"] is not None
    assert files[b"src/a.py"][0] == b"120000"
    assert files[b"src/deep/b.py"] is None
    words = ["git", "cat-file", "--batch-all-objects", "--batch"]
    places = {"GIT_DIR": str(workspace.path / ".git"), "GIT_OBJECT_DIRECTORY": str(tmp_path / "objects")}
    stored = subprocess.run(words, check=True, capture_output=True, env=os.environ | places).stdout
    assert b"secret'" not in stored
    assert b"secret = 2" not in stored


def test_what_would_take_long_is_passed_over(workspace, tmp_path, monkeypatch):
    """More new files than are listed, or a huge one, hide no change to a file that the base has."""
    monkeypatch.setattr("team_mail.personas.capture.glance._LISTED", 1 << 14)
    crowd = workspace.path / "crowd"
    crowd.mkdir()
    for number in range(1_000):
        os.close(os.open(crowd / f"a-rather-long-name-{number:06}", os.O_CREAT | os.O_WRONLY))
    with (workspace.path / "huge").open("wb") as file:
        file.truncate(1 << 40)
    (workspace.path / "README").write_text("two\n")

    look = glance(workspace, tmp_path).look()

    assert not look.whole
    assert [*look.files] == [b"README"]


def test_what_is_no_part_of_a_patch_is_not_seen(workspace, tmp_path):
    """Litter, what was copied, and what the set-up had made."""
    for name in ("settings.local", ".aider.chat.history.md", "made"):
        (workspace.path / name).write_text("x\n")
    made = frozenset(change for change in workspace.changes() if change.path == b"made")

    assert made == {Change(b"made", b"100644", next(iter(made)).oid, False)}
    assert glance(workspace, tmp_path, left_out=("settings.local",), made=made).look().files == {}


def test_a_workspace_that_is_replaced_is_not_looked_at(workspace, tmp_path):
    """A link in its place would lead anywhere."""
    eye = glance(workspace, tmp_path)
    workspace.path.rename(tmp_path / "away")
    workspace.path.symlink_to(tmp_path)

    with pytest.raises(WorkspaceLost):
        eye.look()
    workspace.path.unlink()
