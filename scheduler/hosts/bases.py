"""The commits that runs start from, brought to hosts: by a remote that has them, else by bundles as blobs.

A bundle holds what the one before it lacks, and its description names that one: a host that is new goes back to the
first and takes all, one that has followed takes a few hundred bytes. After so many it starts from the first one again.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

from ...mail.log.blobs import BlobMissing
from ...mail.log.disk import read_file, replacing
from ...personas.errors import NotPrepared
from ...personas.setup.bundles import LARGEST, make_bundle, take_bundle
from ...personas.setup.remotes import HostRepository, ask_remote
from ..context import Context
from ..kinds import Kind

REPOSITORY = Path("work", "repository.git")  # in `.team`, on a host that has no clone
_FOLDER = Path("work", "bases")
_OFFERED = "offered.json"
_VERSION = 1
_PART = 16 << 20  # bytes of one blob
_LONGEST = 32  # bundles that a new host takes one after the other
_KEPT = 64  # offers that are remembered


@dataclass(frozen=True)
class Bundle:
    """What a blob says of a bundle: the commit in it, its bytes in `parts`, which are blobs, and what it builds on.

    `before` is the bundle that a host needs before this one, and `first` the one that all of its line began with; both
    are blobs, or "". `number` counts those before it. With `remote`, the rest is at the team's remote.
    """

    base: str
    parts: tuple[str, ...] = ()
    before: str = ""
    first: str = ""
    number: int = 0
    remote: bool = False


def host_repository(context: Context) -> HostRepository:
    """Return the repository of this host: the clone beside the team, else the one that is made for its runs."""
    own = context.home / REPOSITORY
    directory = context.git.directory
    return HostRepository(directory, context.home / _FOLDER / "lock", directory.absolute() == own.absolute())


def offer_base(context: Context, base: str) -> str:
    """Make a commit available to other hosts; return the blob by which `fetch_base` finds it there.

    That is "" where the remote of the team has the commit. The same commit is bundled once. Raises NotPrepared if other
    hosts cannot have it, GitError, LogError, OSError.
    """
    repository = host_repository(context)
    with repository.locked():
        offered = _read_offered(context)
        if base in offered:
            return offered[base]
        remote = context.settings.workspace.remote
        served = _at_remote(repository, remote) if remote else []
        if served and _is_among(repository, base, served):
            return ""
        blob = _bundled(context, repository, base, served, offered)
        offered[base] = blob
        _write_offered(context, offered)
        return blob


def fetch_base(context: Context, base: str, bundle: str) -> None:
    """Bring a commit to this host, so that workspaces can be made of it; nothing is done if it is here.

    `bundle` is what `offer_base` returned. Raises NotPrepared if it cannot be had, which is no fault of the run, with
    what to do; LogError, OSError.
    """
    repository, remote = host_repository(context), context.settings.workspace.remote
    if repository.has(base):
        return
    if bundle:
        _take(context, repository, base, bundle)
    elif remote:
        repository.fetch(remote, base)
    else:
        raise NotPrepared(
            f"this host lacks commit {base[:12]}, which the host that leads expects at a remote; write the same "
            "[workspace] remote into team.toml here, or fetch the commit"
        )


def offered_bases(context: Context) -> dict[str, str]:
    """Return the last commits of which there are bundles, each with its blob, the oldest first. Raises LogError."""
    return _read_offered(context)


def _at_remote(repository: HostRepository, remote: str) -> list[str]:
    """Return the commits that the branches of a remote are at, and what a team keeps there, as far as they are here.

    A remote that does not answer has none.
    """
    words = ("ls-remote", "--refs", "--end-of-options", remote, "refs/heads/*", "refs/team/*")
    code, listed, _ = ask_remote(repository.directory, *words)
    oids = sorted({row.partition("\t")[0] for row in listed.splitlines()}) if not code else []
    asked = "\n".join([*oids, ""]).encode()
    objects = repository.git.run("cat-file", "--batch-check=%(objectname) %(objecttype)", stdin=asked).stdout.decode()
    return [row.partition(" ")[0] for row in objects.splitlines() if row.endswith(" commit")]


def _is_among(repository: HostRepository, base: str, others: Sequence[str]) -> bool:
    """Tell whether a commit is in the history of others."""
    asked = "\n".join([base, *(f"^{commit}" for commit in others), ""]).encode()
    return not repository.git("rev-list", "--max-count=1", "--stdin", stdin=asked)


def _bundled(
    context: Context, repository: HostRepository, base: str, served: Sequence[str], offered: dict[str, str]
) -> str:
    """Bundle a commit for those who have what was offered before and what the remote serves; return its blob."""
    blobs, known = context.mailbox.blobs, [*served]
    before = _before(context, repository, base, offered)
    if before:
        known.append(before[1].base)
    with tempfile.TemporaryDirectory(dir=context.home / _FOLDER) as folder:
        file, parts = Path(folder) / "bundle", list[str]()
        if make_bundle(repository.directory, base, known, file):
            with file.open("rb") as whole:
                while part := whole.read(_PART):
                    parts.append(blobs.put(part).sha256)
    bundle = Bundle(base, tuple(parts), remote=bool(served))
    if before:
        blob, earlier = before
        bundle = Bundle(base, tuple(parts), blob, earlier.first or blob, earlier.number + 1, bool(served))
    return blobs.put(json.dumps({"v": _VERSION, **vars(bundle)}, separators=(",", ":")).encode()).sha256


def _before(
    context: Context, repository: HostRepository, base: str, offered: dict[str, str]
) -> tuple[str, Bundle] | None:
    """Return the bundle that one of a commit is to build on, with its blob: the last in its history, else any."""
    here = [(blob, commit) for commit, blob in reversed(offered.items()) if not repository.lacks(commit)]
    own = [each for each in here if _is_among(repository, each[1], [base])]
    for blob, _ in (*own, *here):
        with suppress(NotPrepared):
            bundle = _read_bundle(context, blob)
            if bundle.number + 1 < _LONGEST:
                return blob, bundle
            if not repository.lacks((first := _read_bundle(context, bundle.first)).base):
                return bundle.first, first
    return None


def _take(context: Context, repository: HostRepository, base: str, blob: str) -> None:
    """Take a bundle, after those that it builds on and this host lacks."""
    bundle = _read_bundle(context, blob)
    if bundle.base != base:
        raise NotPrepared(f"the bundle that was offered is of commit {bundle.base[:12]}, and not of {base[:12]}")
    line = [bundle]
    while line[-1].before and len(line) <= _LONGEST:
        before = _read_bundle(context, line[-1].before)
        if repository.has(before.base):
            break
        line.append(before)
    remote = context.settings.workspace.remote
    for each in reversed(line):
        fetch = partial(repository.fetch, remote) if remote and each.remote else None
        if each.parts:
            with tempfile.TemporaryDirectory(dir=_made(context.home / _FOLDER)) as folder:
                file = Path(folder) / "bundle"
                _write_parts(context, each, file)
                take_bundle(repository, file, each.base, fetch)
        elif fetch and not repository.has(each.base):
            fetch(each.base)
    if not repository.has(base):
        raise NotPrepared(f"commit {base[:12]} is not here, although all bundles were taken that lead to it")


def _write_parts(context: Context, bundle: Bundle, file: Path) -> None:
    size = 0
    with file.open("wb") as whole:
        for part in bundle.parts:
            data = _read_blob(context, part)
            size += len(data)
            if size > LARGEST + _PART:
                raise NotPrepared(f"the bundle of commit {bundle.base[:12]} has more than {LARGEST:,} bytes")
            whole.write(data)


def _read_bundle(context: Context, blob: str) -> Bundle:
    """Read what a blob says of a bundle. Raises NotPrepared."""
    with suppress(ValueError, KeyError, TypeError, AttributeError):
        values = cast("dict[str, Any]", json.loads(_read_blob(context, blob)))
        if values["v"] == _VERSION:
            return Bundle(
                str(values["base"]), tuple(map(str, values["parts"])), str(values["before"]), str(values["first"]),
                int(values["number"]), bool(values["remote"]),
            )  # fmt: skip
    raise NotPrepared(f"blob {blob[:12]} describes no bundle that this version knows; update team-mail on this host")


def _read_blob(context: Context, blob: str) -> bytes:
    try:
        return context.mailbox.blobs.read(blob)
    except BlobMissing as error:
        raise NotPrepared(f"a bundle is not there: {error}") from None


def _read_offered(context: Context) -> dict[str, str]:
    """Read which commits were bundled, the last of them, each with its blob: from a file, else from the log."""
    file = _made(context.home / _FOLDER) / _OFFERED
    with suppress(FileNotFoundError, ValueError, AttributeError):
        return {str(base): str(blob) for base, blob in json.loads(read_file(file)).items()}
    events = (event for event in context.mailbox.log.read() if event.kind == Kind.RUN_OFFERED)
    rows = [(event.data.get("base"), event.data.get("bundle")) for event in events]
    offered = {base: blob for base, blob in rows if isinstance(base, str) and isinstance(blob, str) and blob}
    return dict([*offered.items()][-_KEPT:])


def _write_offered(context: Context, offered: dict[str, str]) -> None:
    with replacing(context.home / _FOLDER / _OFFERED, durable=False) as scratch:
        scratch.write_text(json.dumps(dict([*offered.items()][-_KEPT:])))


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder
