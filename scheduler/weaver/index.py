"""A scratch index as a file, written and read without a process: version 2 of `gitformat-index`, without extensions.

It may hold only a part of a tree, so that the cost of a patch does not grow with the repository.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Mapping
from pathlib import Path

from ...mail.log.disk import read_file
from .patch import Entry

_HEADER = struct.Struct(">4sII")
_STAT = 24  # bytes of times, device and inode, before the mode
_MODE = struct.Struct(">I12x")  # then owner and size
_FLAGS = struct.Struct(">H")
_LONGEST = 0xFFF
_EXTENDED = 0x4000
_STAGE = 0x3000
_STAGE_SHIFT = 12
_SHA1 = 40  # digits


def write_index(path: Path, files: Mapping[bytes, Entry], digits: int) -> None:
    """Write an index of these files without data of a checkout; object ids have this number of digits."""
    parts = [_HEADER.pack(b"DIRC", 2, len(files))]
    for name, (mode, oid) in sorted(files.items()):
        entry = (
            bytes(_STAT) + _MODE.pack(int(mode, 8)) + bytes.fromhex(oid) + _FLAGS.pack(min(len(name), _LONGEST)) + name
        )
        parts.append(entry + bytes(8 - len(entry) % 8))
    whole = b"".join(parts)
    path.write_bytes(whole + hashlib.new("sha1" if digits == _SHA1 else "sha256", whole).digest())


def read_index(path: Path, digits: int) -> dict[bytes, Entry] | None:
    """Read an index whose object ids have this number of digits; None if it has conflicts or another version."""
    stages = read_stages(path, digits)
    if stages is None or any(number for _, number in stages):
        return None
    return {name: entry for (name, _), entry in stages.items()}


def read_stages(path: Path, digits: int) -> dict[tuple[bytes, int], Entry] | None:
    """Read all versions of files in an index, by name and number: 0 for a file without conflict; None as above."""
    raw, width, files = read_file(path), digits // 2, dict[tuple[bytes, int], Entry]()
    _, version, count = _HEADER.unpack_from(raw)
    if version not in {2, 3}:
        return None
    start = _HEADER.size
    for _ in range(count):
        place = start + _STAT
        (mode,) = _MODE.unpack_from(raw, place)
        place += _MODE.size
        oid, place = raw[place : place + width], place + width
        (flags,) = _FLAGS.unpack_from(raw, place)
        place += _FLAGS.size * (2 if flags & _EXTENDED else 1)
        end = raw.index(b"\0", place)
        files[raw[place:end], (flags & _STAGE) >> _STAGE_SHIFT] = Entry(f"{mode:06o}", oid.hex())
        start += (end - start) // 8 * 8 + 8
    return files
