"""Backup of the mail while other processes write, and restore.

A backup has one moment of the log: its sealed files, their checksums, the active file up to its length at that moment,
and the blobs. Copies and indexes, which are made again from those, are left out. It takes no lock: sealed files and
blobs never change, and the active file only grows. Every target appears under its name only when it is complete.
"""

from __future__ import annotations

import gzip
import io
import os
import re
import shutil
import tarfile
import zlib
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, NamedTuple

from ..errors import LogDamaged, LogUnavailable, UsageError
from ..log.blobs import BlobMissing, FileBlobs
from ..log.disk import Disk, open_file
from ..log.event import START, ChainPosition, place
from ..log.log import EventLog
from ..log.segments import file_sha256

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from pathlib import Path

    from ..log.snapshot import Snapshot

_CHUNK = 1 << 20
_COMPRESSION = 6
_STALE = 3600  # seconds after which a temporary file belongs to no process any more
_ACTIVE = "events.jsonl"
_SUMS = "segments/SHA256SUMS"
_SEGMENT = r"\d{12}-\d{12}\.jsonl"
_BLOB = r"blobs/([0-9a-f]{2})/\1[0-9a-f]{62}"
_NAME = re.compile(rf"{re.escape(_ACTIVE)}|{_SUMS}|segments/{_SEGMENT}|{_BLOB}", re.ASCII)
_SUM = re.compile(rf"[0-9a-f]{{64}}  ({_SEGMENT})", re.ASCII)
_DISK = Disk()


@dataclass(frozen=True, slots=True)
class Backup:
    """The content of a backup: the log up to seq `head`, in `files` files of `bytes` bytes before compression.

    `left_out` lists the blobs that have changed on disk and so are not in it.
    """

    path: Path
    head: int
    files: int
    bytes: int
    left_out: tuple[str, ...] = ()


class _Part(NamedTuple):
    """One file of a backup: its name in the backup, and the open file with its `size` bytes."""

    name: str
    file: IO[bytes]
    size: int


@contextmanager
def whole(target: Path, *, replaceable: Callable[[Path], bool] | None = None) -> Generator[Path]:
    """Yield a temporary path beside `target`; the file or folder written there replaces `target` on success.

    After an error nothing is left of it. `replaceable` decides whether an existing target may be replaced. Raises
    UsageError if it may not, and LogUnavailable if the disk refuses.
    """
    if os.path.lexists(target) and not (replaceable and replaceable(target)):
        raise UsageError(f"{target} exists and is not overwritten; choose another name")
    target = target.absolute()
    mark = os.urandom(6).hex()
    temporary, old = (target.with_name(f".{target.name}.{mark}.{word}") for word in ("new", "old"))
    try:
        yield temporary
        _remove_leftovers(temporary, target)
        _put_in_place(temporary, target, old)
    except OSError as error:
        ours = error.filename is None or str(error.filename).startswith((str(temporary), str(old)))
        ours = ours or str(error.filename) in {str(target), str(target.parent)}
        what = f"write {target}" if ours else f"read {error.filename}"
        raise LogUnavailable(f"cannot {what}: {error.strerror or error}; nothing was written to {target}") from error
    finally:
        for path in (temporary, old):
            _remove(path)


def backup(log: EventLog, blobs: FileBlobs, target: Path) -> Backup:
    """Copy the mail as of now to `target`: an archive if its name ends in .tar.gz or .tgz, else a folder.

    Everything acknowledged before the call is in it. Raises UsageError if the target exists or there is no mail, and
    LogUnavailable if the disk refuses.
    """
    write = _write_archive if target.name.endswith((".tar.gz", ".tgz")) else _write_folder
    left_out: list[str] = []
    with whole(target) as path:
        snapshot, active = log.look()
        with active or nullcontext():
            if not snapshot.head:
                raise UsageError(f"{log.folder} has no mail yet: there is nothing to back up")
            sizes = write(path, _parts(log, snapshot, active, blobs, left_out))
    return Backup(target, snapshot.head, len(sizes), sum(sizes), tuple(left_out))


