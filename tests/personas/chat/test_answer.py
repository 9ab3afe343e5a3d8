"""Answers in all the shapes in which servers stream them are put together as they were meant."""

from __future__ import annotations

import io
import json
from email.message import Message

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from team_mail.personas.chat.answer import AnswerBuilder, Call, ServerComplaint, Tokens
from team_mail.personas.web.events import EventReader

from ...chat_model import delta, sse, usage
from ...samples import examples

TEXTS = st.text(st.characters(codec="utf-8"), max_size=30)
CALLS = st.lists(
    st.tuples(st.sampled_from(["read_file", "write_file", "search"]), st.dictionaries(TEXTS, TEXTS, max_size=3)),
    max_size=4,
)


def built(*events) -> AnswerBuilder:
    builder = AnswerBuilder()
    for event in events:
        builder.take(event if isinstance(event, str) else json.dumps(event))
    return builder


def cut(text: str, data) -> list[str]:
    """Cut a text into pieces of any length."""
    places = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=4)))
    return [text[start:end] for start, end in zip([0, *places], [*places, len(text)], strict=True)]


class Response(io.BytesIO):
    """What the reader of a stream sees of an answer, in pieces of any length."""

    status, length = 200, None

    def __init__(self, pieces):
        super().__init__()
        self.pieces, self.headers = [*pieces], Message()
        self.headers["Content-Type"] = "text/event-stream"

    def read1(self, _size=-1):
        return next((piece for piece in iter(lambda: self.pieces.pop(0) if self.pieces else None, None) if piece), b"")


@given(CALLS, TEXTS, st.booleans(), st.booleans(), st.data())
@settings(max_examples=examples(150))
def test_however_a_stream_is_cut_it_gives_the_same_answer(made, text, with_index, with_id, data):
    """The bytes may be cut anywhere, and so may texts and arguments; an index or an id may be missing."""
    with_id = with_id or not with_index
    events = [delta(content=piece) for piece in cut(text, data)]
    for number, (name, arguments) in enumerate(made):
        known = ({"index": number} if with_index else {}) | ({"id": f"c{number}"} if with_id else {})
        pieces = cut(json.dumps(arguments), data)
        events.append(delta(tool_calls=[{**known, "function": {"name": name, "arguments": pieces[0]}}]))
        more = {"index": number} if with_index else {}
        events += [delta(tool_calls=[{**more, "function": {"arguments": piece}}]) for piece in pieces[1:]]
    stream = sse(*events, delta("tool_calls" if made else "stop"), usage(7, 3))
    places = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    pieces = [stream[a:b] for a, b in zip([0, *places], [*places, len(stream)], strict=True)]
    builder = AnswerBuilder()
    EventReader(builder.take)(Response(pieces))
    answer = builder.answer()
    assert [(each.name, json.loads(each.arguments)) for each in answer.calls] == made
    assert [each.id for each in answer.calls] == [f"c{n}" if with_id else f"call_{n + 1}" for n in range(len(made))]
    assert (answer.whole, answer.tokens) == (True, Tokens(7, 3))
    assert answer.text == text or "think" in text


def whole(name, arguments, **more):
    return {"function": {"name": name, "arguments": arguments}, **more}


@pytest.mark.parametrize(
    "pieces",
    [
        [[whole("a", "{}", index=0, id="x"), whole("b", "{}", index=1, id="y")]],  # all in one chunk
        [[whole("a", "{}", id="x")], [whole("b", "{}", id="y")]],  # no index
        [[whole("a", "{}", index=0, id="x")], [whole("b", "{}", index=0, id="y")]],  # each has index 0
        [[whole("a", "{}", index=0)], [whole("b", "{}", index=0)]],  # and no id
        [[whole("a", {}, index=0, id="x")], [whole("b", {}, index=1, id="y")]],  # arguments as an object
        [[whole("a", None, index=0, id="x")], [whole("b", None, index=1, id="y")]],  # no arguments
        [[whole("a", "", index=0, id="x")], [whole("a", "{", index=0, id="x")], [whole("", "}", index=0)],
         [whole("b", "{}", index=1, id="y")]],  # the name comes again
        [[{"name": "a", "arguments": "{}"}], [{"name": "b", "arguments": "{}"}]],  # no function
    ],
)  # fmt: skip
def test_odd_shapes_of_two_calls(pieces):
    answer = built(*(delta(tool_calls=each) for each in pieces), delta("tool_calls")).answer()
    assert [(each.name, each.arguments) for each in answer.calls] == [("a", "{}"), ("b", "{}")]


def test_the_old_form_of_a_call_and_an_answer_that_is_no_stream():
    answer = built(delta(function_call={"name": "a", "arguments": '{"x"'}), delta(function_call={"arguments": ": 1}"}))
    assert answer.answer().calls == (Call("call_1", "a", '{"x": 1}'),)
    message = {"content": [{"type": "text", "text": "hi"}], "tool_calls": [whole("a", {"x": 1}, id="i")]}
    answer = built({"choices": [{"message": message, "finish_reason": "stop"}]}).answer()
    assert (answer.text, answer.calls, answer.whole) == ("hi", (Call("i", "a", '{"x":1}'),), True)


@pytest.mark.parametrize(
    ("events", "text", "thought"),
    [
        ([delta(reasoning_content="hm"), delta(content="yes")], "yes", "hm"),
        ([delta(reasoning="hm"), delta(content="yes")], "yes", "hm"),
        ([delta(content="<thi"), delta(content="nk>hm</think>\n\nyes")], "yes", "hm"),
        ([delta(content="hm</think>yes")], "yes", "hm"),
        ([delta(content="<think>hm")], "", "hm"),
        ([delta(content="the tag <think> is known")], "the tag <think> is known", ""),
    ],
)
def test_what_a_model_thought_is_no_part_of_its_text(events, text, thought):
    answer = built(*events, delta("stop")).answer()
    assert (answer.text, answer.thought) == (text, thought)


def test_an_answer_without_its_end_is_not_whole_and_one_at_a_limit_is_cut():
    assert not built(delta(content="half")).answer().whole
    assert built(delta(content="x"), "[DONE]").answer().whole
    for finish in ("length", "max_tokens"):
        assert built(delta(finish, content="half")).answer().is_cut


def test_an_error_in_the_middle_is_one_of_the_server():
    with pytest.raises(ServerComplaint, match="out of memory") as caught:
        built(delta(content="half"), {"error": {"message": "out of memory", "code": 503}})
    assert caught.value.status == 503


def test_events_without_a_line_between_them_and_what_is_no_json_are_borne():
    two = "\n".join(json.dumps(delta(content=text)) for text in "ab")
    assert built(two, "nonsense", "[1]", "null", '{"choices": [7]}', delta("stop")).answer().text == "ab"


def test_a_text_that_goes_round_in_a_circle_is_seen_and_no_other():
    assert built(*[delta(content="and so on. ")] * 2_000).repeats
    assert not built(delta(content=" ".join(map(str, range(5_000))))).repeats
    assert not built(delta(content="short" * 50)).repeats


def test_a_character_that_is_cut_in_two_is_put_together():
    """A server that streams the halves of a pair; a half that stays alone is no text."""
    answer = built(delta(content="a\ud83d"), delta(content="\ude00"), delta(content="\ud83d b")).answer()
    assert answer.text == "a\U0001f600\ufffd b"
