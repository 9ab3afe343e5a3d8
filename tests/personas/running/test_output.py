"""The log of an agent's output: secrets are masked, and what exceeds the cap is dropped and counted."""

import os
import re

from hypothesis import given, settings
from hypothesis import strategies as st
from team_mail.personas.running.output import Output


@settings(max_examples=150, deadline=None, database=None)
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


def test_output_beyond_the_cap_is_dropped_and_counted(tmp_path):
    """The last line says how much was kept and how much was dropped."""
    output = Output(str(tmp_path / "output.log"), [], 10)

    output.take(b"0123456")
    output.take(b"789abcdef")
    output.close()

    assert (tmp_path / "output.log").read_text() == "0123456789\n[output cut here: 10 bytes kept, 6 more dropped]\n"
    assert (output.kept, output.cut) == (10 + len("\n[output cut here: 10 bytes kept, 6 more dropped]\n"), 6)


def test_a_full_disk_loses_output_but_not_the_run():
    """Writing to /dev/full fails as a full disk does: the bytes are counted as dropped, and nothing is raised."""
    output = Output("/dev/full", [], 0)

    output.take(b"0123456789")
    os.close(output._file)

    assert (output.kept, output.cut) == (0, 10)
