"""What our own programs print is read by the readers of all agents, and by the keeper."""

from __future__ import annotations

import io

from hypothesis import given
from hypothesis import strategies as st
from team_mail.personas.keeping.events import Events
from team_mail.personas.streams.printer import Printer
from team_mail.personas.streams.stream import Hearer, Listener, ToolCall, Transcript, read_stream

WORDS = st.text(st.characters(codec="utf-8"), min_size=1).filter(str.strip)


def printed(*steps) -> bytes:
    """Return what a printer prints when it takes these steps, each a method's name, its words and options."""
    printer = Printer(io.StringIO())
    for name, words, options in steps:
        getattr(printer, name)(*words, **options)
    return printer.out.getvalue().encode()


def step(name, *words, **options):
    return name, words, options


BEGIN = step("begin", "session-1")


def read(*steps) -> Transcript:
    return read_stream(printed(BEGIN, *steps))


def test_words_calls_and_their_results_are_read():
    transcript = read(
        step("think", "hm"), step("say", "first"), step("call", "1", "bash", {"command": "ls"}),
        step("answer", "1", "a b", failed=False), step("say", "last"), step("end", "last"),
    )  # fmt: skip
    assert (transcript.text, transcript.failed, transcript.finished) == ("last", None, True)
    assert transcript.calls == (ToolCall("bash", {"command": "ls"}, "a b"),)


def test_a_failed_call_is_told_as_an_error_and_a_failed_run_with_its_reason():
    transcript = read(
        step("call", "1", "bash", {}), step("answer", "1", "no", failed=True), step("end", "over", failed=True)
    )
    assert (transcript.calls[0].output, transcript.failed) == ({"error": "no"}, "over")


def test_a_thought_is_no_message():
    assert read(step("say", "answer"), step("think", "secretly"), step("end", "answer")).text == "answer"


def test_what_was_refused_is_named_once_for_each_tool():
    denied = [step("refuse", tool, "no") for tool in ("bash", "edit", "bash")]
    transcript = read(*denied, step("end", "x"))
    assert transcript.denied == "bash, edit"


def test_pieces_and_the_whole_of_a_message_are_heard_once():
    heard = []

    class Ear(Hearer):
        def say(self, text, *, more):
            heard.append((text, more))

    listener = Listener(Ear())
    pieces = [step("begin_part"), step("say_part", "one "), step("say_part", "two")]
    listener.feed(printed(BEGIN, *pieces, step("say", "one two")))
    assert heard == [("one ", False), ("two", True)]
    assert listener.end().text == "one two"


@given(
    st.integers(0, 10**8), st.integers(0, 10**8), st.none() | st.integers(0, 10**8), st.none() | st.floats(0.01, 999)
)  # fmt: skip
def test_what_was_used_is_what_the_keeper_reads(fresh, output, cached, usd):
    steps = (
        BEGIN,
        step("spend", fresh + (cached or 0), output, cached=cached, usd=usd, model="m"),
        step("end", "done"),
    )
    events = Events()
    events.feed(printed(*steps))
    figures = events.meter.figures()
    told = {"input": fresh + (cached or 0), "output": output, "cached": cached, "usd": usd}
    assert figures == told | {"model": "m", "session": "session-1"}
    assert events.final


@given(WORDS, WORDS)
def test_any_words_are_read_as_they_were_said(said, last):
    assert read(step("say", said), step("call", "1", "t", {}), step("end", last)).text == last.strip()


def test_how_things_stand_is_told_once():
    assert printed(step("stand", "waits"), step("stand", "waits"), BEGIN, step("stand", "waits")).count(b"waits") == 2
