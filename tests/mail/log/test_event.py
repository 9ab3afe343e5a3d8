"""One line of the log: its bytes, the chain it stands in, and what a writer refuses."""

from __future__ import annotations

import hashlib
import json
import math
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from team_mail.mail.errors import InvalidEvent
from team_mail.mail.log.event import (
    MAX_DEPTH,
    MAX_INTEGER,
    MAX_LINE,
    PRIORITIES,
    START,
    Draft,
    decode,
    derived_id,
    place,
    serialise,
    strict_json,
)

from ...samples import examples

TS = "2026-01-01T00:00:00.000000Z"
ID = "01936f0e-0000-7000-8000-000000000001"
KEYS = [
    "v", "seq", "id", "ts", "kind", "sender", "recipients", "subject", "body", "thread", "reply_to", "priority", "ref",
    "run", "data", "prev", "hash",
]  # fmt: skip

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=30)
optional = st.none() | texts
integers = st.integers(-MAX_INTEGER, MAX_INTEGER)
values = st.recursive(
    st.none() | st.booleans() | integers | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)
drafts = st.builds(
    Draft,
    kind=st.from_regex(r"[a-z]+\.[a-z]+", fullmatch=True),
    sender=texts,
    recipients=st.lists(texts, unique=True, max_size=4).map(tuple),
    subject=texts,
    body=texts,
    thread=optional,
    reply_to=optional,
    priority=st.sampled_from(PRIORITIES),
    ref=optional,
    run=optional,
    data=st.dictionaries(texts, values, max_size=4),
    id=st.none() | st.uuids().map(str),
)


def line_of(draft: Draft, before=START) -> bytes:
    return serialise(draft, TS).seal(before)[0]


def nested(depth: int) -> dict:
    """Return data of `depth` nested objects, including the outermost."""
    data: dict = {}
    for _ in range(depth - 1):
        data = {"a": data}
    return data


@given(drafts)
@settings(max_examples=examples(80), deadline=None)
def test_every_event_is_read_as_it_was_written(draft):
    """What the writer accepts is read unchanged, also by other JSON parsers."""
    unsealed = serialise(draft, TS)
    line, here = unsealed.seal(START)
    event = decode(line[:-1])
    assert event is not None
    assert event == unsealed.event(here)
    assert event[4:15] == (*draft[:5], event.thread, *draft[6:11])
    assert event.thread == (event.id if draft.thread is None and draft.kind == "mail.sent" else draft.thread)
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")


@given(drafts)
@settings(max_examples=examples(50), deadline=None)
def test_every_key_is_in_every_line_in_one_order(draft):
    """The layout is fixed, so that ids can be searched in the bytes."""
    fields = json.loads(line_of(draft))
    assert list(fields) == KEYS
    assert fields["v"] == 1
    assert fields["seq"] == 1


@given(st.lists(drafts, min_size=1, max_size=5))
@settings(max_examples=examples(25), deadline=None)
def test_the_lines_are_a_chain_that_can_be_verified(batch):
    """Hash and prev are what the format says, computed here from the bytes alone."""
    prev, before = "0" * 32, START
    for seq, draft in enumerate(batch, start=1):
        line, before = serialise(draft, TS).seal(before)
        hashed, _, rest = line.rpartition(b',"hash":')
        digest = hashlib.sha256(hashed).hexdigest()[:32]
        assert rest == b'"' + digest.encode() + b'"}\n'
        assert hashed.endswith(b',"prev":"' + prev.encode() + b'"')
        assert hashed.startswith(b'{"v":1,"seq":%d,"id":"' % seq)
        assert before == (seq, prev, digest) == place(line[:-1])
        prev = digest


def test_a_line_is_these_bytes():
    """The format is frozen: the same event is always the same line."""
    draft = Draft("mail.sent", "ada", ("bob", "eve"), "Tea?", "5 o'clock \u2615\n", data={"tags": ["x", 1]}, id=ID)
    text = (
        f'{{"v":1,"seq":1,"id":"{ID}","ts":"{TS}","kind":"mail.sent","sender":"ada","recipients":["bob","eve"],'
        f'"subject":"Tea?","body":"5 o\'clock \u2615\\n","thread":"{ID}","reply_to":null,"priority":"normal",'
        f'"ref":null,"run":null,"data":{{"tags":["x",1]}},"prev":"{"0" * 32}"'
    )
    digest = hashlib.sha256(text.encode()).hexdigest()[:32]
    assert line_of(draft).decode() == f'{text},"hash":"{digest}"}}\n'


