"""The contract of `Blobs`: the same tests for every implementation."""

from __future__ import annotations

import hashlib

import pytest
from team_mail.mail.log.blobs import BlobMissing, FileBlobs, MemoryBlobs

from ..postgres import remote_blobs

BODIES = [b"", b"text", bytes(range(256)) * 1000]


@pytest.fixture(params=["file", "memory", "PostgreSQL"])
def blobs(request, tmp_path):
    if request.param == "PostgreSQL":
        return remote_blobs(request, tmp_path / "blobs")
    return FileBlobs(tmp_path / "blobs") if request.param == "file" else MemoryBlobs()


@pytest.mark.parametrize("data", BODIES, ids=["empty", "text", "binary"])
def test_bytes_are_read_by_their_hash(blobs, data):
    """The name is the SHA-256 of the bytes, with their number."""
    blob = blobs.put(data)
    assert blob == (hashlib.sha256(data).hexdigest(), len(data))
    assert blobs.read(blob.sha256) == data


def test_the_same_bytes_have_one_name(blobs):
    """Storing them again changes nothing."""
    assert blobs.put(b"twice") == blobs.put(b"twice")
    assert blobs.read(blobs.put(b"twice").sha256) == b"twice"


def test_bytes_that_are_changed_by_their_owner_stay_as_they_were_stored(blobs):
    """A blob is a copy of a buffer that its owner may reuse."""
    buffer = bytearray(b"before")
    blob = blobs.put(buffer)
    buffer[:] = b"after!"
    assert blobs.read(blob.sha256) == b"before"


@pytest.mark.parametrize("name", ["0" * 64, "", "00", "0" * 63, "../" * 21 + "x", "A" * 64])
def test_a_blob_that_was_never_stored_is_missing(blobs, name):
    """So is a name that no blob can have; neither is looked for in another folder."""
    with pytest.raises(BlobMissing):
        blobs.read(name)


def test_an_error_about_a_blob_names_no_path(blobs, tmp_path):
    """The reader may be on another machine: the hash is enough."""
    with pytest.raises(BlobMissing) as caught:
        blobs.read("0" * 64)
    assert "0" * 64 in str(caught.value)
    assert str(tmp_path) not in str(caught.value)