def restore(archive: Path, log: EventLog) -> int:
    """Restore a backup as the folder of `log`, which must be missing or empty; return the number of events.

    Raises UsageError, with nothing restored, if the folder is in use or the archive has files that no backup has;
    LogDamaged, with nothing restored, if the archive is incomplete; and LogDamaged if the restored log does not verify:
    then it stays, for `repair`.
    """
    folder = log.folder
    if log.copy_of:
        raise UsageError(
            f"the log is on {log.copy_of}: restore without [log] url, then `team log migrate` to a new one"
        )
    if os.path.lexists(folder) and not _is_empty(folder):
        raise UsageError(f"{folder} is not empty: a backup is restored only where no mail can be lost")
    if not archive.exists():
        raise UsageError(f"{archive}: there is no such backup")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with whole(folder, replaceable=_is_empty) as staged:
        staged.mkdir()
        with _files(archive) as files:
            for name, file, size in files:
                _restore_file(archive, name, file, size, staged)
        if not any(staged.rglob("*.jsonl")):
            raise UsageError(f"{archive} has no mail: it is not a backup")
        wrong = [*_wrong_sums(staged), *_wrong_blobs(staged)]
        _sync_folders(staged)
    inspection = log.verify()
    wrong += map(str, inspection.damage)
    if wrong:
        more = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
        raise LogDamaged(
            f"{folder} is restored, but {archive} is damaged: {wrong[0]}{more}; lines that verify can be read, and "
            "`team-mail repair` repairs the log"
        )
    return inspection.events


def last_in(archive: Path) -> ChainPosition:
    """Return the position of the last event in a backup. Raises UsageError if it is none, LogDamaged if incomplete."""
    if not archive.exists():
        raise UsageError(f"{archive}: there is no such backup")
    newest = START
    with _files(archive) as files:
        for name, file, _ in files:
            if file is not None and name.endswith(".jsonl") and _NAME.fullmatch(name):
                lines = reversed(file.read().split(b"\n"))
                newest = max(newest, next((here for line in lines if (here := place(line)) is not None), START))
    if newest == START:
        raise UsageError(f"{archive} has no mail: it is not a backup")
    return newest


# -- writing a backup


def _parts(
    log: EventLog, snapshot: Snapshot, active: io.BufferedReader | None, blobs: FileBlobs, left_out: list[str]
) -> Iterator[_Part]:
    """Yield the files of a snapshot. Blobs come last: every blob was written before the event that names it."""
    # A segment that ends after the head was sealed after the active file was opened: it is not part of the snapshot.
    sealed = [s.path for s in snapshot.sealed if not snapshot.size or s.last < snapshot.head]
    sums = log.segments.checksums()
    for path in sealed:
        with open_file(path) as file:
            yield _Part(f"segments/{path.name}", file, os.fstat(file.fileno()).st_size)
    if known := "".join(f"{sums[path.name]}  {path.name}\n" for path in sealed if path.name in sums):
        yield _part(_SUMS, known.encode())
    if active is not None and snapshot.size:
        active.seek(0)
        yield _Part(_ACTIVE, active, snapshot.size)
    for name in blobs.names():
        try:
            data = blobs.read(name)
        except BlobMissing:
            left_out.append(name)
        else:
            yield _part(f"blobs/{name[:2]}/{name}", data)


def _part(name: str, data: bytes) -> _Part:
    return _Part(name, io.BytesIO(data), len(data))


def _blobs(folder: Path) -> list[Path]:
    """List the blobs of a folder, without unfinished ones."""
    return sorted(path for path in folder.glob("??/*") if _NAME.fullmatch(f"blobs/{path.parent.name}/{path.name}"))


def _write_archive(path: Path, parts: Iterator[_Part]) -> list[int]:
    sizes: list[int] = []
    moment = int(path.parent.stat().st_mtime)
    with tarfile.open(path, "x:gz", compresslevel=_COMPRESSION) as archive:
        for part in parts:
            member = tarfile.TarInfo(part.name)
            member.size, member.mtime = part.size, moment
            archive.addfile(member, part.file)
            sizes.append(part.size)
    return sizes


def _write_folder(path: Path, parts: Iterator[_Part]) -> list[int]:
    path.mkdir()
    sizes: list[int] = []
    for part in parts:
        _copy(part, path / part.name)
        sizes.append(part.size)
    _sync_folders(path)
    return sizes


# -- restoring a backup


