"""What a partial clone lacks of a commit, because its remote promised it, fetched at once.

Without that, git would ask the remote file by file, and where it may not, as in a workspace, it would say that a file
cannot be read. Source: git's partial-clone.txt; the fetch is the one that git itself makes for missing objects.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

from ..errors import PromiseBroken
from ..git import Git, run_as_user
from .sparse import wanted

_FETCH = (
    "-c", "fetch.negotiationAlgorithm=noop", "-c", "gc.auto=0", "-c", "maintenance.auto=false", "fetch", "--no-tags",
    "--no-write-fetch-head", "--recurse-submodules=no", "--filter=blob:none", "--stdin", "--end-of-options",
)  # fmt: skip
_PROMISOR = r"^(remote\..*\.promisor|extensions\.partialclone)$"
_LONGEST = 3_600.0  # seconds for one fetch


def is_partial(source: Path) -> bool:
    """Tell whether a git directory has objects from a remote that promised the rest."""
    return any((source / "objects" / "pack").glob("*.promisor"))


def fetch_promised(source: Path, commit: str, folders: Sequence[str] = ()) -> int:
    """Fetch what a partial clone lacks of a commit and a workspace of `folders` needs; return how many objects.

    `source` is the user's git directory, and git runs with the user's settings, as for a fetch by hand. Trees that
    are missing name more, so there may be several fetches. Raises PromiseBroken if some cannot be had.
    """
    fetched = _fetch(source, commit, "blob:none", _everything) if folders else 0
    needed = wanted(Git(source), commit, folders) if folders else _everything
    return fetched + _fetch(source, commit, "", needed)


def fetch_differing(source: Path, commit: str, other: str) -> int:
    """Fetch what a partial clone lacks of the files in which two commits differ, as a diff or a merge needs them.

    Return how many objects that were; `source` and errors are as for `fetch_promised`.
    """
    if not is_partial(source):
        return 0
    trees = sum(_fetch(source, each, "blob:none", _everything) for each in (commit, other))
    sides = ((commit, other), (other, commit))
    return trees + sum(_fetch(source, one, "", _everything, without=apart) for one, apart in sides)


def _everything(_: str) -> bool:
    return True


def _fetch(source: Path, commit: str, filter: str, needed: Callable[[str], bool], without: str = "") -> int:
    fetched = 0
    while missing := [oid for oid in _missing(source, commit, filter, without) if needed(oid)]:
        said = [_fetched(source, remote, missing) for remote in _remotes(source)]
        left = {*_missing(source, commit, filter, without)}
        if left.issuperset(missing):
            raise PromiseBroken(_broken(len(missing), commit, said))
        fetched += len({*missing} - left)
    return fetched


def _missing(source: Path, commit: str, filter: str, without: str = "") -> list[str]:
    """Return the objects that a commit names and that are not here, of those that a filter lets pass.

    What the commit `without` has as well is left out.
    """
    limit = [f"--filter={filter}"] if filter else []
    names = [f"{commit}^{{tree}}", f"^{without}^{{tree}}"] if without else [commit]
    ended = _git(source, "rev-list", "--objects", "--no-walk", "--missing=print", *limit, *names)
    return [line[1:] for line in os.fsdecode(ended.stdout).splitlines() if line.startswith("?")]


def _remotes(source: Path) -> list[str]:
    """Return the remotes that promised objects."""
    names: list[str] = []
    for entry in os.fsdecode(_git(source, "config", "--null", "--get-regexp", _PROMISOR).stdout).split("\0"):
        key, _, value = entry.partition("\n")
        if key.startswith("extensions."):
            names.append(value)
        elif key and value.lower() in {"", "true", "yes", "on", "1"}:
            names.append(key.removeprefix("remote.").removesuffix(".promisor"))
    return [*dict.fromkeys(names)]


def _fetched(source: Path, remote: str, oids: Sequence[str]) -> str:
    """Fetch objects; return what git says of it if it fails, with the remote's name."""
    ended = _git(source, *_FETCH, remote, stdin="".join(f"{oid}\n" for oid in oids).encode())
    lines = [line for line in ended.stderr.decode(errors="replace").splitlines() if line.strip()]
    return f"{remote}: {lines[0].removeprefix('fatal: ')}" if ended.returncode and lines else ""


def _broken(count: int, commit: str, said: Sequence[str]) -> str:
    reason = "; ".join(filter(None, said)) or "no remote promises them"
    return (
        f"this is a partial clone, in which {count:,} objects of commit {commit[:12]} are missing, and git could not "
        f"fetch them ({reason}); see that git fetch works here, then start again; if some folders are enough for "
        "runs, name them in sparse of [workspace]"
    )


def _git(source: Path, *words: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return run_as_user(source, *words, stdin=stdin, timeout=_LONGEST)
