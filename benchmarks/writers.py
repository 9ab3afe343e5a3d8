"""The writers that a benchmark lets race: ours, the least that a safe append needs, and others that flush."""

from __future__ import annotations

import fcntl
import mailbox
import multiprocessing
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from team_mail.mail.log.event import Draft
from team_mail.mail.log.log import EventLog

PERSONAS = tuple(f"persona-{number:02}" for number in range(21))
BODY = "Chapter three is woven in; please look at the second half before the next tick, above all the names. "
LETTER = Draft("mail.sent", PERSONAS[0], (PERSONAS[1],), "Chapter three", BODY)
FORK = multiprocessing.get_context("fork")


# Each is opened by its own process, and returns what sends one message and makes it durable


def ours(folder: Path) -> Callable[[], object]:
    log = EventLog(folder, lock_timeout=60)
    return lambda: log.append([LETTER])


def bare(folder: Path) -> Callable[[], object]:
    """Do the least that a safe append needs: take a lock, write, flush."""
    folder.mkdir(exist_ok=True)
    descriptor, line = os.open(folder / "lines", os.O_WRONLY | os.O_CREAT | os.O_APPEND), a_line()

    def send() -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        os.write(descriptor, line)
        os.fdatasync(descriptor)
        fcntl.flock(descriptor, fcntl.LOCK_UN)

    return send


def same(folder: Path) -> Callable[[], object]:
    """The same bare protocol as ours: the lock is let go before the flush, so that those of many writers merge."""
    folder.mkdir(exist_ok=True)
    lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT)
    descriptor, line = os.open(folder / "lines", os.O_WRONLY | os.O_CREAT | os.O_APPEND), a_line()

    def send() -> None:
        fcntl.flock(lock, fcntl.LOCK_EX)
        os.write(descriptor, line)
        fcntl.flock(lock, fcntl.LOCK_UN)
        os.fdatasync(descriptor)

    return send


def sqlite(folder: Path) -> Callable[[], object]:
    folder.mkdir(exist_ok=True)
    connection = sqlite3.connect(folder / "log.db", isolation_level=None, timeout=60)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("CREATE TABLE IF NOT EXISTS events (seq INTEGER PRIMARY KEY, line BLOB)")
    return lambda: connection.execute("INSERT INTO events (line) VALUES (?)", (a_line(),))


def maildir(folder: Path) -> Callable[[], object]:
    """The standard library flushes the file; the folder, which holds its name, is flushed here."""
    box = mailbox.Maildir(folder)
    new = os.open(folder / "new", os.O_RDONLY)

    def send() -> None:
        box.add(a_line())
        os.fsync(new)

    return send


def redis(folder: Path) -> Callable[[], object]:
    server = socket.socket(socket.AF_UNIX)
    server.connect(str(folder / "redis"))
    answers = server.makefile("rb")
    words = (b"XADD", b"mail", b"*", b"line", a_line())
    request = b"*%d\r\n%b" % (len(words), b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in words))

    def send() -> None:
        server.sendall(request)
        if not answers.readline().startswith(b"$") or not answers.readline():
            raise ConnectionError("redis did not take the line")

    return send


@contextmanager
def redis_server(folder: Path) -> Iterator[None]:
    """Run a server of our own, flushing each command, on a socket in the folder."""
    folder.mkdir()
    options = ["--port", "0", "--unixsocket", "redis", "--save", "", "--appendonly", "yes", "--appendfsync", "always"]
    server = subprocess.Popen(["redis-server", *options], cwd=folder, stdout=subprocess.DEVNULL)
    try:
        while not (folder / "redis").exists():
            if server.poll() is not None:
                sys.exit("redis-server did not start")
            time.sleep(0.01)
        yield
    finally:
        server.terminate()
        server.wait()


@cache
def a_line() -> bytes:
    """Return the bytes that our log writes for the letter, for the contenders to write the same."""
    with tempfile.TemporaryDirectory() as folder:
        EventLog(Path(folder)).append([LETTER])
        return Path(folder, "events.jsonl").read_bytes().splitlines(keepends=True)[-1]


def acknowledged(writer: Callable[[Path], Callable[[], object]], folder: Path, writers: int, seconds: float) -> float:
    """Let so many processes send as fast as they can for so long; return acknowledged sends per second."""
    writer(folder)()  # what is made once, such as a table, is made before they race
    ready, results = FORK.Barrier(writers, timeout=60), FORK.SimpleQueue()

    def run() -> None:
        try:
            send = writer(folder)
            send()
            ready.wait()
            start, sends = time.monotonic(), 0
            while time.monotonic() < start + seconds:
                send()
                sends += 1
        except BaseException:
            results.put(None)
            raise
        results.put((start, time.monotonic(), sends))

    processes = [FORK.Process(target=run, daemon=True) for _ in range(writers)]
    for process in processes:
        process.start()
    answers = [results.get() for _ in processes]
    for process in processes:
        process.join()
    if None in answers:
        sys.exit(f"a writer of {writer.__name__} failed")
    starts, ends, sends = zip(*answers, strict=True)
    return sum(sends) / (max(ends) - min(starts))


def redis_version() -> str:
    if not shutil.which("redis-server"):
        return ", no Redis"
    version = subprocess.run(["redis-server", "--version"], check=True, capture_output=True, text=True).stdout
    return f", Redis {version.partition('v=')[2].split()[0]}"