def test_a_new_id_is_a_uuid_of_version_7():
    """New ids sort by time."""
    first, second = (serialise(Draft("mail.sent", "ada"), TS).id for _ in range(2))
    assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", first)
    assert first < second


def test_an_id_can_be_derived_from_a_callers_key():
    """The same parts give the same UUID of version 8; their boundaries matter."""
    made = derived_id("run", "1")
    assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", made)
    assert made == derived_id("run", "1") != derived_id("run1")
    assert serialise(Draft("mail.sent", "ada", id=made), TS).id == made


@pytest.mark.parametrize("name", ["sender", "subject", "body", "thread", "reply_to", "ref", "run"])
@pytest.mark.parametrize("text", ["\ud800", "a\udfffb", "\0", "a\0b"])
def test_invalid_text_is_refused_in_every_field(name, text):
    """A lone surrogate is not UTF-8, and many readers end a text at a NUL."""
    with pytest.raises(InvalidEvent, match="not text"):
        serialise(Draft("mail.sent", "ada")._replace(**{name: text}), TS)


@pytest.mark.parametrize("text", ["\ud800", "\0"])
@pytest.mark.parametrize(
    "wrap",
    [lambda t: {t: 1}, lambda t: {"a": t}, lambda t: {"a": [t]}, lambda t: {"a": {t: 1}}, lambda t: {"a": [{"b": t}]}],
    ids=["key", "value", "in a list", "inner key", "deep"],
)
def test_invalid_text_is_refused_anywhere_in_data(text, wrap):
    """It is found at any depth."""
    with pytest.raises(InvalidEvent, match="not text"):
        serialise(Draft("mail.sent", "ada", data=wrap(text)), TS)
    with pytest.raises(InvalidEvent, match="not text"):
        serialise(Draft("mail.sent", "ada", (text,)), TS)


def test_an_escaped_nul_in_text_is_accepted():
    """A backslash and `u0000` is text about a NUL, and not a NUL."""
    draft = Draft("mail.sent", "ada", body="\\u0000", data={"a": ["\\u0000", 1, None]})
    event = decode(line_of(draft)[:-1])
    assert event is not None
    assert event.body == "\\u0000"


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_nan_and_infinity_are_refused(number):
    """JSON has no such numbers; Python would write them."""
    with pytest.raises(InvalidEvent, match="not JSON"):
        serialise(Draft("mail.sent", "ada", data={"a": [number]}), TS)


def test_integers_end_at_two_to_the_53rd():
    """A reader with floats would see another number beyond it."""
    for number in (MAX_INTEGER, -MAX_INTEGER):
        event = decode(line_of(Draft("mail.sent", "ada", data={"a": number}))[:-1])
        assert event is not None
        assert event.data == {"a": number}
    for number in (MAX_INTEGER + 1, -MAX_INTEGER - 1, 10**40):
        with pytest.raises(InvalidEvent, match="2\\^53"):
            serialise(Draft("mail.sent", "ada", data={"a": number}), TS)


def test_data_may_be_nested_32_levels_deep():
    """The writer refuses deeper data, so that no reader exhausts its stack."""
    assert decode(line_of(Draft("mail.sent", "ada", data=nested(MAX_DEPTH)))[:-1]) is not None
    for deep in (nested(MAX_DEPTH + 1), {"a": json.loads("[" * 500 + "]" * 500)}):
        with pytest.raises(InvalidEvent, match="nested deeper"):
            serialise(Draft("mail.sent", "ada", data=deep), TS)


def test_circular_data_is_refused():
    """Data that contains itself is nested infinitely."""
    data: dict = {}
    data["self"] = data
    with pytest.raises(InvalidEvent, match="nested deeper"):
        serialise(Draft("mail.sent", "ada", data=data), TS)


@pytest.mark.parametrize("key", [1, None, True, ("a",)])
def test_keys_of_data_are_text(key):
    """Python would convert some other keys to text."""
    with pytest.raises(InvalidEvent, match="not text"):
        serialise(Draft("mail.sent", "ada", data={"a": {key: 1}}), TS)


