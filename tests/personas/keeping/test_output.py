"""The log of an agent's output: secrets are masked, and what exceeds the cap is dropped and counted."""

import os
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from team_mail.personas.keeping.output import Output

from ...samples import examples


@settings(max_examples=examples(75), deadline=None, database=None)
@given(st.data())
def test_secrets_are_masked_however_the_output_is_split(tmp_path_factory, data):
    """The log is the same as if the output had come in one piece: the leftmost secret first, then the longest."""
    secrets = data.draw(st.lists(st.text("abc", min_size=1, max_size=5), min_size=1, max_size=3, unique=True))
    text = data.draw(st.text("abcx", max_size=40))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6)))
    file = tmp_path_factory.getbasetemp() / "masked.log"
    output = Output(str(file), [secret.encode() for secret in secrets], 10_000)
    for begin, end in zip([0, *cuts], [*cuts, len(text)], strict=True):
        output.take(text[begin:end].encode())
    output.close()

    pattern = "|".join(re.escape(secret) for secret in sorted(secrets, key=len, reverse=True))
    assert file.read_text() == re.sub(pattern, "***", text)


def test_head_and_tail_of_output_beyond_the_cap_are_kept(tmp_path):
    """The line between them says how much was left out; while it comes, the file has little more than the cap."""
    output, file = Output(str(tmp_path / "output.log"), [], 10), tmp_path / "output.log"

    for number in range(100):
        output.take(b"%02d " % number)
        assert file.stat().st_size <= 15
    output.close()

    assert file.read_text() == "00 01\n[output cut here: 290 bytes left out]\n8 99 "
    assert (output.kept, output.cut) == (file.stat().st_size, 290)


@settings(max_examples=examples(75), deadline=None, database=None)
@given(st.lists(st.binary(max_size=30), max_size=20), st.integers(1, 60))
def test_nothing_is_lost_or_doubled_at_the_cap(tmp_path_factory, pieces, cap):
    """However the output is split: its first half, the gap, its last half."""
    file, whole = tmp_path_factory.getbasetemp() / "capped.log", b"".join(pieces)
    output = Output(str(file), [], cap)
    for piece in pieces:
        output.take(piece)
    output.close()

    tail, left = cap // 2, len(whole) - cap
    gap = b"\n[output cut here: %d bytes left out]\n" % left
    kept = whole[: cap - tail] + gap + whole[len(whole) - tail :] if left > 0 else whole
    assert (file.read_bytes(), output.cut) == (kept, max(0, left))


@pytest.mark.parametrize("after", [b"", b"x" * 50])
def test_the_final_event_is_always_kept(tmp_path, after):
    """It stands behind the gap if it would be left out."""
    final = b'{"type": "result", "is_error": true, "result": "%s"}' % (b"y" * 100)
    output = Output(str(tmp_path / "output.log"), [], 40)
    for piece in (b"x" * 50 + b"\n", final + b"\n", after):
        output.take(piece)
    output.close()

    assert final in (tmp_path / "output.log").read_bytes().splitlines()


def test_a_full_disk_loses_output_but_not_the_run():
    """Writing to /dev/full fails as a full disk does: the bytes are counted as dropped, and nothing is raised."""
    output = Output("/dev/full", [], 0)

    output.take(b"0123456789")
    os.close(output._file)

    assert (output.kept, output.cut) == (0, 10)
