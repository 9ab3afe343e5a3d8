"""The parts of a keeper that need no process of their own: its clock, its files and its report."""

from __future__ import annotations

import json
import os
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from team_mail.personas.keeping import keeper as module
from team_mail.personas.keeping.keeper import Keeper, Spec, heartbeat, opened, quoted, read, reserve, write


@pytest.fixture
def keeper(tmp_path, monkeypatch):
    """Make a keeper for a run that is never started, with a pipe as its standard input."""
    made: list[Keeper] = []

    def make(timeout: float = 60.0, quota: int = 0) -> Keeper:
        paths = (str(tmp_path), str(tmp_path), os.devnull)
        made.append(Keeper(Spec(["true"], {}, [b"sk-0123"], paths, (timeout, 1.0, 100, quota, 30.0, 0.0, False))))
        return made[-1]

    yield make
    for each in made:
        for descriptor in (each._reading, each._writing, each._output._file):
            try:
                os.close(descriptor)
            except OSError:
                continue


def report(folder):
    return json.loads((folder / "ended.json").read_text())


def test_a_run_ends_when_asked_to_stop_or_at_its_timeout_or_over_its_quota(keeper, tmp_path):
    """A request after the timeout changes nothing of it; without a reason, the run goes on."""
    assert keeper()._reason_to_end() == ""
    assert keeper(timeout=0.0)._reason_to_end() == "timeout"
    for timeout, reason in ((9.0, "stopped"), (0.0, "timeout")):
        stopped = keeper(timeout=timeout)
        stopped._stop()
        assert stopped._reason_to_end() == reason


def test_output_is_read_until_the_pipe_is_empty(keeper, tmp_path):
    """A process that still holds the other end of the pipe does not make the keeper wait."""
    this = keeper()
    os.write(this._writing, b"the key is sk-0123\n")

    this._drain()

    assert (tmp_path / "output.log").read_text() == "the key is ***\n"


def test_output_ends_when_the_last_writer_closes_the_pipe(keeper, tmp_path):
    """The end of the pipe is not data, and is not polled again."""
    this = keeper()
    os.write(this._writing, b"done\n")
    os.close(this._writing)

    this._read(this._reading)
    this._read(this._reading)
    this._drain()

    assert (tmp_path / "output.log").read_text() == "done\n"


@pytest.mark.parametrize(("status", "code", "number"), [(0, 0, None), (3, 3, None), (-9, None, 9), (None, None, None)])
def test_the_report_has_exit_code_or_signal(keeper, tmp_path, status, code, number):
    """An agent that never started has neither."""
    this = keeper()
    this._status = status

    this._report("ended", "", 2)

    ended = report(tmp_path)
    assert (ended["exit"], ended["signal"], ended["reason"], ended["survivors"]) == (code, number, "ended", 2)
    assert ended["seconds"] >= 0


@given(st.text())
def test_any_error_message_is_valid_json_in_the_report(text):
    """The keeper writes JSON without the `json` module; characters beyond U+FFFF lose their high bits."""
    plain = "".join(char if char <= "\uffff" else chr(ord(char) & 0xFFFF) for char in text)
    assert json.loads(quoted(text)) == plain


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_heartbeat_names_the_process_and_is_touched(keeper, tmp_path):
    """The first beat writes pid, start time and boot id; later ones only set the file's time."""
    this = keeper()
    this._beat()
    file = tmp_path / "heartbeat"
    text = file.read_text()
    os.utime(file, (1, 1))

    this._beat()
    assert file.stat().st_mtime == 1  # at most once a second
    heartbeat(str(file))

    assert text.split()[0] == str(os.getpid())
    assert file.read_text() == text
    assert file.stat().st_mtime > 1


def test_a_file_is_replaced_atomically_and_never_through_a_link(tmp_path):
    """An agent that can write to the folder must not make its keeper write elsewhere."""
    (tmp_path / "secret").write_text("kept")
    (tmp_path / "file").symlink_to(tmp_path / "secret")
    (tmp_path / f"other.{os.getpid()}").symlink_to(tmp_path / "secret")

    write(str(tmp_path / "file"), "new")
    with pytest.raises(OSError, match="symbolic link"):
        write(str(tmp_path / "other"), "new")

    assert (tmp_path / "file").read_text() == "new"
    assert (tmp_path / "secret").read_text() == "kept"


def test_a_pipe_in_the_place_of_a_file_of_the_keeper_is_not_waited_for(tmp_path):
    """An agent can know the name: it is that of the report, with the keeper's pid."""
    reserve(str(tmp_path / "ended.json"))
    scratch = tmp_path / f"ended.json.{os.getpid()}"
    for held in (False, True):
        scratch.unlink(missing_ok=True)
        os.mkfifo(scratch)
        reader = os.open(scratch, os.O_RDONLY | os.O_NONBLOCK) if held else -1
        write(str(tmp_path / "ended.json"), "{}\n")
        assert (tmp_path / "ended.json").read_text() == "{}\n"
        if held:
            os.close(reader)


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_what_is_no_file_cannot_be_the_input_of_an_agent(tmp_path, make):
    """It is refused at once; the null device is fine, and a file is read as ever."""
    make(tmp_path / "prompt")
    with pytest.raises(OSError, match="is no file"):
        opened(str(tmp_path / "prompt"))
    os.close(opened(os.devnull))
    (tmp_path / "file").write_text("Do it.")
    with os.fdopen(opened(str(tmp_path / "file"))) as file:
        assert file.read() == "Do it."
        assert os.get_blocking(file.fileno())


def test_a_report_has_its_room_before_the_disk_is_full(tmp_path):
    """What was reserved is used, and nothing else is left of it."""
    reserve(str(tmp_path / "ended.json"))
    (scratch,) = tmp_path.iterdir()
    inode, size = scratch.stat().st_ino, scratch.stat().st_size
    write(str(tmp_path / "ended.json"), "{}\n")

    assert size >= 2000
    assert [path.name for path in tmp_path.iterdir()] == ["ended.json"]
    assert (tmp_path / "ended.json").stat().st_ino == inode
    assert (tmp_path / "ended.json").read_text() == "{}\n"


def test_the_specification_is_read_to_its_last_byte(monkeypatch):
    """It may come in pieces, and what follows it is left for the keeper."""
    pieces = [b"12", b"3", b""]
    monkeypatch.setattr(module.os, "read", lambda descriptor, size: pieces.pop(0)[:size])
    assert read(5) == b"123"