@pytest.mark.parametrize("value", [b"bytes", {1, 2}, object(), ("a",)])
def test_values_of_data_are_json(value):
    """A value of another type is refused, and the error names the type."""
    with pytest.raises(InvalidEvent, match=f"holds a {type(value).__name__}"):
        serialise(Draft("mail.sent", "ada", data={"a": value}), TS)


@pytest.mark.parametrize("kind", ["", "mail", "mail.", ".sent", "Mail.sent", "mail.sent\n", "mail.sent.now", "ma-il.x"])
def test_a_kind_is_a_noun_and_a_verb(kind):
    """A kind is written to the line unescaped."""
    with pytest.raises(InvalidEvent, match=r"noun\.verb"):
        serialise(Draft(kind, "ada"), TS)


def test_a_priority_is_one_of_four():
    """Other priorities have no order."""
    with pytest.raises(InvalidEvent, match="low, normal, high, urgent"):
        serialise(Draft("mail.sent", "ada", priority="asap"), TS)


def test_a_repeated_recipient_is_refused():
    """The message would be in the inbox twice, once read and once unread."""
    with pytest.raises(InvalidEvent, match="twice"):
        serialise(Draft("mail.sent", "ada", ("bob", "eve", "bob")), TS)


@pytest.mark.parametrize(
    "text", ["", "1", ID.upper(), ID + "\n", ID[:-1], ID + "0", "{" + ID + "}", ID.replace("-", "")]
)
def test_an_id_of_the_callers_is_a_uuid_in_lower_case(text):
    """Ids are searched by their bytes, so they have one spelling."""
    with pytest.raises(InvalidEvent, match="not a UUID"):
        serialise(Draft("mail.sent", "ada", id=text), TS)


def test_a_line_has_at_most_one_mebibyte():
    """The longest accepted body gives a line within the limit; one more byte is refused."""
    spare = MAX_LINE - 200 - len(serialise(Draft("mail.sent", "ada"), TS).middle)
    longest = serialise(Draft("mail.sent", "ada", body="x" * spare), TS)
    line, _ = longest.seal(START._replace(seq=10**15))
    assert MAX_LINE - 200 < len(line) <= MAX_LINE
    with pytest.raises(InvalidEvent, match="attach"):
        serialise(Draft("mail.sent", "ada", body="x" * (spare + 1)), TS)


def test_json_of_callers_is_parsed_strictly():
    """Duplicate keys, NaN, infinite nesting and malformed JSON are refused."""
    assert strict_json('{"a": [1, 2.5, null, {"a": "b"}]}') == {"a": [1, 2.5, None, {"a": "b"}]}
    with pytest.raises(InvalidEvent, match="'b' twice"):
        strict_json('{"a": {"b": 1, "c": 2, "b": 3}}')
    for word in ("NaN", "Infinity", "-Infinity"):
        with pytest.raises(InvalidEvent, match=word):
            strict_json(f"[{word}]")
    with pytest.raises(InvalidEvent, match="nested deeper"):
        strict_json("[" * 100_000)
    for text in ("", "{", "{'a': 1}", "9" * 5000):
        with pytest.raises(InvalidEvent, match="not JSON"):
            strict_json(text)


def test_a_line_with_one_byte_changed_does_not_verify():
    """The hash covers every byte of a line."""
    line = line_of(Draft("mail.sent", "ada", ("bob",), "Tea?", data={"a": 1}))[:-1]
    for at in range(len(line)):
        for bit in range(8):
            broken = bytearray(line)
            broken[at] ^= 1 << bit
            assert place(bytes(broken)) is None
            assert decode(bytes(broken)) is None
    print(f"{len(line) * 8} flips of one bit, each of them noticed")


@pytest.mark.parametrize("wrong", ["[]", '{"v":1,"seq":1,"x":2', '{"v":1,"seq":1,"recipients":5', '{"v":1,"seq":01'])
def test_a_line_that_verifies_but_is_not_an_event_is_skipped(wrong):
    """Any bytes can have a correct hash."""
    hashed = f'{wrong},"prev":"{"0" * 32}"'.encode()
    line = hashed + b',"hash":"' + hashlib.sha256(hashed).hexdigest()[:32].encode() + b'"}'
    assert decode(line) is None
