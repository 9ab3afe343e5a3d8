"""Bundles: one commit, with all that it needs or all but what the receiver has, as a file that git can read.

We write the header ourselves, because `git bundle` takes no commit without a ref, and read it ourselves, because it
names refs and we want none of them: a bundle is refused if it names anything but the commit that was asked for. Source
of the format: git's gitformat-bundle.txt.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

from ...mail.log.disk import open_file
from ...mail.text.escape import line
from ..errors import GitError, NotPrepared
from ..git import Git
from .promised import is_partial
from .remotes import HostRepository

LARGEST = 256 << 20  # bytes: it is kept in the team's blobs, and each host that takes it has it in memory once
_REF = "refs/team-mail/base"
_SHA1 = 40  # digits
_HEADER = 64 << 10  # bytes
_SAID = 100  # characters
_OID = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_BEHIND = ("sh", "-c", 'exec >>"$1"; shift; exec "$@"', "sh")
_ADVICE = (
    "a remote that all hosts can fetch from makes bundles needless: "
    '[workspace] remote = "ssh://git@example.org/app.git" in team.toml'
)


class Header(NamedTuple):
    """What a bundle says of itself: its commit, those that the receiver must have, and where its pack begins."""

    commit: str
    needed: tuple[str, ...]
    size: int


def make_bundle(repository: Path, base: str, known: Sequence[str], file: Path) -> bool:
    """Write a bundle of the commit `base` for those who have the commits `known`, all of which are here.

    Return False, and write nothing, if they have it already. Raises NotPrepared if there can be no bundle of it, and
    GitError.
    """
    git = Git(repository)
    apart = [f"^{commit}" for commit in known]
    asked = "\n".join([base, *apart, ""]).encode()
    rows = git("rev-list", "--boundary", "--stdin", stdin=asked).decode().split()
    needed = [row[1:] for row in rows if row.startswith("-")]
    if len(needed) == len(rows):
        return False
    if not needed and (repository / "shallow").exists():
        raise NotPrepared(f"the repository is shallow, and cannot be sent whole: git fetch --unshallow; or {_ADVICE}")
    version, extra = ("v2", "") if len(base) == _SHA1 else ("v3", "@object-format=sha256\n")
    header = f"# {version} git bundle\n{extra}" + "".join(f"-{commit}\n" for commit in needed) + f"{base} {_REF}\n\n"
    try:
        _check_size(git, asked)
        file.write_bytes(header.encode())
        words = ("pack-objects", "--revs", "--thin", "--stdout", "--delta-base-offset", "-q")
        Git.output(words, git.run(*words, stdin=asked, wrapper=(*_BEHIND, str(file))))
    except GitError as error:
        if is_partial(repository):
            raise NotPrepared(f"the repository is a partial clone, and lacks a part ({error}); {_ADVICE}") from None
        raise
    return True


def take_bundle(
    repository: HostRepository, file: Path, base: str, fetch: Callable[[str], object] | None = None
) -> None:
    """Take the commit `base` from a bundle into the repository of a host, and keep it there.

    `fetch` fetches a commit that the bundle needs and that is not here. Raises NotPrepared for a bundle that is not of
    this commit, or that git refuses, and OSError.
    """
    with open_file(file) as bundle:
        header = _read_header(bundle, base)
        if fetch:
            for commit in (each for each in header.needed if not repository.has(each)):
                fetch(commit)
        with repository.locked() as holding:
            repository.prepare(len(base), holding)
            if lacking := [each for each in header.needed if repository.lacks(each)]:
                raise NotPrepared(
                    f"the bundle of commit {base[:12]} is for hosts that have {lacking[0][:12]}, and this one does "
                    f"not; {_ADVICE}"
                )
            os.lseek(bundle.fileno(), header.size, os.SEEK_SET)
            repository.take(bundle.fileno(), base, holding, LARGEST)


def _read_header(bundle: BinaryIO, base: str) -> Header:
    """Read the header of a bundle. Raises NotPrepared if it is not one of the commit `base` and nothing else."""
    version, extra = ("v2", []) if len(base) == _SHA1 else ("v3", ["@object-format=sha256"])
    head, blank, _ = bundle.read(_HEADER).partition(b"\n\n")
    rows = head.decode("ascii", errors="replace").split("\n")
    needed = [row[1:].partition(" ")[0] for row in rows if row.startswith("-")]
    expected = [f"# {version} git bundle", *extra, *(row for row in rows if row.startswith("-")), f"{base} {_REF}"]
    if not blank or rows != expected or not all(_OID.fullmatch(commit) for commit in needed):
        named = next((row for row in rows if row not in expected), rows[0])
        raise NotPrepared(f"the bundle of commit {base[:12]} is refused: it has {line(named)[:_SAID]!r} in its header")
    return Header(base, tuple(needed), len(head) + 2)


def _check_size(git: Git, asked: bytes) -> None:
    size = int(git("rev-list", "--objects", "--disk-usage", "--stdin", stdin=asked))
    if size > LARGEST:
        raise NotPrepared(f"a bundle of {size:,} bytes would be needed, and the most are {LARGEST:,}; {_ADVICE}")
