"""Flushing and replacing files: what the platform has is used, and its failures are not swallowed."""

import errno
import fcntl
import os
import re
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from team_mail.mail.errors import LogError
from team_mail.mail.log.blobs import FileBlobs
from team_mail.mail.log.disk import Disk, flush, replacing
from team_mail.mail.log.event import Draft
from team_mail.mail.log.log import EventLog
from team_mail.mail.query.rows import FileProjections

from ...samples import each_once

ROOT = Path(__file__).parents[3]
FULL = 51  # the number of F_FULLFSYNC on macOS


@pytest.fixture
def tmp_path(disk_path):
    """No folder in memory: what is flushed here is flushed to a disk."""
    return disk_path


@pytest.fixture
def file(tmp_path):
    """An open file with something in it."""
    descriptor = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    os.write(descriptor, b"something")
    yield descriptor
    os.close(descriptor)


@pytest.fixture
def macos(monkeypatch):
    """A platform with a full flush: what it was asked, and the error it answers with."""
    asked, answers = [], []

    def control(descriptor, command):
        asked.append((descriptor, command))
        if answers:
            raise OSError(answers[0], os.strerror(answers[0]))

    monkeypatch.setattr(fcntl, "F_FULLFSYNC", FULL, raising=False)
    monkeypatch.setattr(fcntl, "fcntl", control)
    return asked, answers


def test_a_platform_with_a_full_flush_is_asked_for_it(file, macos):
    """On macOS fsync leaves data in the drive's cache, so files are flushed by F_FULLFSYNC and by nothing less."""
    flush(file, lambda _: pytest.fail("a plain flush is not enough"))
    assert macos[0] == [(file, FULL)]


def test_a_folder_is_flushed_in_full_too(tmp_path, macos):
    """A rename is durable only when its folder is."""
    Disk().sync_folder(tmp_path)
    assert [command for _, command in macos[0]] == [FULL]


def test_a_file_system_without_a_full_flush_gets_a_plain_one(file, macos):
    """Some file systems refuse F_FULLFSYNC; the plain flush is the most they can do."""
    plain = []
    macos[1].append(errno.ENOTSUP)
    flush(file, plain.append)
    assert plain == [file]


def test_a_full_flush_that_fails_is_an_error(file, macos):
    """A disk error is raised and not covered by a plain flush that might succeed."""
    macos[1].append(errno.EIO)
    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        flush(file, lambda _: pytest.fail("a failed flush is never tried again"))


def test_a_file_is_replaced_as_a_whole_or_not_at_all(tmp_path):
    """After an error the old file is there, and no temporary one."""

    def cut_off(path):
        with replacing(path) as temporary:
            temporary.write_text("ne")
            raise RuntimeError

    path = tmp_path / "file"
    with replacing(path, durable=False) as temporary:
        temporary.write_text("old")
    with pytest.raises(RuntimeError):
        cut_off(path)
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("file", "old")]


def test_nothing_flushes_but_through_this_function():
    """A call of os.fsync elsewhere would be too weak on macOS, and nobody would notice."""
    folders = ("mail", "personas", "scheduler", "team")
    sources = [path for folder in folders for path in (ROOT / folder).rglob("*.py") if path.name != "disk.py"]
    assert [str(path) for path in sources if re.search(r"os\.f(data)?sync", path.read_text())] == []


PLACES = ("events.jsonl", "lock", "segments/SHA256SUMS", "segment", "blob")


@pytest.mark.parametrize(
    ("place", "kind"), each_once(PLACES, ["pipe", "folder", "socket", "link to a pipe"], plain=True)
)
def test_nothing_but_a_file_is_read_or_waited_for_in_the_place_of_one(tmp_path, place, kind, monkeypatch):
    """A pipe has no end and a device may have none; each reader and each writer says at once what is there."""
    log = EventLog(tmp_path / "mail", segment_bytes=2_000)
    blobs = FileBlobs(tmp_path / "mail" / "blobs")
    blob = blobs.put(b"text")
    for number in range(20):
        log.append([Draft("mail.sent", "ann", ("bob",), f"mail {number}", "b" * 200)])
    segment = next(iter(log.segments)).path
    path = {"segment": segment, "blob": blobs.path(blob.sha256)}.get(place, tmp_path / "mail" / place)
    path.unlink()
    if kind == "folder":
        path.mkdir()
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as server:
            monkeypatch.chdir(path.parent)  # a socket's address is short
            server.bind(path.name)
    else:
        os.mkfifo(tmp_path / "pipe" if "link" in kind else path)
        if "link" in kind:
            path.symlink_to(tmp_path / "pipe")

    def answers(call):
        try:
            return call()
        except (LogError, OSError) as error:
            return str(error)

    with ThreadPoolExecutor(1) as pool:  # a test that waited for ever would say nothing
        fresh = EventLog(tmp_path / "mail", segment_bytes=2_000, lock_timeout=1)
        calls = {
            "append": lambda: fresh.append([Draft("mail.sent", "ann", ("bob",), "x")]),
            "read": lambda: [*fresh.read()],
            "query": lambda: FileProjections(fresh).rows("stats"),
            "head": fresh.head,
            "verify": fresh.verify,
            "blob": lambda: blobs.read(blob.sha256),
        }
        said = {name: pool.submit(answers, call).result(20) for name, call in calls.items()}
    refused = {
        "events.jsonl": {"append", "read", "query", "head", "verify"}, "lock": {"append"}, "blob": {"blob"},
        "segment": {"read", "query", "verify"}, "segments/SHA256SUMS": {"verify"},
    }[place]  # fmt: skip
    assert refused <= {name for name, answer in said.items() if isinstance(answer, str)}, said
    if place == "blob":
        path.rmdir() if kind == "folder" else path.unlink()
        assert blobs.put(b"text") == blob
        assert blobs.read(blob.sha256) == b"text"
