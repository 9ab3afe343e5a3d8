"""A backup of the mail, taken while others write, and the way back from it.

A backup holds one moment of the log: its sealed files, their checksums, the active file as far as it went, and the
blobs. No lock is held: sealed files and blobs never change, and the active file is only ever added to. Nothing that is
written here appears under its name before it is whole.
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
from ..log.blobs import BlobMissing, Blobs
from ..log.disk import Disk
from ..log.log import EventLog
from ..log.reading import look
from ..log.segments import file_sha256

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from pathlib import Path

    from ..log.snapshot import Snapshot

_CHUNK = 1 << 20
_COMPRESSION = 6
_ACTIVE = "events.jsonl"
_SUMS = "segments/SHA256SUMS"
_SEGMENT = r"\d{12}-\d{12}\.jsonl"
_BLOB = r"blobs/([0-9a-f]{2})/\1[0-9a-f]{62}"
_NAME = re.compile(rf"{re.escape(_ACTIVE)}|{_SUMS}|segments/{_SEGMENT}|{_BLOB}", re.ASCII)
_SUM = re.compile(rf"[0-9a-f]{{64}}  ({_SEGMENT})", re.ASCII)
_DISK = Disk()


@dataclass(frozen=True, slots=True)
class Backup:
    """What a backup holds: the log up to seq `head`, in `files` files of `bytes` bytes before compression.

    `left_out` names the blobs that have changed on disk and are no longer what was sent.
    """

    path: Path
    head: int
    files: int
    bytes: int
    left_out: tuple[str, ...] = ()


class _Part(NamedTuple):
    """One file of a backup: its name inside, and where its `size` bytes come from."""

    name: str
    file: IO[bytes]
    size: int


@contextmanager
def whole(target: Path, *, replaceable: Callable[[Path], bool] | None = None) -> Generator[Path]:
    """Lend a name beside `target` for a file or folder to be made there; it takes its place when all went well.

    Otherwise nothing is left. `replaceable` tells whether what is already there may go. Raises UsageError if it may
    not, LogUnavailable when the disk refuses.
    """
    if os.path.lexists(target) and not (replaceable and replaceable(target)):
        raise UsageError(f"{target} is already there and is left as it is; choose another name")
    target = target.absolute()
    mark = os.urandom(6).hex()
    temporary, old = (target.with_name(f".{target.name}.{mark}.{word}") for word in ("new", "old"))
    try:
        yield temporary
        _settle(temporary, target, old)
    except OSError as error:
        raise LogUnavailable(f"cannot write {target}: {error.strerror or error}; nothing was written there") from error
    finally:
        for path in (temporary, old):
            _remove(path)


def backup(log: EventLog, blobs: Blobs, target: Path) -> Backup:
    """Copy this moment of the mail to `target`: an archive if it is named .tar.gz or .tgz, else a folder.

    Whatever was acknowledged before is in it. Raises UsageError if the target exists or there is no mail,
    LogUnavailable when the disk refuses.
    """
    write = _write_archive if target.name.endswith((".tar.gz", ".tgz")) else _write_folder
    left_out: list[str] = []
    with whole(target) as path:
        snapshot, active = look(log.active, log.segments)
        with active or nullcontext():
            if not snapshot.head:
                raise UsageError(f"{log.folder} holds no mail yet: there is nothing to back up")
            sizes = write(path, _parts(log, snapshot, active, blobs, left_out))
    return Backup(target, snapshot.head, len(sizes), sum(sizes), tuple(left_out))


def restore(archive: Path, folder: Path) -> int:
    """Bring a backup back as the mail folder `folder`, missing or empty; return how many events it holds.

    Raises UsageError, with nothing restored, for a folder in use and for an archive that holds what no backup does;
    LogDamaged, with nothing restored, for one that is not whole; and LogDamaged if what was restored does not verify:
    then it stays, for `repair`.
    """
    if os.path.lexists(folder) and not _is_empty(folder):
        raise UsageError(f"{folder} is not empty: a backup is restored only where no mail can be lost")
    if not archive.exists():
        raise UsageError(f"{archive}: there is no such backup")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with whole(folder, replaceable=_is_empty) as staged:
        staged.mkdir()
        (_unpack_folder if archive.is_dir() else _unpack_archive)(archive, staged)
        if not any(staged.rglob("*.jsonl")):
            raise UsageError(f"{archive} holds no mail: it is no backup")
        wrong = [*_wrong_sums(staged), *_wrong_blobs(staged)]
        _sync_folders(staged)
    found = EventLog(folder).verify()
    wrong += map(str, found.damage)
    if wrong:
        more = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
        raise LogDamaged(
            f"{folder} is restored, but {archive} is damaged: {wrong[0]}{more}; what verifies can be read, and "
            "`team-mail repair` mends the log"
        )
    return found.events


# What goes into a backup.


def _parts(
    log: EventLog, snapshot: Snapshot, active: io.BufferedReader | None, blobs: Blobs, left_out: list[str]
) -> Iterator[_Part]:
    """Go through the files of a moment. Blobs come last: whatever the log names was there before it."""
    # A segment that ends behind the head was sealed after the active file was opened: it is not of this moment.
    sealed = [s.path for s in snapshot.sealed if not snapshot.size or s.last < snapshot.head]
    sums = log.segments.checksums()
    for path in sealed:
        with path.open("rb") as file:
            yield _Part(f"segments/{path.name}", file, os.fstat(file.fileno()).st_size)
    if known := "".join(f"{sums[path.name]}  {path.name}\n" for path in sealed if path.name in sums):
        yield _part(_SUMS, known.encode())
    if active is not None and snapshot.size:
        active.seek(0)
        yield _Part(_ACTIVE, active, snapshot.size)
    for path in _blobs(blobs.folder):
        try:
            data = blobs.read(path.name)
        except BlobMissing:
            left_out.append(path.name)
        else:
            yield _part(f"blobs/{path.parent.name}/{path.name}", data)


def _part(name: str, data: bytes) -> _Part:
    return _Part(name, io.BytesIO(data), len(data))


def _blobs(folder: Path) -> list[Path]:
    """List the blobs of a folder, without what is still being written."""
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


# The way back.


def _unpack_archive(archive: Path, staged: Path) -> None:
    try:
        with gzip.open(archive) as packed:
            with tarfile.open(fileobj=packed, mode="r|") as members:
                for member in members:
                    file = members.extractfile(member) if member.isreg() and not member.issparse() else None
                    _keep(archive, member.name, file, member.size, staged)
            while packed.read(_CHUNK):  # to the end, where the checksum stands
                pass
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile, ValueError) as error:
        raise LogDamaged(f"{archive} is not a whole backup ({error}); nothing was restored") from error


def _unpack_folder(archive: Path, staged: Path) -> None:
    for path in sorted(archive.rglob("*")):
        if path.is_dir() and not path.is_symlink():
            continue
        plain = path.is_file() and not path.is_symlink()
        with path.open("rb") if plain else nullcontext() as file:
            _keep(archive, path.relative_to(archive).as_posix(), file, path.lstat().st_size, staged)


def _keep(archive: Path, name: str, file: IO[bytes] | None, size: int, staged: Path) -> None:
    """Write one file; `file` is None for what is no plain one.

    Its name must be one that a backup has: so it lies inside the folder, and is nothing that anybody would run.
    """
    path = staged / name
    if file is None or not _NAME.fullmatch(name) or path.exists():
        raise UsageError(
            f"{archive} holds {name!r}, which is no file of a backup, or twice there; nothing was restored"
        )
    _copy(_Part(name, file, size), path)
    if path.parent.name == "segments" and name != _SUMS:
        path.chmod(0o444)


def _wrong_sums(staged: Path) -> Iterator[str]:
    """Name the checksums of files that are not there; a list that is none is taken away, for `repair` to make anew."""
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
    """Name the blobs that are not what their name says, and take them away: a new one may then come."""
    for path in _blobs(staged / "blobs"):
        if file_sha256(path) != path.name:
            path.unlink()
            yield f"blob {path.name} has changed"


# Files that are whole or not there.


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


def _settle(temporary: Path, target: Path, old: Path) -> None:
    if temporary.is_file():
        with temporary.open("rb") as file:
            _DISK.sync(file.fileno())
    if target.is_dir() and not _is_empty(target):
        target.rename(old)
    temporary.replace(target)
    _DISK.sync_folder(target.parent)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _is_empty(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink() and not any(path.iterdir())