@contextmanager
def _files(archive: Path) -> Generator[Iterator[tuple[str, IO[bytes] | None, int]]]:
    """Yield name, content and size of each file of a backup; no content for what is no plain file.

    Raises LogDamaged from the block if the archive is cut off or changed.
    """
    try:
        yield (_files_in_folder if archive.is_dir() else _files_in_archive)(archive)
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile, ValueError) as error:
        raise LogDamaged(f"{archive} is not a complete backup ({error}); nothing was restored") from error


def _files_in_archive(archive: Path) -> Iterator[tuple[str, IO[bytes] | None, int]]:
    with open_file(archive, follow=True) as plain, gzip.open(plain) as packed:
        with tarfile.open(fileobj=packed, mode="r|") as members:
            for member in members:
                file = members.extractfile(member) if member.isreg() and not member.issparse() else None
                yield member.name, file, member.size
        while packed.read(_CHUNK):  # up to the checksum at the end
            pass


def _files_in_folder(archive: Path) -> Iterator[tuple[str, IO[bytes] | None, int]]:
    for path in sorted(archive.rglob("*")):
        if path.is_dir() and not path.is_symlink():
            continue
        plain = path.is_file() and not path.is_symlink()
        with path.open("rb") if plain else nullcontext() as file:
            yield path.relative_to(archive).as_posix(), file, path.lstat().st_size


def _restore_file(archive: Path, name: str, file: IO[bytes] | None, size: int, staged: Path) -> None:
    """Write one file of a backup; `file` is None for anything but a regular file.

    Only names that a backup has are accepted, so no file is outside of the folder and none is ever executed.
    """
    path = staged / name
    if file is None or not _NAME.fullmatch(name) or path.exists():
        raise UsageError(
            f"{archive} has {name!r}, which is not a file of a backup or is repeated; nothing was restored"
        )
    _copy(_Part(name, file, size), path)
    if path.parent.name == "segments" and name != _SUMS:
        path.chmod(0o444)


def _wrong_sums(staged: Path) -> Iterator[str]:
    """Yield the files that have a checksum and are missing; delete a malformed list, which `repair` writes again."""
    sums = staged / _SUMS
    if not sums.exists():
        return
    lines = [_SUM.fullmatch(line) for line in sums.read_bytes().decode(errors="replace").split("\n")[:-1]]
    if None in lines or not lines:
        sums.unlink()
        yield "SHA256SUMS is not a list of checksums"
        return
    for line in filter(None, lines):
        if not (staged / "segments" / line[1]).exists():
            yield f"segments/{line[1]} is missing"


def _wrong_blobs(staged: Path) -> Iterator[str]:
    """Delete the blobs whose bytes do not match their name, and yield their names."""
    for path in _blobs(staged / "blobs"):
        if file_sha256(path) != path.name:
            path.unlink()
            yield f"blob {path.name} has changed"


# -- files and folders


def _copy(part: _Part, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    rest = part.size
    with path.open("xb") as file:
        while rest:
            data = part.file.read(min(rest, _CHUNK))
            if not data:
                raise OSError(f"{part.name} ends {rest} bytes early")
            rest -= file.write(data)
        file.flush()
        _DISK.sync(file.fileno())


def _sync_folders(top: Path) -> None:
    for folder in (top, *(path for path in top.rglob("*") if path.is_dir())):
        _DISK.sync_folder(folder)


def _put_in_place(temporary: Path, target: Path, old: Path) -> None:
    if temporary.is_file():
        with temporary.open("rb") as file:
            _DISK.sync(file.fileno())
    if target.is_dir() and not _is_empty(target):
        target.rename(old)
    try:
        temporary.replace(target)
    except BaseException:
        if old.exists():
            old.rename(target)
        raise
    _DISK.sync_folder(target.parent)


def _remove_leftovers(temporary: Path, target: Path) -> None:
    """Remove what killed processes have left of the same target, unless it is too new to tell."""
    if not temporary.exists():
        return
    now, name = temporary.stat().st_mtime, re.compile(rf"\.{re.escape(target.name)}\.[0-9a-f]{{12}}\.new")
    for path in sorted(target.parent.iterdir()):
        if name.fullmatch(path.name) and path.lstat().st_mtime < now - _STALE:
            _remove(path)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _is_empty(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink() and not any(path.iterdir())
