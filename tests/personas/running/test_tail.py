"""Following a run's output while it is written."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st
from team_mail.personas.running.tail import Tail, TextTail


def test_a_tail_gives_what_is_appended_and_waits_for_nothing(tmp_path):
    """A file that is not there yet is no error, and each byte comes once."""
    path = tmp_path / "output.log"
    with Tail(path) as tail:
        assert tail.read() == b""
        assert not tail.is_open
        path.write_bytes(b"one\n")
        assert (tail.read(), tail.read()) == (b"one\n", b"")
        with path.open("ab") as file:
            file.write(b"two\n")
        assert (tail.read(2), tail.read(2), tail.offset) == (b"tw", b"o\n", 8)
    with Tail(path, 4) as late:
        assert late.read() == b"two\n"


@pytest.mark.parametrize("kind", ["pipe", "link", "folder"])
def test_only_a_regular_file_is_read(tmp_path, kind):
    """What an agent put in place of its output leads nowhere and holds up nobody."""
    path, secret = tmp_path / "output.log", tmp_path / "secret"
    secret.write_text("secret")
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "link":
        path.symlink_to(secret)
    else:
        path.mkdir()
    with Tail(path) as tail:
        assert tail.read() == b""
        assert not tail.is_open


def test_a_file_that_became_shorter_is_read_on_from_its_end(tmp_path):
    """The keeper leaves out the middle of a long output; nothing is told twice."""
    path = tmp_path / "output.log"
    path.write_bytes(b"x" * 100)
    with Tail(path) as tail:
        assert len(tail.read()) == 100
        os.truncate(path, 50)
        assert tail.read() == b""
        with path.open("ab") as file:
            file.write(b"end")
        assert (tail.read(), tail.cut) == (b"end", 1)


@given(st.text(), st.lists(st.integers(1, 5), max_size=20))
def test_text_comes_in_whole_characters_and_can_be_gone_on_with_from_any_offset(tmp_path_factory, text, sizes):
    """Wherever the pieces end, they make the text, and so they do from the offset of each."""
    path = tmp_path_factory.mktemp("tail") / "output.log"
    path.write_bytes(text.encode())
    tail, got, offsets = TextTail(path), "", [0]
    for size in sizes:
        got += tail.more(most=size)
        offsets.append(tail.offset)
    assert got + tail.more() + tail.more(final=True) == text
    assert [TextTail(path, offset).more() for offset in offsets] == [text.encode()[at:].decode() for at in offsets]
    tail.tail.close()
