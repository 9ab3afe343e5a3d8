"""What the log promises when the disk, the processes or the bytes let it down. Every test prints its figure."""

from __future__ import annotations

import errno
import os
import resource
import signal
import threading
import traceback
from collections.abc import Callable, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest
from team_mail.mail.clock import ManualClock, SystemClock
from team_mail.mail.errors import InDoubt, LockTimeout, LogDamaged, LogError, LogUnavailable
from team_mail.mail.log.blobs import BlobMissing, FileBlobs
from team_mail.mail.log.disk import Disk
from team_mail.mail.log.event import Draft, decode, derived_id
from team_mail.mail.log.log import EventLog
from team_mail.mail.log.verify import Damage
from team_mail.mail.query.copies import write_parquet
from team_mail.mail.query.query import Query

# Python warns about every fork of a process with threads, which the test runner has; the children here start none.
pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")

CALLS = ("filesystem", "open", "read", "write", "sync", "truncate", "rename", "remove", "sync_folder")
SMALL = 1500  # bytes of a segment: a rotation after every few events
ERRORS = (errno.EIO, errno.ENOSPC, errno.EDQUOT, errno.EINTR, errno.EACCES, errno.EROFS, errno.EMFILE)
ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="mounting and giving up rights takes root")


class Unflushed(Disk):
    """A disk that does not flush, for enumerations that do not test durability."""

    def sync(self, descriptor: int) -> None:
        pass

    def sync_folder(self, folder: Path) -> None:
        pass


class Failed(Exception):
    """An exception that no code handles."""


class Faulty(Disk):
    """A disk whose `nth` call meets a fault, or all from there on, and which sees if a failed file is flushed again.

    `fault` is called in place of the call, with the call: it may go on with it, and how.
    """

    def __init__(self, nth: int = 0, fault: Callable[..., object] | None = None, *, forever: bool = False) -> None:
        self.nth, self.fault, self.forever = nth, fault, forever
        self.count = self.met = 0
        self.only: str | None = None
        self.distrusted: set[int] = set()
        self.flushed_again = 0

    def _call(self, name: str, *arguments):
        real = getattr(super(), name)
        if self.only in {None, name}:
            self.count += 1
            if self.fault and (self.count == self.nth or (self.forever and self.count > self.nth)):
                self.met += 1
                return self.fault(real, name, arguments)
        return real(*arguments)

    def mend(self) -> None:
        self.fault = None

    def filesystem(self, path):
        return self._call("filesystem", path)

    def open(self, path, flags):
        descriptor = self._call("open", path, flags)
        if flags & (os.O_TRUNC | os.O_EXCL):  # all its bytes are to be written anew
            self.distrusted.discard(os.fstat(descriptor).st_ino)
        return descriptor

    def read(self, descriptor, size, offset):
        return self._call("read", descriptor, size, offset)

    def write(self, descriptor, data):
        return self._call("write", descriptor, data)

    def sync(self, descriptor):
        inode = os.fstat(descriptor).st_ino
        self.flushed_again += inode in self.distrusted
        try:
            self._call("sync", descriptor)
        except OSError:
            self.distrusted.add(inode)
            raise

    def truncate(self, descriptor, size):
        self._call("truncate", descriptor, size)

    def rename(self, source, target):
        self._call("rename", source, target)

    def remove(self, path):
        self._call("remove", path)

    def sync_folder(self, folder):
        self._call("sync_folder", folder)


def fails_with(number: int):
    def fault(real, name, arguments):
        raise OSError(number, os.strerror(number))

    return fault


