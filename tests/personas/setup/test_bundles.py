"""Bundles have what a receiver lacks, and one that is hostile or broken changes nothing that counts."""

from __future__ import annotations

import os
import subprocess

import psutil
import pytest
from team_mail.personas.errors import NotPrepared
from team_mail.personas.setup import bundles
from team_mail.personas.setup.bundles import make_bundle, take_bundle

from ...conftest import git
from .sources import host, repository


@pytest.fixture(params=["sha1", "sha256"])
def source(request, tmp_path):
    """A repository with two commits of some files."""
    return repository(tmp_path / "source", f"--object-format={request.param}", files=20)


@pytest.fixture
def plain(tmp_path):
    """The same with SHA-1 ids."""
    return repository(tmp_path / "source", files=20)


def commits(source):
    """Return both commits, the first one first."""
    return git(source, "rev-list", "--reverse", "main").split()


def bundle(source, base, known, file):
    assert make_bundle(source / ".git", base, known, file)
    return file


def test_a_bundle_is_one_to_git_and_has_what_is_new(source, tmp_path):
    """The first has all, the second what changed; who has it all gets none."""
    (first, second), own, file = commits(source), host(tmp_path), tmp_path / "bundle"
    take_bundle(own, bundle(source, first, [], file), first)
    whole = file.stat().st_size
    take_bundle(own, bundle(source, second, [first], file), second)
    git(source, "bundle", "verify", "--quiet", str(file))
    print(f"a bundle of all has {whole:,} bytes, of one commit {file.stat().st_size:,}")
    assert file.stat().st_size < whole / 2
    assert own.has(second)
    own.git("fsck", "--strict")
    assert not make_bundle(source / ".git", first, [second], tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_who_lacks_what_a_bundle_builds_on_takes_nothing(plain, tmp_path):
    """What it lacks is named, or fetched by whoever can."""
    (first, second), own = commits(plain), host(tmp_path)
    file = bundle(plain, second, [first], tmp_path / "bundle")
    with pytest.raises(NotPrepared, match=rf"for hosts that have {first[:12]}.*\[workspace\] remote"):
        take_bundle(own, file, second)
    assert not own.has(second)
    take_bundle(own, file, second, lambda commit: own.fetch(str(plain), commit))
    assert own.has(second)


def test_what_no_bundle_can_be_made_of_is_told(plain, tmp_path, monkeypatch):
    """A repository that is too large, shallow, or a partial clone: each with a remote as the way out."""
    _, second = commits(plain)
    git(plain, "config", "uploadpack.allowFilter", "true")
    for name, option in (("shallow", "--depth=1"), ("partial", "--filter=blob:none")):
        git(tmp_path, "clone", "--quiet", "--no-checkout", option, f"file://{plain}", name)
        git(tmp_path / name, "remote", "set-url", "origin", str(tmp_path / "gone"))
        with pytest.raises(NotPrepared, match=rf"{name}.*\[workspace\] remote"):
            make_bundle(tmp_path / name / ".git", second, [], tmp_path / "bundle")
    monkeypatch.setattr(bundles, "LARGEST", 1_000)
    with pytest.raises(NotPrepared, match=r"bytes would be needed, and the most are 1,000.*\[workspace\] remote"):
        make_bundle(plain / ".git", second, [], tmp_path / "bundle")


HOSTILE = {
    "another ref": (b"refs/team-mail/base\n\n", b"refs/heads/main\n\n"),
    "a second ref": (b"refs/team-mail/base\n\n", b"refs/team-mail/base\nBASE refs/heads/main\n\n"),
    "a ref that is an option": (b"refs/team-mail/base\n\n", b"--upload-pack=touch /tmp/hit\n\n"),
    "a way out": (b"refs/team-mail/base\n\n", b"refs/../../config\n\n"),
    "a prerequisite that is an option": (b"git bundle\n", b"git bundle\n--output=/tmp/hit\n"),
    "a capability": (b"# v2 git bundle\n", b"# v3 git bundle\n@filter=blob:none\n"),
    "no header": (b"# v2 git bundle\n", b""),
    "a part of the pack": (b"PACK", b"PACK\x00"),
    "a byte that is changed": (b"\x78\x9c", b"\x78\x9d"),
}


@pytest.mark.parametrize("how", [*HOSTILE, "cut off", "of another commit", "endless"])
def test_a_hostile_bundle_is_refused(plain, tmp_path, how):
    """No ref is written, no other file, and the commit is not there; the true one is taken afterwards."""
    (first, second), own = commits(plain), host(tmp_path)
    file = bundle(plain, second, [], tmp_path / "bundle")
    good = bad = file.read_bytes()
    if how in HOSTILE:
        old, new = HOSTILE[how]
        bad = good.replace(old, new.replace(b"BASE", first.encode()), 1)
    elif how == "cut off":
        bad = good[:-30]
    elif how == "of another commit":
        bad = bundle(plain, first, [], file).read_bytes()
    else:
        bad = b"# v2 git bundle\n" + b"-" * 200_000
    assert bad != good
    file.write_bytes(bad)
    with pytest.raises(NotPrepared, match=f"bundle of commit {second[:12]} is refused"):
        take_bundle(own, file, second)
    assert not own.has(second)
    assert not (own.directory / "HEAD").exists() or not own.git("for-each-ref")
    file.write_bytes(good)
    take_bundle(own, file, second)
    assert own.has(second)


def made_by_hand(plain, entries):
    """Write a commit whose tree has these entries, whatever git thinks of it; return its id."""

    def write(kind, body):
        words = ["git", "hash-object", "-w", "--literally", "--stdin", "-t", kind]
        return subprocess.run(words, cwd=plain, input=body, capture_output=True, check=True).stdout.decode().strip()

    tree = write("tree", b"".join(mode + b" " + name + b"\0" + bytes.fromhex(oid) for mode, name, oid in entries))
    who = b"Eve <eve@example.org> 1 +0000"
    return write("commit", b"tree %s\nauthor %s\ncommitter %s\n\nx\n" % (tree.encode(), who, who))


@pytest.mark.parametrize("flaw", ["a file named .git", "an object that is missing"])
def test_what_git_would_not_accept_of_others_is_refused(plain, tmp_path, flaw):
    """Its objects are checked one by one, and that none is missing."""
    oid = git(plain, "rev-parse", "main:poem.txt")
    commit = made_by_hand(plain, [(b"100644", b".git" if flaw == "a file named .git" else b"a", oid)])
    objects = [commit, git(plain, "rev-parse", f"{commit}^{{tree}}"), *([oid] if flaw == "a file named .git" else ())]
    pack = subprocess.run(
        ["git", "pack-objects", "--stdout", "-q"], cwd=plain, input="\n".join(objects).encode(), capture_output=True,
        check=True,
    ).stdout  # fmt: skip
    own, file = host(tmp_path), tmp_path / "bundle"
    file.write_bytes(f"# v2 git bundle\n{commit} refs/team-mail/base\n\n".encode() + pack)
    with pytest.raises(NotPrepared, match="is refused"):
        take_bundle(own, file, commit)
    assert not own.has(commit)
    assert not own.git("for-each-ref")


def test_whoever_is_killed_while_a_bundle_is_taken_leaves_no_harm(tmp_path):
    """At any moment, with the gits that it started: the next one takes it, and the repository is whole."""
    plain = repository(tmp_path / "source", files=400)
    _, second = commits(plain)
    own, file = host(tmp_path), bundle(plain, second, [], tmp_path / "bundle")
    killed = 0
    for step in range(6):
        pid = os.fork()
        if not pid:
            try:
                take_bundle(own, file, second)
            finally:
                os._exit(0)
        child = psutil.Process(pid)
        for _ in range(step * 400):
            os.sched_yield()
        while step and child.status() != psutil.STATUS_ZOMBIE and not child.children():
            os.sched_yield()
        family = child.children(recursive=True)
        killed += child.status() != psutil.STATUS_ZOMBIE
        for process in [child, *family]:
            process.kill()
        os.waitpid(pid, 0)
    assert killed
    take_bundle(own, file, second)
    assert own.has(second)
    own.git("fsck", "--strict")
    assert not [*own.directory.glob("**/*.lock"), *own.directory.glob("objects/pack/tmp*")]
