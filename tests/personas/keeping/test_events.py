"""How far a stream has come: its final event is found however the stream is split, in bounded memory."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from team_mail.personas.keeping import events as module
from team_mail.personas.keeping.events import Events

from ...samples import examples

STREAM = b"".join(
    json.dumps(event).encode() + b"\n"
    for event in (
        {"type": "system", "subtype": "init", "session_id": "s"},
        {"type": "assistant", "message": {"content": 'I print {"type":"result","is_error":false}'}},
        {"type": "result", "is_error": False, "result": "First."},
        {"type": "assistant", "message": {"content": "More."}},
        {"type": "result", "is_error": False, "result": "Second."},
    )
)


@settings(max_examples=examples(50), deadline=None)
@given(st.lists(st.integers(0, len(STREAM)), max_size=8).map(sorted))
def test_the_final_event_is_found_however_the_stream_is_split(cuts):
    """It is the last one, and its place is known; a new turn makes the stream open again."""
    events, last = Events(), STREAM.index(b'{"type": "result", "is_error": false, "result": "Second')
    for begin, end in zip([0, *cuts], [*cuts, last], strict=True):
        events.feed(STREAM[begin:end])
        if end == last:
            break
    if not any(cut > last for cut in cuts):
        assert not events.final
        events.feed(STREAM[last:])
        assert (events.final, events.at, json.loads(events.line)["result"]) == (True, last, "Second.")


def test_a_final_event_without_a_newline_is_found_at_the_end():
    """A program may leave out the last one, and hang."""
    events = Events()
    events.feed(STREAM[:-5])
    assert not events.final
    events.feed(STREAM[-5:-1])
    assert events.final
    events.finish()
    assert (events.final, events.at) == (True, STREAM.rindex(b'{"type": "result"'))


@pytest.mark.parametrize(
    ("event", "known"),
    [
        ({"type": "session.tools_updated", "data": {}}, True),
        ({"type": "assistant.message_delta", "data": {}}, True),
        ({"type": "reasoning", "sessionID": "s", "part": {}}, True),
        ({"type": "session", "data": {}}, False),
        ({"type": "test.started", "data": {}}, False),
        ({"type": 3}, False),
    ],
)
def test_events_of_agents_are_told_from_those_of_others(event, known):
    """Also those of a type that has come with a newer version, as far as their form says so."""
    assert module.is_known(event) is known


@pytest.mark.parametrize("pieces", [4, 7])
def test_a_line_of_any_length_costs_little(pieces):
    """Its beginning says what it is; the next line is read as ever."""
    size = module.MAX_LINE * 3
    long = b'{"type":"result","is_error":false,"result":"' + b"x" * size + b'"}\n'
    for line, final in ((long, True), (b"x" * size + b"\n", False)):
        events = Events()
        events.feed(STREAM.splitlines(keepends=True)[0])
        for at in range(0, len(line), len(line) // pieces):
            events.feed(line[at : at + len(line) // pieces])
            assert len(events._open) <= module.MAX_LINE
        assert (events.final, events.line) == (final, b"")
        events.feed(STREAM.splitlines(keepends=True)[-1])
        assert events.final
        assert events.line


def test_nothing_is_loaded_before_an_event_is_seen():
    """A keeper starts in milliseconds: `json` would take as long as all the rest."""
    code = f"""if True:
        import sys
        sys.path.insert(0, {str(Path(module.__file__).parent.parent)!r})
        from keeping.events import Events
        events = Events()
        events.feed(b"plain text\\n" * 1000)
        assert "json" not in sys.modules
        events.feed(b'{{"type": "result", "is_error": false}}\\n')
        assert "json" in sys.modules and events.final
    """
    subprocess.run([sys.executable, "-I", "-S", "-c", code], check=True)


def test_a_script_that_prints_its_own_json_is_never_finished():
    """Its words may be those of an agent; only in a stream that is known do they count."""
    events = Events()
    events.feed(b'{"type": "result", "status": "ok"}\n{"type": "step", "n": 1}\n' * 500)
    assert not events.final
