"""What stands on the wire: frames, words, names, and the spool that keeps frames once for all."""

from __future__ import annotations

import asyncio
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from team_mail.team.console.wire.frames import MOST_BATCH, MOST_FRAME, frame, pieces
from team_mail.team.console.wire.names import NoPersona, persona_of, wire_names
from team_mail.team.console.wire.signal import Signal
from team_mail.team.console.wire.spool import Audience, Spool
from team_mail.team.console.wire.words import Words

TEXT = st.text(st.sampled_from("ab \n\r日é:"), max_size=30) | st.text(max_size=30)


def parsed(data: bytes) -> list[dict[str, str]]:
    """Read a stream as the standard says."""
    events: list[dict[str, str]] = []
    for block in data.decode().split("\n\n")[:-1]:
        if block.startswith(":"):
            continue
        rows: dict[str, list[str]] = {}
        for row in block.split("\n"):
            field, _, value = row.partition(":")
            rows.setdefault(field, []).append(value.removeprefix(" "))
        events.append({field: "\n".join(values) for field, values in rows.items()})
    return events


@given(TEXT, st.sampled_from(["", "x:1"]))
def test_a_reader_gets_the_text_that_was_framed(text, id):
    """Whatever its line ends, each is a newline for the reader, and nothing else changes."""
    (event,) = parsed(frame("Kart", text, id))
    plain = text.replace("\r\n", "\n").replace("\r", "\n").encode(errors="replace").decode()
    assert event == {"event": "Kart", "data": plain} | ({"id": id} if id else {})


@given(st.sampled_from(["x", "\n", "日", "\r"]), st.integers(0, 30_000))
def test_no_frame_is_larger_than_it_may_be(letter, count):
    """Pieces make the text again, and each fits."""
    cut = [*pieces(letter * count)]
    assert "".join(cut) == letter * count
    assert max((len(frame("K" * 64, piece, "i" * 60)) for piece in cut), default=0) <= MOST_FRAME


SHOWN = st.lists(
    st.sampled_from(["a", "b\n", "\n", "\n\n", " ", "\x1b[31m", "\x1b]0;title\x07", "\x1b(B", "é"]), max_size=12
)


@settings(max_examples=80)
@given(SHOWN, st.data())
def test_words_are_the_same_wherever_they_are_cut(parts, data):
    """Colours and titles are gone, and the newlines at the end wait for more."""
    text = "".join(parts)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6)))
    words = Words()
    got = "".join(words.add(text[a:b]) for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True))
    assert got == re.sub("\x1b(\\[31m|\\]0;title\x07|\\(B)", "", text).rstrip("\n")


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        (["10%\r20%\r30%\n", "done"], ["30%", "\ndone"]),
        (["10%\r", "20%\r", "30%\n", "done"], ["10%", "\n20%", "\n30%", "\ndone"]),
        (["a\r\nb\r", "\nc"], ["a\nb", "\nc"]),
        (["half \x1b[3", "1mred\x1b", "[0m"], ["half ", "red", ""]),
        (["\x07bell\x00", "\n\n", "x"], ["bell", "", "\n\nx"]),
    ],
)
def test_a_progress_bar_is_its_last_state(given, shown):
    """What is written over is not shown, and what was shown before stays above."""
    words = Words()
    assert [words.add(text) for text in given] == shown


def test_a_new_message_stands_below_an_empty_line():
    """Not before the first, and never twice."""
    words = Words()
    words.break_off()
    got = [words.add("one\n")]
    words.break_off()
    words.break_off()
    assert [*got, words.add("two")] == ["one", "\n\ntwo"]


@pytest.mark.parametrize(
    ("asked", "names"),
    [
        (["Kart", "Riggs", "Kart", "kart"], ["Kart", "Riggs", "Kart.2", "kart.3"]),
        (["complete", "done_x", "Error_y", "restarted"], ["complete.1", "done_x.1", "Error_y.1", "restarted.1"]),
        (["complete", "complete"], ["complete.1", "complete.2"]),
        (["Kart.2", "Kart", "Kart"], ["Kart.2", "Kart", "Kart.3"]),
    ],
)
def test_each_persona_of_an_ask_has_a_name_of_its_own(asked, names):
    """As it was asked for, and never that of another event."""
    assert wire_names(asked) == names


@pytest.mark.parametrize("name", ["Kart\nevent: complete", "../x", "x" * 65, "\x1b[31mKart", "", "a b"])
def test_what_is_no_name_is_not_repeated(name):
    """The refusal holds nothing of it."""
    with pytest.raises(NoPersona, match=r"^is not a name$"):
        persona_of(name, ["kart"])


def test_a_persona_is_found_whatever_its_case():
    """One that is not there is told with the nearest."""
    assert persona_of("KART", ["kart", "ada"]) == "kart"
    assert persona_of("Ada", ["Ada", "ada"]) == "Ada"
    with pytest.raises(NoPersona, match="did you mean kart"):
        persona_of("kurt", ["kart", "ada"])


FRAMES = st.lists(st.tuples(st.binary(min_size=1, max_size=20), st.sampled_from(Audience)), max_size=12)


@settings(max_examples=60)
@given(FRAMES, st.sampled_from(Audience), st.integers(1, 60), st.integers(0, 14))
def test_a_spool_gives_each_reader_its_frames_once_and_in_order(frames, audience, most, start):
    """As a list would: those from a position on that are for it, in batches."""
    spool = Spool()
    for data, whose in frames:
        spool.add(data, whose)
    got, at = [], start
    while at < len(spool):
        data, after = spool.read(at, audience, most)
        assert after > at
        assert len(data) <= max(most, 20)
        got.append(data)
        at = after
    assert b"".join(got) == b"".join(data for data, whose in frames[start:] if whose <= audience)
    assert spool.read(len(spool), audience) == (b"", len(spool))
    spool.close()
    assert MOST_BATCH == 64 << 10


def test_a_crowd_is_woken_less_often():
    """The next wake comes after a time for each that the last one woke, and one who waits alone is woken at once."""

    async def waited(crowd: int) -> float:
        signal, loop = Signal(), asyncio.get_running_loop()
        waiters = [signal.waiter() for _ in range(crowd)]
        signal.tell()
        await asyncio.gather(*waiters)
        began, again = loop.time(), signal.waiter()
        signal.tell()
        await again
        return loop.time() - began

    assert asyncio.run(waited(200)) >= 0.04 > min(asyncio.run(waited(1)) for _ in range(5))