def falls_short(real, name, arguments):
    """Write one byte, or half of the data, and return the number."""
    if name != "write":
        return real(*arguments)
    descriptor, data = arguments
    return real(descriptor, data[: max(1, len(data) // 2)])


def falls_short_and_fails(real, name, arguments):
    """Write half, then fail, as a full disk does."""
    falls_short(real, name, arguments)
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def is_the_last(real, name, arguments):
    os.kill(os.getpid(), signal.SIGKILL)


def is_the_last_half_way(real, name, arguments):
    falls_short(real, name, arguments)
    os.kill(os.getpid(), signal.SIGKILL)


# Of how many cases one is tried: all of them take minutes. A prime meets every field of a line.
STEPS = [13, pytest.param(1, marks=pytest.mark.storm)]
STRIDES = [5, pytest.param(1, marks=pytest.mark.storm)]  # the same for system calls, of which there are about fifty
WIDE = [13, pytest.param(1, marks=pytest.mark.storm)]  # and where many cases together meet every call, see `first`
Cases = Mapping[str, tuple[Callable[..., object], bool]]  # what befalls a call, and whether all later ones


def cases(**faults: Callable[..., object]) -> Cases:
    """Return each fault, and each error, once and for ever."""
    errors = {errno.errorcode[number]: fails_with(number) for number in ERRORS}
    how = {"once": False, "for ever": True}
    return {f"{name}-{word}": (fault, how[word]) for name, fault in {**errors, **faults}.items() for word in how}


def first(case: str, among: Cases, stride: int) -> int:
    """Return the number of the first call that a case befalls: each begins with another one."""
    return 1 + [*among].index(case) % stride


CASES = cases(short=falls_short, short_and_ENOSPC=falls_short_and_fails)


def draft(number: int, size: int = 20) -> Draft:
    return Draft("mail.sent", "ada", ("bob",), f"{number}", "x" * size, id=derived_id("fault", str(number)))


def opened(folder: Path, disk: Disk | None = None, **options) -> EventLog:
    options = {"clock": ManualClock(), "segment_bytes": SMALL, "on_sealed": lambda _: None} | options
    return EventLog(folder, disk=disk, **options)


def filled(folder: Path, events: int, **options) -> EventLog:
    log = opened(folder, Unflushed(), **options)
    for number in range(events):
        log.append([draft(number)])
    return log


def send_all(log: EventLog, acknowledge) -> None:
    """Send 10 messages, one by one, as a batch, and across rotations; continue after an error."""
    for numbers in ([0], [1], [2, 3, 4], [5], [6], [7, 8], [9]):
        with suppress(LogError):
            acknowledge(log.append([draft(number) for number in numbers]))


def check(folder: Path, acknowledged: list[tuple[str, int, str]], sent: int = 10) -> EventLog:
    """Assert that all acknowledged events are unchanged, that the log verifies, and that appends work.

    Everything is then sent once more, as a sender does that was left in doubt: each event stands once.
    """
    log = opened(folder, Unflushed())
    log.append([draft(1000)])
    for number in range(sent):
        log.append([draft(number)])
    report, damage = log.verify(), []
    assert not report.damage
    events = list(log.read(damage=damage))
    assert not damage
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    ours = [event.id for event in events if not event.kind.startswith("log.")]
    assert sorted(ours) == sorted(draft(number).id for number in [*range(sent), 1000])
    assert set(acknowledged) <= {(event.id, event.seq, event.hash) for event in events}
    return log


def forked(work: Callable[[], object]) -> int:
    """Run `work` in a child process; return its pid."""
    pid = os.fork()
    if pid == 0:
        try:
            work()
            os._exit(0)
        except BaseException:  # noqa: BLE001 - nothing of the test runner's may run in the child
            traceback.print_exc()
        finally:
            os._exit(1)
    return pid


def ended(pids: set[int]) -> set[int]:
    """Return the children that have ended by now; all must have exited with 0."""
    done = {pid for pid in pids if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)}
    assert not any(os.waitpid(pid, 0)[1] for pid in done)
    return done


@contextmanager
def child(work: Callable[[], object]):
    """Run `work` in a child process that is killed at the end."""
    pid = forked(work)
    try:
        yield pid
    finally:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        with suppress(ChildProcessError):
            os.waitpid(pid, 0)


# T1: the n-th call fails, is incomplete, or is the last.


@pytest.mark.parametrize("stride", WIDE)
@pytest.mark.parametrize("case", CASES)
def test_no_acknowledged_event_is_lost_when_any_call_fails(tmp_path, case, stride):
    """T1: each system call in turn fails, over two rotations, until one run has no call left to fail."""
    fault, forever = CASES[case]
    nth, met = first(case, CASES, stride) - stride, 0
    while True:
        nth += stride
        folder, disk, acknowledged = tmp_path / str(nth), Faulty(nth, fault, forever=forever), []
        log = opened(folder, disk)
        send_all(log, acknowledged.extend)
        met += disk.met
        disk.mend()
        after = log.append([draft(1000)])
        assert not disk.flushed_again
        log = check(folder, [(event.id, event.seq, event.hash) for event in acknowledged + after])
        if not disk.met:
            break
    assert len(list(log.segments)) >= 2
    print(f"every {stride}. of {nth - 1} calls failed in turn, {met} faults met, 0 events lost")


@pytest.mark.parametrize("stride", STRIDES)
@pytest.mark.parametrize("name", CALLS)
def test_no_acknowledged_event_is_lost_when_one_kind_of_call_keeps_failing(tmp_path, name, stride):
    """T1: all calls of one kind fail from the n-th on, while calls of other kinds succeed."""
    met = 0
    for nth in range(1, 100, stride):
        folder, disk, acknowledged = tmp_path / str(nth), Faulty(nth, fails_with(errno.EIO), forever=True), []
        disk.only = name
        log = opened(folder, disk)
        send_all(log, acknowledged.extend)
        met += disk.met
        disk.mend()
        log.append([draft(1000)])
        assert not disk.flushed_again
        check(folder, [(event.id, event.seq, event.hash) for event in acknowledged])
        if not disk.met:
            break
    print(f"{name}: every {stride}. of {nth - 1} runs, {met} faults met, 0 events lost")


@pytest.mark.parametrize("stride", STRIDES)
@pytest.mark.parametrize("fault", [is_the_last, is_the_last_half_way], ids=["before it", "half way"])
def test_no_acknowledged_event_is_lost_when_the_process_is_killed_at_any_call(tmp_path, fault, stride):
    """T1: a process is killed at each of its system calls in turn, and its acknowledged events are still there."""
    nth, killed, total = 1 - stride, True, 0
    while killed:
        nth += stride
        folder = tmp_path / str(nth)
        reader, writer = os.pipe()

        def work(folder=folder, nth=nth, writer=writer):
            send_all(
                opened(folder, Faulty(nth, fault)),
                lambda events: [os.write(writer, f"{e.id} {e.seq} {e.hash}\n".encode()) for e in events],
            )

        with child(work) as pid:
            os.close(writer)
            with os.fdopen(reader) as acknowledgements:
                lines = [line.split() for line in acknowledgements]
            _, status = os.waitpid(pid, 0)
        killed = os.WIFSIGNALED(status)
        assert killed or status == 0
        total += len(lines)
        check(folder, [(own, int(seq), digest) for own, seq, digest in lines])
    assert nth > 40
    print(f"killed at every {stride}. of {nth - 1} calls, {total} events acknowledged, 0 lost")


def test_a_repair_may_be_killed_at_any_call(tmp_path):
    """T1: after a kill at any step, another `repair` completes it and keeps every line that verifies."""
    nth, killed = 0, True
    lost = (3, 10)
    kept = {draft(number).id for number in [*range(12), 20, 21] if number not in lost}
    while killed:
        nth += 1
        log = filled(tmp_path / str(nth), 12)
        for path in (*(segment.path for segment in log.segments), log.active):
            path.chmod(0o644)
            for number in lost:
                path.write_bytes(path.read_bytes().replace(b'"subject":"%d"' % number, b'"subject":?%d"' % number))
        log.append([draft(20)])  # behind the damage, which this log has not seen
        assert len(log.verify().corrupt) >= 2
        with child(lambda log=log, nth=nth: opened(log.folder, Faulty(nth, is_the_last)).repair()) as pid:
            _, status = os.waitpid(pid, 0)
        killed = os.WIFSIGNALED(status)
        assert killed or status == 0
        log = opened(log.folder)
        log.repair()
        log.append([draft(21)])
        assert not log.verify().damage
        assert kept == {event.id for event in log.read() if event.kind == "mail.sent"}
    assert nth > 5
    print(f"{nth - 1} repairs killed, each completed by the next")


def test_sealed_files_under_wrong_names_lose_nothing_by_a_repair(tmp_path):
    """Two have each other's name, one has none of the log's; a repair may be killed there at any call."""
    nth, killed = 0, True
    while killed:
        nth += 1
        log = filled(tmp_path / str(nth), 12)
        one, two, three, *_ = [segment.path for segment in log.segments]
        before = [event.id for event in log.read()]
        one.rename(tmp_path / "other")
        two.rename(one)
        (tmp_path / "other").rename(two)
        three.rename(three.with_name("000000000900-000000000999.jsonl"))
        assert log.verify().corrupt
        with child(lambda log=log, nth=nth: opened(log.folder, Faulty(nth, is_the_last)).repair()) as pid:
            _, status = os.waitpid(pid, 0)
        killed = os.WIFSIGNALED(status)
        log = opened(log.folder)
        done = log.repair()
        assert killed or not done.renamed
        log.append([draft(21)])
        assert not log.verify().damage
        assert [event.id for event in log.read()][: len(before)] == before
        assert done.left_out == 0
    assert nth > 5


def test_a_copy_of_a_sealed_file_replaces_none(tmp_path):
    """Under whatever name it lies, the repaired log has each event once."""
    log = filled(tmp_path / "log", 12)
    before = [event.id for event in log.read()]
    first = next(iter(log.segments)).path
    copy = first.with_name("000000000500-000000000600.jsonl")
    copy.write_bytes(first.read_bytes())
    log.repair()
    assert not log.verify().damage
    assert [event.id for event in opened(log.folder).read()] == before


def test_an_interrupt_during_a_write_is_passed_on_and_the_write_undone(tmp_path):
    """This holds for any exception, not only for OSError."""

    def interrupted(real, name, arguments):
        falls_short(real, name, arguments)
        raise Failed

    log = opened(tmp_path / "mail", disk := Faulty())
    log.append([draft(0)])
    before = log.active.read_bytes()
    disk.nth, disk.fault, disk.only, disk.count = 1, interrupted, "write", 0
    with pytest.raises(Failed):
        log.append([draft(1), draft(2)])
    assert log.active.read_bytes() == before
    disk.mend()
    check(tmp_path / "mail", [])


def test_a_write_that_cannot_be_undone_is_in_doubt(tmp_path):
    """If the truncation fails too, part of a batch may be durable, and the error does not claim otherwise."""

    class Stuck(Disk):
        stuck = False

        def write(self, descriptor, data):
            if not self.stuck:
                return super().write(descriptor, data)
            super().write(descriptor, data[: len(data) - 10])
            raise OSError(errno.EIO, "I/O error")

        def truncate(self, descriptor, size):
            raise OSError(errno.EIO, "I/O error")

    log = opened(tmp_path / "mail", disk := Stuck())
    log.append([draft(0)])
    disk.stuck = True
    with pytest.raises(InDoubt, match="sending the same ids again is safe"):
        log.append([draft(1), draft(2)])
    check(tmp_path / "mail", [])


# T2 and T4: the tail after a crash.


@pytest.mark.parametrize("step", STEPS)
def test_a_log_cut_at_any_byte_recovers_to_its_last_whole_event(tmp_path, step):
    """T2: every prefix of the active file, after a sealed one; the rest is kept in quarantine."""
    source = filled(tmp_path / "source", 8)
    data, events = source.active.read_bytes(), list(source.read())
    sealed = list(source.segments)
    assert len(sealed) == 2
    assert len(data) > 700
    for size in {
        *range(0, len(data) + 1, step),
        *(place for at, byte in enumerate(data) if byte == 10 for place in (at, at + 1)),
    }:
        folder = tmp_path / str(size)
        (folder / "segments").mkdir(parents=True)
        for segment in sealed:
            os.link(segment.path, folder / "segments" / segment.path.name)
        (folder / "events.jsonl").write_bytes(data[:size])
        whole = data[:size].rfind(b"\n") + 1
        expected = events[: sealed[-1].last + data[:size].count(b"\n")]
        log = opened(folder, Unflushed())
        assert list(log.read()) == expected
        log.append([draft(1000)])
        after = list(log.read())
        assert after[: len(expected)] == expected
        assert after[-1].subject == "1000"
        assert not log.verify().damage
        kept = [path.read_bytes() for path in log.quarantine.glob("tail-*")]
        assert kept == ([data[whole:size]] if size > whole else [])
        recorded = [event.data["bytes"] for event in after if event.kind == "log.recovered"]
        assert recorded == ([size - whole] if size > whole else [])
    print(f"every {step}. of {len(data) + 1} prefixes and each end of a line, each recovered to its last whole event")


TAILS = {
    "NULs": b"\0" * 100,
    "a page of NULs": b"\0" * 4096,
    "NULs with a newline": b"\0" * 50 + b"\n",
    "garbage": bytes(range(128, 256)),
    "garbage with newlines": b"\n\n{}\n\xff\xfe\nnull\n\n",
    "more than a window": b"\xf0\x9f" * 50_000 + b"\n" + b"{" * 70_000,
    "half an event": b'{"v":1,"seq":3,"id":"',
    "an event without its hash": b'{"v":1,"seq":3,"id":"x"}\n',
}


@pytest.mark.parametrize("tail", TAILS.values(), ids=TAILS)
def test_garbage_after_any_event_is_moved_to_quarantine(tmp_path, tail):
    """T4: bytes after the last whole event were never acknowledged."""
    source = filled(tmp_path / "source", 4, segment_bytes=1 << 20)
    lines, events = source.active.read_bytes().splitlines(keepends=True), list(source.read())
    for count in range(len(lines) + 1):
        folder = tmp_path / str(count)
        folder.mkdir()
        (folder / "events.jsonl").write_bytes(b"".join(lines[:count]) + tail)
        log, damage = opened(folder, Unflushed()), []
        assert list(log.read(damage=damage)) == events[:count]
        assert not log.verify().corrupt
        assert log.verify().torn == len(tail)
        log.append([draft(1000)])
        assert list(log.read())[:count] == events[:count]
        assert [path.read_bytes() for path in log.quarantine.iterdir()] == [tail]
        assert not log.verify().damage
    print(f"{len(lines) + 1} prefixes with {len(tail)} bytes behind each, all recovered")


def test_a_last_line_longer_than_a_window_is_found(tmp_path):
    """The end of the log is read backwards, in windows that grow."""
    for size in (2000, 40_000, 70_000, 1_000_000):
        log = opened(tmp_path / str(size), Unflushed(), segment_bytes=1 << 22)
        log.append([draft(0)])
        log.append([draft(1, size)])
        again = opened(log.folder, Unflushed(), segment_bytes=1 << 22)
        assert again.append([draft(2)])[0].seq == 4
        assert again.head().seq == 4
        with log.active.open("ab") as file:
            file.write(b"torn" * size)
        assert log.head().seq == 4
        assert opened(log.folder, Unflushed(), segment_bytes=1 << 22).append([draft(3)])[0].seq == 6


# T3: a flush that fails.


@pytest.mark.parametrize("forever", [False, True], ids=["once", "for ever"])
def test_a_failed_flush_is_in_doubt_and_never_retried_on_that_file(tmp_path, forever):
    """T3: nothing is acknowledged, later appends go to a new inode, and the same id sent again is one event."""
    log = opened(tmp_path / "mail", disk := Faulty(), segment_bytes=1 << 20)
    log.append([draft(0)])
    old = log.active.stat().st_ino
    disk.only, disk.count, disk.nth, disk.forever = "sync", 0, 1, forever
    disk.fault = fails_with(errno.EIO)
    for _ in range(3 if forever else 1):
        with pytest.raises((InDoubt, LogUnavailable) if forever else InDoubt) as raised:
            log.append([draft(1)])
        assert raised.type is LogUnavailable or draft(1).id in str(raised.value)
    assert (log.active.stat().st_ino == old) is forever  # for ever: the new file could not be flushed either
    disk.mend()
    log.append([draft(1)])
    assert log.active.stat().st_ino != old
    assert not disk.flushed_again
    assert disk.met >= 1
    check(tmp_path / "mail", [])
    print(f"{disk.met} flushes failed, {disk.flushed_again} tried again")


def test_a_failed_flush_is_reported_to_every_thread(tmp_path):
    """T3: the kernel reports it once per descriptor, so each thread has its own."""

    class OncePerDescriptor(Disk):
        """A disk that behaves as Linux does: the file's failure is told to each open descriptor one time."""

        def __init__(self) -> None:
            self.reported: set[int] = set()
            self.failing = 0
            self.both = threading.Barrier(2)

        def sync(self, descriptor):
            if os.fstat(descriptor).st_ino == self.failing:
                self.both.wait()  # both have written
                if descriptor not in self.reported:
                    self.reported.add(descriptor)
                    raise OSError(errno.EIO, "I/O error")
            super().sync(descriptor)

    log = opened(tmp_path / "mail", disk := OncePerDescriptor())
    log.append([draft(0)])
    disk.failing = log.active.stat().st_ino
    outcomes = []

    def write(number: int) -> None:
        try:
            outcomes.append(log.append([draft(number)]))
        except InDoubt:
            outcomes.append(None)

    threads = [threading.Thread(target=write, args=(number,)) for number in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes == [None, None]
    check(tmp_path / "mail", [])


def test_a_failed_flush_while_sealing_is_not_retried(tmp_path):
    """T3: if the flush of a rotation fails, the file is copied to a new inode before anything else is written."""
    log = opened(tmp_path / "mail", disk := Faulty())
    while log.active.stat().st_size < SMALL if log.active.exists() else True:
        log.append([draft(disk.count + 2000)])
    disk.only, disk.count, disk.nth, disk.fault = "sync", 0, 1, fails_with(errno.EIO)
    with pytest.raises(LogUnavailable):
        log.append([draft(1)])
    old = log.active.stat().st_ino
    log.append([draft(1)])
    (segment,) = log.segments
    assert segment.path.stat().st_ino != old
    assert not disk.flushed_again
    assert not log.verify().damage


# T5: damage that a crash cannot cause.


def broken_logs(data: bytes, step: int):
    """Yield damaged logs: bits of every `step`-th byte flipped, lines deleted, repeated, swapped, torn."""
    for at in range(0, len(data), step):
        yield f"bit of byte {at}", data[:at] + bytes([data[at] ^ 1 << at % 8]) + data[at + 1 :]
    lines = data.splitlines(keepends=True)
    for n in range(len(lines)):
        yield f"line {n} deleted", b"".join(lines[:n] + lines[n + 1 :])
        yield f"line {n} doubled", b"".join(lines[: n + 1] + lines[n:])
        yield f"line {n} torn", b"".join(lines[:n]) + lines[n][: len(lines[n]) // 2] + b"".join(lines[n + 1 :])
        yield f"line {n} emptied", b"".join([*lines[:n], b"\n", *lines[n + 1 :]])
        for m in range(n):
            swapped = lines.copy()
            swapped[n], swapped[m] = lines[m], lines[n]
            yield f"lines {m} and {n} swapped", b"".join(swapped)


def verifying(data: bytes) -> dict[int, bytes]:
    """Return the lines that verify, by seq."""
    return {event.seq: line for line in data.split(b"\n") if (event := decode(line)) is not None}


def first_difference(good: bytes, bad: bytes) -> int:
    """Return the offset of the first line that differs from what was written."""
    at = 0
    for line, damaged in zip(good.splitlines(keepends=True), bad.splitlines(keepends=True), strict=False):
        if line != damaged:
            break
        at += len(line)
    return at


def refused(log: EventLog, damage: Damage) -> None:
    """Assert that this process and a new one refuse appends, with an error that says where the damage is."""
    before = log.active.read_bytes()
    for writer in (log, opened(log.folder, Unflushed())):
        with pytest.raises(LogDamaged, match=f"{damage.path.name} byte {damage.offset}, seq {damage.seq}: "):
            writer.append([draft(1000)])
    assert log.active.read_bytes() == before


def mended(log: EventLog, lines: dict[int, bytes]) -> None:
    """Repair, and assert that appends work, the log verifies, and no line that verified is lost."""
    done = log.repair()
    assert log.append([draft(1000)])[0].subject == "1000"
    report = log.verify()
    assert not report.damage
    kept = b"\n".join(path.read_bytes() for path in [*(s.path for s in log.segments), log.active]).split(b"\n")
    assert set(lines.values()) <= set(kept)
    seqs = [event.seq for event in log.read()]
    assert seqs == sorted(set(seqs))
    again = log.repair()
    assert (again.gaps, again.copies) == ((), ())
    assert all(copy.exists() for copy in done.copies)


@pytest.mark.parametrize("step", STEPS)
def test_any_damage_in_the_active_file_is_reported_refused_and_repaired(tmp_path, step):
    """T5: verify reports seq and offset, readers skip and count, appends are refused, and repair loses nothing.

    Damage that reaches the end of the file is not told from an unfinished append: it is set aside in quarantine.
    """
    source = filled(tmp_path / "source", 4, segment_bytes=1 << 20)
    data, events = source.active.read_bytes(), {event.seq: event for event in source.read()}
    cases = at_the_end = 0
    for cases, (what, bad) in enumerate(broken_logs(data, step), start=1):
        folder = tmp_path / str(cases)
        folder.mkdir()
        (folder / "events.jsonl").write_bytes(bad)
        log, lines, damage = opened(folder, Unflushed(), segment_bytes=1 << 20), verifying(bad), []
        read = list(log.read(damage=damage))
        assert {event.seq: event for event in read} == {seq: events[seq] for seq in lines}, what
        assert len(read) == len(lines), what
        report, at = log.verify(), first_difference(data, bad)
        if data.startswith(bad) and bad.endswith(b"\n"):  # the last line deleted: nothing tells
            assert not report.damage, what
            continue
        assert report.damage[0].offset == at, what
        assert report.damage[0].seq == data[:at].count(b"\n") + 1, what
        if report.corrupt:
            assert damage or "deleted" in what or "swapped" in what, what  # there no line was skipped
            refused(log, report.corrupt[0])
            mended(log, lines)
        else:
            at_the_end += 1
            assert report.torn, what
            log.append([draft(1000)])
            assert bad[at:] in {path.read_bytes() for path in log.quarantine.iterdir()}, what
            assert not log.verify().damage, what
    print(f"{cases} broken logs, {at_the_end} of them at the end; each one found, none lost a line that verifies")


@pytest.mark.parametrize("step", STEPS)
def test_any_damage_in_a_sealed_file_is_reported_refused_and_repaired(tmp_path, step):
    """T5: as in the active file, but there is no unfinished append at its end."""
    source = filled(tmp_path / "source", 5, segment_bytes=1300)
    active, events = source.active.read_bytes(), {event.seq: event for event in source.read()}
    (segment,) = source.segments
    data, sums = segment.path.read_bytes(), source.segments.sums.read_bytes()
    for cases, (what, bad) in enumerate(broken_logs(data, step), start=1):
        folder = tmp_path / str(cases)
        (folder / "segments").mkdir(parents=True)
        (folder / "segments" / segment.path.name).write_bytes(bad)
        (folder / "segments" / "SHA256SUMS").write_bytes(sums)
        (folder / "events.jsonl").write_bytes(active)
        log, lines = opened(folder, Unflushed()), verifying(bad) | verifying(active)
        read = list(log.read(damage=[]))
        assert {event.seq: event for event in read} == {seq: events[seq] for seq in lines}, what
        report = log.verify()
        assert {d.offset for d in report.corrupt} & {first_difference(data, bad), 0}, what
        refused(log, report.corrupt[0])
        mended(log, lines)
    print(f"{cases} broken segments, each one found and mended")


def test_damage_at_any_offset_of_a_sealed_file_is_found(tmp_path):
    """T5: the offset may be larger than the active file is long."""
    log = filled(tmp_path / "mail", 100, segment_bytes=20_000, on_sealed=None)
    (segment,) = [s for s in log.segments if s.first == 1]
    data = segment.path.read_bytes()
    segment.path.chmod(0o644)
    segment.path.write_bytes(data[:18_000] + b"?" + data[18_001:])
    log.segments.sums.unlink()
    report = log.verify()
    assert [d.path for d in report.corrupt] == [segment.path] * 2
    refused(log, report.corrupt[0])
    mended(log, verifying(segment.path.read_bytes()))
    assert not segment.parquet.exists()  # it would still show what is lost


def test_damage_near_the_end_is_found_before_an_append(tmp_path):
    """T5: a new writer checks the last 64 KiB and makes all writers refuse appends if they do not verify."""
    log = filled(tmp_path / "mail", 10, segment_bytes=1 << 20)
    data = log.active.read_bytes()
    log.active.write_bytes(data[:1000] + b"?" + data[1001:])
    for _ in range(2):
        with pytest.raises(LogDamaged, match="seq 3"):
            opened(log.folder).append([draft(20)])
    with pytest.raises(LogDamaged):
        log.append([draft(20)])


def test_a_damaged_first_line_does_not_stop_a_rotation(tmp_path):
    """A running writer does not see it and seals the file; verify finds it there."""
    log = filled(tmp_path / "mail", 3)
    data = log.active.read_bytes()
    log.active.write_bytes(b"?" * 30 + data[30:])
    for number in range(4, 9):
        log.append([draft(number)])
    assert next(iter(log.segments)).first == 1
    assert log.verify().corrupt[0].offset == 0
    mended(log, {})


def test_a_sealed_file_without_any_line_does_not_affect_the_others(tmp_path):
    """The events of the other files are kept, and ids are still looked up."""
    log = filled(tmp_path / "mail", 8)
    *_, last = log.segments
    lines = verifying(log.active.read_bytes())
    last.path.chmod(0o644)
    last.path.write_bytes(b"?" * 100)
    assert log.verify().corrupt
    mended(log, lines)
    assert not last.path.read_bytes()
    assert log.append([draft(7)])[0].seq in lines
    for segment in log.segments:
        if segment.last > last.last:
            segment.path.unlink()
    log.active.unlink()
    newest = max(event.seq for event in log.read())
    assert newest < last.first
    assert log.append([draft(1001)])[0].seq == newest + 2


def test_a_gap_stays_known_after_a_rotation(tmp_path):
    """T5: the record in a later file excuses the gap in an earlier one, for every writer."""
    log = filled(tmp_path / "mail", 3)
    lines = log.active.read_bytes().splitlines(keepends=True)
    log.active.write_bytes(b"".join([*lines[:2], *lines[3:]]))
    log.verify()
    assert log.repair().gaps == ((2, 4),)
    for number in range(10, 20):
        opened(log.folder, Unflushed()).append([draft(number)])
    assert len(list(log.segments)) > 1
    assert not log.verify().damage
    assert log.repair() == (log.verify().events, (), (), 0, ())


def test_a_gap_in_a_sealed_file_is_recorded_without_an_active_file(tmp_path):
    """T5: repair after a crash in the middle of a rotation, with damage before it."""
    log = filled(tmp_path / "mail", 8)
    log.active.unlink()
    (first, *_) = log.segments
    lines = first.path.read_bytes().splitlines(keepends=True)
    first.path.chmod(0o644)
    first.path.write_bytes(b"".join([*lines[:2], *lines[3:]]))
    assert log.verify().corrupt
    with pytest.raises(LogDamaged):
        log.append([draft(20)])
    mended(log, verifying(first.path.read_bytes()))


def test_verify_reports_no_damage_while_others_write(tmp_path):
    """It verifies one snapshot while other processes append and rotate."""

    def write(writer: int):
        log = opened(tmp_path / "mail", Unflushed(), segment_bytes=30_000, clock=SystemClock())
        for number in range(300):
            log.append([draft(writer * 1000 + number, size=number * 5)._replace(id=None)])

    with child(lambda: write(1)) as first, child(lambda: write(2)) as second:
        log, checks, running = opened(tmp_path / "mail"), 0, {first, second}
        while running:
            assert not log.verify().corrupt
            checks += 1
            running -= ended(running)
    assert log.verify().events > 600
    assert not log.verify().damage
    print(f"{checks} checks while {len(list(log.segments))} segments were sealed, none a false alarm")


# T8: a full disk.


def fill_up(log: EventLog) -> int:
    """Append until the disk is full; return the number of acknowledged events."""
    for number in range(100_000):
        try:
            log.append([draft(number, size=1000)])
        except LogUnavailable:
            return number
    raise AssertionError("there is room without end")


@contextmanager
def mounted(folder: Path, size: str):
    folder.mkdir()
    made = os.spawnlp(os.P_WAIT, "mount", "mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder))
    if made != 0:
        pytest.skip("no file system can be mounted here")
    try:
        yield folder
    finally:
        os.spawnlp(os.P_WAIT, "umount", "umount", str(folder))


@ROOT
def test_a_full_disk_is_one_error_and_appends_work_once_there_is_space(tmp_path):
    """T8: on a file system of 256 KiB, also while rotating."""
    for segment_bytes in (1 << 20, 50_000):
        with mounted(tmp_path / f"{segment_bytes}", "256k") as disk:
            ballast = disk / "ballast"
            ballast.write_bytes(b"x" * 20_000)
            log = opened(disk / "mail", segment_bytes=segment_bytes)
            count = fill_up(log)
            for _ in range(3):
                with pytest.raises(LogUnavailable, match="the disk is full"):
                    log.append([draft(count, size=5000)])
            assert not log.verify().damage
            ballast.unlink()
            log.append([draft(count)])
            events = [event for event in log.read() if not event.kind.startswith("log.")]
            assert [event.subject for event in events] == [str(number) for number in range(count + 1)]
            assert not log.verify().damage
            print(f"disk full after {count} events, {len(list(log.segments))} segments; 0 lost")
            del log


def test_a_file_size_limit_is_one_error_and_appends_work_once_it_is_raised(tmp_path):
    """T8: the limit of `ulimit -f`, in a process of its own."""
    reader, writer = os.pipe()

    def work():
        _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, hard))
        log = opened(tmp_path / "mail", segment_bytes=1 << 20)
        count = fill_up(log)
        size = log.active.stat().st_size
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        log.append([draft(count)])
        os.write(writer, f"{count} {size}".encode())

    with child(work) as pid:
        _, status = os.waitpid(pid, 0)
        os.close(writer)
        with os.fdopen(reader) as pipe:
            count, size = map(int, pipe.read().split())
    assert status == 0
    assert size <= 50_000
    log = opened(tmp_path / "mail")
    assert not log.verify().damage
    assert len([event for event in log.read() if event.kind == "mail.sent"]) == count + 1
    print(f"limit reached after {count} events, {size} bytes; 0 lost")


# T9: a lock that is not released.


class StopsItself(Disk):
    """A disk whose process stops in the middle of its n-th write, holding the lock."""

    def __init__(self, nth: int) -> None:
        self.left = nth

    def write(self, descriptor, data):
        self.left -= 1
        if self.left == 0:
            written = super().write(descriptor, data[:10])
            os.kill(os.getpid(), signal.SIGSTOP)
            return written
        return super().write(descriptor, data)


def test_a_lock_timeout_names_the_stopped_holder(tmp_path):
    """T9: the error has its pid; when the holder continues, its event is written and others can append."""
    filled(tmp_path / "mail", 3)
    with child(lambda: opened(tmp_path / "mail", StopsItself(1)).append([draft(10)])) as pid:
        assert os.WIFSTOPPED(os.waitpid(pid, os.WUNTRACED)[1])
        clock = ManualClock()
        waiting = opened(tmp_path / "mail", clock=clock, lock_timeout=5)
        with pytest.raises(LockTimeout, match=f"process {pid} for more than 5 s"):
            waiting.append([draft(11)])
        assert 5 <= clock.elapsed < 6
        assert [event.subject for event in waiting.read()][-1] == "2"  # readers do not wait
        os.kill(pid, signal.SIGCONT)
        assert os.waitpid(pid, 0)[1] == 0
        waiting.append([draft(11)])
        assert [event.subject for event in waiting.read()][-2:] == ["10", "11"]
    print("1 holder stopped, named, and waited for")


def test_the_lock_of_a_killed_holder_is_released(tmp_path):
    """T9: the kernel releases the lock of a dead process, and its partial event is quarantined."""
    filled(tmp_path / "mail", 3)
    with child(lambda: opened(tmp_path / "mail", StopsItself(1)).append([draft(10)])) as pid:
        assert os.WIFSTOPPED(os.waitpid(pid, os.WUNTRACED)[1])
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        log = opened(tmp_path / "mail", segment_bytes=1 << 20)
        log.append([draft(11)])
    assert [path.stat().st_size for path in log.quarantine.iterdir()] == [10]
    assert [event.kind for event in log.read()][-2:] == ["log.recovered", "mail.sent"]
    assert not log.verify().damage


def test_a_lock_timeout_says_if_another_thread_holds_the_lock(tmp_path):
    """T9: threads of one process wait for each other with the same timeout."""
    log = filled(tmp_path / "mail", 1, lock_timeout=0.01)
    with log._lock:
        raised = []

        def write():
            with pytest.raises(LockTimeout, match="another thread of this process") as error:
                log.append([draft(1)])
            raised.append(error)

        thread = threading.Thread(target=write)
        thread.start()
        thread.join()
    assert raised
    log.append([draft(1)])


def test_a_forked_child_can_use_its_parents_log(tmp_path):
    """The child opens its own lock and file, whatever the parent's threads are doing."""
    log = filled(tmp_path / "mail", 1)
    with log._lock:
        with child(lambda: log.append([draft(1)])) as pid:
            assert os.waitpid(pid, os.WNOHANG)[0] == 0  # it waits for its parent's lock
            log._lock.__exit__()
            assert os.waitpid(pid, 0)[1] == 0
        log._lock.__enter__()
    assert log.append([draft(2)])[0].seq == 4
    assert not log.verify().damage


class LetsGo(SystemClock):
    """A clock whose `sleep` releases a lock that another process waits for."""

    def __init__(self, log: EventLog) -> None:
        self.log: EventLog | None = log

    def sleep(self, seconds: float) -> None:
        super().sleep(seconds)
        if self.log:
            self.log._lock.__exit__()
            self.log = None


def test_a_lock_is_waited_for(tmp_path, monkeypatch):
    """T9: a waiting writer yields the processor, then sleeps, then gets the lock."""
    holder = filled(tmp_path / "mail", 1)
    for number in range(1, 4):
        holder._lock.__enter__()
        clock = LetsGo(holder)
        if number == 3:  # free before anybody has to sleep
            monkeypatch.setattr(os, "sched_yield", lambda clock=clock: clock.sleep(0))
        assert opened(tmp_path / "mail", clock=clock).append([draft(number)])[0].subject == str(number)
    assert not holder.verify().damage


def test_an_unknown_holder_is_called_another_process(tmp_path, monkeypatch):
    """T9: not every system lists its locks."""
    holder = filled(tmp_path / "mail", 1)
    monkeypatch.setattr("team_mail.mail.log.lock._LOCKS", tmp_path / "nowhere")
    with holder._lock, pytest.raises(LockTimeout, match="another process"):
        opened(tmp_path / "mail").append([draft(1)])


def test_a_system_without_locks_is_one_error(tmp_path, monkeypatch):
    """T9: the error is raised at once, and the log stays usable."""
    log = filled(tmp_path / "mail", 1)

    def refuse(descriptor, operation):
        raise OSError(errno.ENOLCK, "No locks available")

    with monkeypatch.context() as patch:
        patch.setattr("team_mail.mail.log.lock.fcntl.flock", refuse)
        with pytest.raises(LogUnavailable, match="No locks available"):
            log.append([draft(1)])
    log.append([draft(1)])


# T11: rotation while others read and write.


def test_rotation_loses_and_repeats_nothing(tmp_path):
    """T11: 4 writers rotate the log every few events while others read, follow and query."""
    writers, each = 4, 80
    size = writers * each

    def write(writer: int):
        log = opened(tmp_path / "mail", segment_bytes=8_000, clock=SystemClock())
        for number in range(each):
            own = None if number % 4 else derived_id(str(writer), str(number))
            log.append([draft(writer * 1000 + number, size=number)._replace(id=own)])

    def read(counter: int):
        log, seqs = opened(tmp_path / "mail"), []
        while len(seqs) < size:
            seqs = [event.seq for event in log.read()]
            assert seqs == list(range(1, len(seqs) + 1))
            os.write(counter, b".")

    def follow():
        follower = opened(tmp_path / "mail", clock=SystemClock()).follow(after=0)
        assert [next(follower).seq for _ in range(size)] == list(range(1, size + 1))

    counted, counter = os.pipe()
    with ExitStack() as children:
        running = {children.enter_context(child(work)) for work in (follow, lambda: read(counter))}
        running |= {children.enter_context(child(lambda writer=writer: write(writer))) for writer in range(writers)}
        os.close(counter)
        log, asked = opened(tmp_path / "mail"), 0
        query = Query(log)
        while running:
            with suppress(LogUnavailable):  # rotated five times while it was read
                messages = query.rows("mailbox", persona="bob")
                assert len(messages) == len({row["id"] for row in messages})
                asked += 1
            running -= ended(running)
        assert len(query.rows("mailbox", persona="bob")) == size
    with os.fdopen(counted) as counts:
        reads = len(counts.read())
    mail = [event for event in log.read() if event.kind == "mail.sent"]
    assert len({event.id for event in mail}) == len(mail) == size
    for writer in range(writers):
        own = [int(event.subject) for event in mail if int(event.subject) // 1000 == writer]
        assert own == [writer * 1000 + number for number in range(each)]
    assert not log.verify().damage
    rotations = len(list(log.segments))
    assert rotations > 10
    print(f"{size} events, {rotations} rotations, {reads} times read whole, {asked} questions: 0 lost, 0 twice")


def test_a_sealed_segment_has_a_checksum_and_may_be_skipped_by_readers(tmp_path):
    """A segment has a checksum and, as a cache, Parquet copies; a reader of later events does not open it."""
    log = filled(tmp_path / "mail", 8, on_sealed=write_parquet)
    for segment in log.segments:
        assert segment.parquet.exists()
        assert segment.mailbox_parquet.exists()
        assert not segment.path.stat().st_mode & 0o222
        assert segment.path.name in log.segments.checksums()
    every = list(log.read())
    for after in range(len(every) + 1):
        assert list(log.read(after)) == every[after:]


def test_a_snapshot_of_a_damaged_log_is_a_copy_of_the_lines_that_verify(tmp_path):
    """T5: the database reads only events that verify, each once."""
    log = filled(tmp_path / "mail", 8)
    lines = log.active.read_bytes().splitlines(keepends=True)
    log.active.write_bytes(b"".join([lines[0], *lines, b"{}\n", lines[-1]]))
    assert log.verify().corrupt
    moment = log.snapshot()
    assert log.snapshot() == moment
    assert moment.active != log.active
    events = [decode(line) for line in moment.active.read_bytes().splitlines()]
    assert events == list(log.read())
    assert {row["subject"] for row in Query(log).rows("mailbox", persona="bob")} == {str(number) for number in range(8)}


def test_a_reader_sees_one_moment_across_two_rotations(tmp_path):
    """T11: segments sealed after the active file was opened are left out."""
    log = filled(tmp_path / "mail", 3)
    before = list(log.read())

    class Late(type(log.segments)):
        def __iter__(self):
            if self.late:
                self.late = False
                for number in range(10, 30):
                    writer.append([draft(number)])
            return super().__iter__()

    writer = opened(log.folder, Unflushed())
    log.segments.__class__ = Late
    log.segments.late = True
    assert list(log.read()) == before
    assert len(list(log.segments)) > 2


# T12: a lost acknowledgement.


def test_an_event_sent_again_after_a_lost_acknowledgement_is_written_once(tmp_path):
    """T12: the sender is killed after the write, before or after the flush; another one sends the same id."""
    repeats = 0
    for nth in (1, 2):
        folder = tmp_path / str(nth)
        filled(folder, 2)
        disk = Faulty(nth, is_the_last)
        disk.only = "sync"
        with child(lambda folder=folder, disk=disk: [opened(folder, disk).append([draft(5)]) for _ in range(2)]) as pid:
            assert os.WIFSIGNALED(os.waitpid(pid, 0)[1])
        for _ in range(3):
            opened(folder).append([draft(5)])
            repeats += 1
        assert [event.id for event in opened(folder).read()].count(draft(5).id) == 1
    print(f"{repeats} repeats of 2 unacknowledged events: each stands once")


def test_an_id_is_found_although_its_event_was_sealed_meanwhile(tmp_path):
    """T12: the log may rotate between the lookup of an id and the lock."""
    log, reader = filled(tmp_path / "mail", 2), opened(tmp_path / "mail", Unflushed())

    class Overtaken(type(log._lock)):
        def __enter__(self):
            if self.overtaken:
                self.overtaken = False
                for number in range(5, 25):
                    reader.append([draft(number)])
            super().__enter__()

    log._lock.__class__ = Overtaken
    for repeat in (5, 24):
        log._lock.overtaken = repeat == 5
        (event,) = log.append([draft(repeat)])
        assert [e.seq for e in log.read() if e.id == draft(repeat).id] == [event.seq]


# Places where the log cannot be.


@pytest.mark.parametrize("kind", ["nfs", "nfs4", "cifs", "smb3", "ceph", "fuse.sshfs", "lustre"])
def test_a_network_file_system_is_refused(tmp_path, kind):
    """Locks and flushes are not reliable there; the error says what to use instead."""

    class Remote(Disk):
        def filesystem(self, path):
            return kind

    with pytest.raises(LogUnavailable, match=f"network file system .{kind}.*TEAM_HOME"):
        opened(tmp_path / "mail", Remote()).append([draft(0)])
    assert not (tmp_path / "mail" / "events.jsonl").exists()


def test_the_file_system_type_is_read_from_the_mounts(tmp_path, monkeypatch):
    """If the system does not tell, no file system is refused."""
    assert Disk().filesystem(Path("/proc")) == "proc"
    assert Disk().filesystem(tmp_path)
    table = tmp_path / "mountinfo"
    monkeypatch.setattr("team_mail.mail.log.disk._MOUNTS", table)
    assert not Disk().filesystem(tmp_path)
    table.write_text("22 1 0:999 / /elsewhere rw - ext4 /dev/sda rw\n")
    assert not Disk().filesystem(tmp_path)


@ROOT
def test_a_read_only_folder_is_one_error(tmp_path):
    """Another user can read and verify the log, and is told why it cannot be written."""
    log = filled(tmp_path / "mail", 2)
    for folder in (tmp_path, *tmp_path.parents):
        if not folder.stat().st_mode & 0o001:
            folder.chmod(folder.stat().st_mode | 0o011)
    log.folder.chmod(0o555)
    count = len(list(log.read()))

    def work():
        os.setgid(65534)
        os.setuid(65534)
        reopened = opened(log.folder)
        assert len(list(reopened.read())) == reopened.verify().events == count
        with pytest.raises(LogUnavailable, match="this user may not read or write there"):
            reopened.append([draft(5)])

    with child(work) as pid:
        assert os.waitpid(pid, 0)[1] == 0


def test_a_read_only_log_file_is_one_error(tmp_path):
    """A chmod by a person is respected, even by root, and distinguished from damage."""
    log = filled(tmp_path / "mail", 2)
    log.active.chmod(0o444)
    with pytest.raises(LogUnavailable, match="this user may not read or write there"):
        log.append([draft(5)])
    log.active.chmod(0o644)
    log.append([draft(5)])


@pytest.mark.parametrize("name", ["events.jsonl", "lock"])
def test_a_symbolic_link_is_refused(tmp_path, name):
    """The log cannot be made to write to another file."""
    folder, victim = tmp_path / "mail", tmp_path / "victim"
    folder.mkdir()
    victim.write_text("precious\n")
    (folder / name).symlink_to(victim)
    with pytest.raises(LogUnavailable, match="symbolic link"):
        opened(folder).append([draft(0)])
    assert victim.read_text() == "precious\n"


def test_a_folder_that_is_a_file_is_one_error(tmp_path):
    """The error says that the folder cannot be created."""
    (tmp_path / "mail").write_text("")
    with pytest.raises(LogUnavailable, match="cannot write the log in"):
        opened(tmp_path / "mail").append([draft(0)])


def test_a_missing_log_is_empty(tmp_path):
    """Missing files are an empty log for every reader, and reading creates none."""
    log = opened(tmp_path / "mail")
    assert list(log.read()) == []
    assert log.head().seq == 0
    assert log.verify().events == 0
    follower = log.follow()
    assert not log.folder.exists()
    opened(tmp_path / "mail").append([draft(0)])
    assert [next(follower).seq for _ in range(2)] == [1, 2]


def test_following_works_without_file_notifications(tmp_path):
    """The folder is polled if it cannot be watched."""
    stop = threading.Event()

    class Impatient(ManualClock):
        def sleep(self, seconds):
            super().sleep(seconds)
            if self.elapsed > 1 and not (tmp_path / "later").exists():
                filled(tmp_path / "later", 1)

    follower = opened(tmp_path / "later", clock=Impatient()).follow(after=0, stop=stop)
    assert [next(follower).seq for _ in range(2)] == [1, 2]
    stop.set()
    assert list(follower) == []


# Blobs.


def test_a_blob_is_written_atomically(tmp_path):
    """T1: whichever call fails or is the last, acknowledged blobs are there and none is partial."""
    data, nth, met = b"x" * 10_000, 0, True
    while met:
        nth += 1
        for number, fault in enumerate([fails_with(errno.ENOSPC), falls_short, falls_short_and_fails]):
            blobs = FileBlobs(tmp_path / f"{nth} {number}", disk := Faulty(nth, fault))
            with suppress(OSError):
                blob = blobs.put(data)
                assert blobs.read(blob.sha256) == data
            met = bool(disk.met)
            disk.mend()
            blob = blobs.put(data)
            assert blobs.read(blob.sha256) == data
            assert blob == blobs.put(data)
    print(f"{nth - 1} calls failed in turn, 0 blobs lost")


def test_a_blob_that_is_missing_or_changed_is_not_read(tmp_path):
    """Bytes are checked against their name, and only a hash is a name."""
    blobs = FileBlobs(tmp_path / "blobs")
    blob = blobs.put(b"precious")
    path = blobs.path(blob.sha256)
    path.write_bytes(b"changed")
    with pytest.raises(BlobMissing, match="has changed"):
        blobs.read(blob.sha256)
    path.unlink()
    with pytest.raises(BlobMissing, match="is missing"):
        blobs.read(blob.sha256)
    for name in ("../../etc/passwd", "", "A" * 64, "a" * 63):
        with pytest.raises(BlobMissing, match="not the name"):
            blobs.read(name)
