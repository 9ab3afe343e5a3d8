"""Many new objects as one pack, written without a process: `gitformat-pack`, version 2 of pack and index.

A file for each object would take ten times as long, and as long again to delete.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from bisect import bisect_right
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

_PACK = struct.Struct(">4sII")
_INDEX = b"\xfftOc\0\0\0\2"
_KINDS = {"commit": 1, "tree": 2, "blob": 3}
_FAST = 1  # of zlib's levels


class NewObject(NamedTuple):
    """An object's kind, `commit`, `tree` or `blob`, and its bytes."""

    kind: str
    body: bytes


def write_pack(folder: Path, objects: Mapping[str, NewObject], algorithm: str) -> None:
    """Write a pack of these objects, by their ids, and its index; `algorithm` is that of the ids. At most 2 GB."""
    folder.mkdir(exist_ok=True)
    parts, place = [_PACK.pack(b"PACK", 2, len(objects))], _PACK.size
    rows: list[tuple[bytes, int, int]] = []  # id, checksum, place in the pack
    for oid, each in objects.items():
        part = _head(_KINDS[each.kind], len(each.body)) + zlib.compress(each.body, _FAST)
        rows.append((bytes.fromhex(oid), zlib.crc32(part), place))
        parts.append(part)
        place += len(part)
    pack = b"".join(parts)
    digest = hashlib.new(algorithm, pack).digest()
    name = folder / f"pack-{digest.hex()}"
    name.with_suffix(".pack").write_bytes(pack + digest)
    index = _index(sorted(rows)) + digest
    name.with_suffix(".idx").write_bytes(index + hashlib.new(algorithm, index).digest())


def _head(kind: int, size: int) -> bytes:
    """Write an object's kind and size: four bits of the size, then seven in each byte that follows."""
    head, byte, size = bytearray(), kind << 4 | size & 0xF, size >> 4
    while size:
        head.append(byte | 0x80)
        byte, size = size & 0x7F, size >> 7
    return bytes([*head, byte])


def _index(rows: list[tuple[bytes, int, int]]) -> bytes:
    """Write the index of sorted rows, but for the checksums at its end."""
    firsts = [oid[0] for oid, _, _ in rows]
    counts = [bisect_right(firsts, byte) for byte in range(256)]
    columns = [*counts, *(crc for _, crc, _ in rows), *(place for _, _, place in rows)]
    numbers = struct.pack(f">{len(columns)}I", *columns)
    fan = 4 * len(counts)
    return _INDEX + numbers[:fan] + b"".join(oid for oid, _, _ in rows) + numbers[fan:]
