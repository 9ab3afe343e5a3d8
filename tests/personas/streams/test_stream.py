"""Reading agents' output: the events that each of them prints, and everything else."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from team_mail.personas.spending.usage import Usage
from team_mail.personas.streams.formats import HANDLERS
from team_mail.personas.streams.stream import MAX_LOG, Hearer, Listener, ToolCall, Transcript, read_stream
from team_mail.personas.streams.transcript import MAX_CALLS, MAX_VALUE

from ...samples import examples


def lines(*events: Any) -> bytes:
    return "".join(json.dumps(event) + "\n" for event in events).encode()


def use(id: str, name: str, **input) -> dict:
    return {"type": "assistant", "message": {"content": [{"type": "tool_use", "id": id, "name": name, "input": input}]}}


def tool_result(id: str, content: Any, **more) -> dict:
    block = {"type": "tool_result", "tool_use_id": id, "content": content, **more}
    return {"type": "user", "message": {"role": "user", "content": [block]}}


def words(text: str, **more) -> dict:
    return {"type": "assistant", "message": {"content": [{"type": "text", "text": text}]}, **more}


CLAUDE = (
    {"type": "system", "subtype": "init", "session_id": "s", "tools": ["Bash"]},
    words("I look first."),
    use("t1", "Bash", command="ls"),
    use("t2", "Read", file_path="/x"),
    tool_result("t2", [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]),
    tool_result("t1", "no such file", is_error=True),
    words("A colleague below says.", parent_tool_use_id="t9"),
    {"type": "result", "subtype": "success", "is_error": False, "result": "Done.", "total_cost_usd": 0.25},
)
CODEX = (
    {"type": "thread.started", "thread_id": "x"},
    {"type": "item.completed", "item": {"id": "i0", "type": "reasoning", "text": "Hm."}},
    {"type": "item.started", "item": {"id": "i1", "type": "command_execution", "command": "ls", "exit_code": None}},
    {
        "type": "item.completed",
        "item": {"id": "i1", "type": "command_execution", "command": "ls", "aggregated_output": "a\n", "exit_code": 0},
    },
    {
        "type": "item.completed",
        "item": {
            "id": "i2", "type": "mcp_tool_call", "server": "docs", "tool": "find", "arguments": {"q": "x"},
            "result": {"content": [{"type": "text", "text": "found"}], "structured_content": None}, "error": None,
        },
    },
    {"type": "item.completed", "item": {"id": "i3", "type": "file_change", "changes": [{"path": "a"}], "status": "ok"}},
    {"type": "item.completed", "item": {"id": "i4", "type": "web_search", "query": "why"}},
    {"type": "error", "message": "Reconnecting... 1/5"},
    {"type": "item.completed", "item": {"id": "i5", "type": "agent_message", "text": "Done."}},
    {"type": "turn.completed", "usage": {"input_tokens": 1}},
)  # fmt: skip
GEMINI = (
    {"type": "init", "timestamp": "2026-01-01T10:00:00.000Z", "model": "m"},
    {"type": "message", "role": "user", "content": "The prompt."},
    {"type": "message", "role": "assistant", "content": "Look", "delta": True},
    {
        "type": "tool_use", "tool_name": "glob", "tool_id": "g1", "parameters": {"p": "*"},
        "timestamp": "2026-01-01T10:00:01.000Z",
    },
    {"type": "error", "severity": "warning", "message": "a loop?"},
    {
        "type": "tool_result", "tool_id": "g1", "status": "success", "output": "a",
        "timestamp": "2026-01-01T10:00:01.250Z",
    },
    {"type": "message", "role": "assistant", "content": "Do", "delta": True},
    {"type": "message", "role": "assistant", "content": "ne.", "delta": True},
    {"type": "result", "status": "success", "stats": {"total_tokens": 5}},
)  # fmt: skip
OPENCODE = (
    {"type": "step_start", "sessionID": "s", "part": {"type": "step-start"}},
    {"type": "text", "sessionID": "s", "part": {"type": "text", "text": "Look."}},
    {
        "type": "tool_use", "sessionID": "s", "part": {
            "type": "tool", "tool": "bash", "callID": "c1", "state": {
                "status": "completed", "input": {"command": "ls"}, "output": "a\n",
                "time": {"start": 1000, "end": 1016},
            },
        },
    },
    {"type": "step_finish", "part": {"cost": 0.25, "reason": "tool-calls"}},
    {"type": "text", "sessionID": "s", "part": {"type": "text", "text": "Done."}},
    {"type": "step_finish", "part": {"cost": 0.5, "reason": "stop"}},
)  # fmt: skip
CURSOR = (
    {
        "type": "tool_call", "subtype": "started", "call_id": "c1", "timestamp_ms": 1002,
        "tool_call": {"shellToolCall": {"args": {"command": "pwd"}}},
    },
    {
        "type": "tool_call", "subtype": "completed", "call_id": "c1", "timestamp_ms": 1003,
        "tool_call": {"shellToolCall": {"args": {"command": "pwd"}, "result": {"success": {"stdout": "/tmp\n"}}}},
    },
    {"type": "tool_call", "subtype": "completed", "call_id": "c2", "tool_call": {
        "mcpToolCall": {"args": {"toolName": "slow"}, "result": {"rejected": {"reason": "no"}}}}},
    {"type": "result", "subtype": "success", "is_error": False, "result": "Done."},
)  # fmt: skip
COPILOT = (
    {"type": "tool.execution_start", "data": {"toolCallId": "t1", "toolName": "bash", "arguments": {"command": "ls"}}},
    {"type": "tool.execution_complete", "data": {"toolCallId": "t1", "success": True, "result": {"content": "a"}}},
    {"type": "tool.execution_start", "data": {"toolCallId": "t2", "toolName": "edit", "arguments": {}}},
    {"type": "tool.execution_complete", "data": {"toolCallId": "t2", "success": False, "error": {"message": "no"}}},
    {"type": "assistant.message", "data": {"content": "Done."}},
    {"type": "assistant.message", "data": {"content": "Below.", "parentToolCallId": "t2"}},
)
TRANSCRIPTS = {
    "claude": (CLAUDE, Usage(usd=0.25, session="s"), [
        ToolCall("Bash", {"command": "ls"}, {"error": "no such file"}),
        ToolCall("Read", {"file_path": "/x"}, "one\ntwo"),
    ]),
    "codex": (CODEX, Usage(session="x"), [
        ToolCall("command_execution", {"command": "ls"}, {"output": "a\n", "exit_code": 0}),
        ToolCall("docs.find", {"q": "x"}, "found"),
        ToolCall("file_change", {"changes": [{"path": "a"}]}, "ok"),
        ToolCall("web_search", {"query": "why"}, None),
    ]),
    "gemini": (GEMINI, Usage(model="m"), [ToolCall("glob", {"p": "*"}, "a", 250.0)]),
    "opencode": (OPENCODE, Usage(usd=0.75, session="s"), [ToolCall("bash", {"command": "ls"}, "a\n", 16.0)]),
    "cursor": (CURSOR, Usage(), [
        ToolCall("shell", {"command": "pwd"}, {"stdout": "/tmp\n"}, 1.0),
        ToolCall("mcp", {"toolName": "slow"}, {"rejected": {"reason": "no"}}),
    ]),
    "copilot": (COPILOT, Usage(), [ToolCall("bash", {"command": "ls"}, "a"), ToolCall("edit", {}, {"error": "no"})]),
}  # fmt: skip


@pytest.mark.parametrize("agent", TRANSCRIPTS)
def test_each_agent_is_understood(agent):
    """The final message, what was used and every tool call with its output are read, whatever is printed between."""
    events, usage, calls = TRANSCRIPTS[agent]
    noise = b"npm warn deprecated\n{ broken\n{}\n[1, null]\n\xff\xfe\n"

    transcript = read_stream(noise + lines(*events) + noise)

    finished = agent != "copilot"  # whose recording has no `result`
    assert transcript == Transcript("Done.", tuple(calls), usage, known=True, finished=finished, stray="[1, null]")


def test_plain_text_is_the_message():
    """Without events the message is the whole output; other JSON is text, too."""
    for log in (b"  Changed two files.\n\nDone. \n", b'{"answer": 42}\n', b'{"type": "unheard of"}', b"", b"[]"):
        assert read_stream(log) == Transcript(log.decode().strip())


@pytest.mark.parametrize("kind", sorted(HANDLERS.keys() - {"turn.failed"}))
def test_json_that_only_looks_like_an_event_is_text(kind):
    """A script's own JSON may have the same `type`; without an event's content it is not taken for one."""
    log = lines({"type": kind, "value": 3})
    assert read_stream(log) == Transcript(log.decode().strip())


@pytest.mark.parametrize("before", ["npm warn old ", "\x1b[?25l", "working\r"])
def test_an_event_after_other_text_on_its_line_is_read(before):
    """Warnings and escape sequences go to the same file, and some do not end in a newline."""
    event = {"type": "result", "is_error": True, "result": "Credit is low"}
    log = before.encode() + json.dumps(event, separators=(",", ":")).encode() + b"\n"
    assert read_stream(log).failed == "Credit is low"


def test_events_in_one_list_are_read_too():
    """`claude --output-format json --verbose` prints them like that."""
    assert read_stream(json.dumps(CLAUDE).encode()) == read_stream(lines(*CLAUDE))


@pytest.mark.parametrize(
    ("event", "why"),
    [
        ({"type": "result", "subtype": "success", "is_error": True, "result": "Credit\nis low"}, "Credit is low"),
        ({"type": "result", "subtype": "error_max_turns", "is_error": True}, "error_max_turns"),
        ({"type": "result", "is_error": True, "result": 7}, "no reason given"),
        ({"type": "result", "status": "error", "error": {"type": "x", "message": "quota"}}, "quota"),
        ({"type": "turn.failed", "error": {"message": "stream lost"}}, "stream lost"),
        ({"type": "error", "sessionID": "s", "error": {"name": "APIError", "data": {"message": "401"}}}, "401"),
    ],
)
def test_a_reported_error_is_the_reason_of_the_failure(event, why):
    """It counts even when the exit code is 0, unless a later event reports success."""
    assert read_stream(lines(words("So far."), event)).failed == why
    good = CODEX[-1] if event["type"].startswith("turn") else CLAUDE[-1]
    assert read_stream(lines(event, good)).failed is None


FINALS = {
    "claude": CLAUDE[-1],
    "codex": CODEX[-1],
    "gemini": GEMINI[-1],
    "opencode": OPENCODE[-1],
    "cursor": CURSOR[-1],
    "copilot": {"type": "result", "sessionId": "s", "exitCode": 0, "usage": {}},
}


@pytest.mark.parametrize("agent", FINALS)
def test_a_stream_is_finished_by_its_final_event_alone(agent):
    """One that breaks off before it is known all the same, and one that goes on after it is open again."""
    events = [event for event in TRANSCRIPTS[agent][0] if event != FINALS[agent]]
    assert not read_stream(lines(*events)).finished
    assert read_stream(lines(*events[:1])).known
    whole = read_stream(lines(*events, FINALS[agent]))
    assert (whole.known, whole.finished, whole.failed) == (True, True, None)
    again = {"claude": words("More."), "codex": {"type": "turn.started"}, "opencode": OPENCODE[0]}.get(agent)
    if again:
        assert not read_stream(lines(*events, FINALS[agent], again)).finished


@pytest.mark.parametrize(
    "events",
    [
        [{"type": "result", "status": "done", "n": 3}],
        [{"type": "text", "text": "x"}, {"type": "error", "message": "y"}],
        [{"type": "message", "content": "x"}],
    ],
)
def test_json_of_a_script_is_no_stream(events):
    """Its types may be called the same; its output is text."""
    log = lines(*events)
    assert read_stream(log) == Transcript(log.decode().strip())


def test_what_copilot_says_of_its_failure_is_read():
    """The cause stands in an event before the one that has the exit code."""
    error = {"type": "session.error", "data": {"message": "Could not connect"}}
    end = {"type": "result", "sessionId": "s", "exitCode": 1, "usage": {}}
    assert read_stream(lines(error, end)).failed == "Could not connect"
    assert read_stream(lines(end)).failed == "no reason given"
    assert read_stream(lines(error, end | {"exitCode": 0})).failed is None


def test_an_error_that_an_agent_may_recover_from_is_a_complaint():
    """Codex and Gemini print such lines; warnings are none."""
    known, error = {"type": "turn.started"}, {"type": "error", "message": "429 Too Many Requests"}
    assert read_stream(lines(known, error)).complaint == "429 Too Many Requests"
    assert read_stream(lines(known, error | {"severity": "warning"})).complaint == ""


RETRIES = {
    "claude": (
        {
            "type": "system", "subtype": "api_retry", "attempt": 6, "max_retries": 10, "retry_delay_ms": 18933,
            "error_status": 429, "error": "rate_limit",
        },
        "a request to the model failed: rate_limit (HTTP 429)",
    ),
    "claude, without an answer": (
        {"type": "system", "subtype": "api_retry", "attempt": 1, "error_status": None, "error": "unknown"},
        "a request to the model failed: unknown",
    ),
    "codex": (
        {"type": "error", "message": "Reconnecting... waiting for network (Connection failed)"},
        "Reconnecting... waiting for network (Connection failed)",
    ),
    "copilot": (
        {
            "type": "model.call_failure", "data": {
                "statusCode": 429, "retryAttempt": 1, "failureKind": "api",
                "errorMessage": '{"type":"rate_limit_error","message":"the quota is used up","code":429}',
            },
        },
        "the quota is used up (HTTP 429)",
    ),
    "copilot, without an answer": (
        {"type": "model.call_failure", "data": {"errorMessage": '"Connection refused (os error 111)"'}},
        "Connection refused (os error 111)",
    ),
    "copilot, with words": (
        {"type": "model.call_failure", "data": {"errorMessage": "Too many requests"}},
        "Too many requests",
    ),
}  # fmt: skip


@pytest.mark.parametrize("retry", RETRIES)
def test_an_agent_that_tries_again_says_why(retry):
    """If it is ended then, that was the reason; once it has come further, it is none any more."""
    event, why = RETRIES[retry]
    known = {"type": "turn.started"}
    assert read_stream(lines(known, event)).complaint == why
    assert read_stream(lines(known, event, words("I look."))).complaint == ""
    assert read_stream(lines(known, event, use("t1", "Bash", command="ls"))).complaint == ""


@pytest.mark.parametrize(
    ("after", "stray"),
    [
        (
            "Attempt 3 failed. Error: fetch failed\n    at retry (file.js:3) {\n  status: 1\n}\n",
            0,
        ),
        ("Traceback:\n  File 'a.py', line 1\nValueError: no key\n\n", 2),
        ("  indented alone\n", 0),
    ],
)
def test_the_last_line_after_the_events_is_the_one_that_says_something(after, stray):
    """Below the message of an error stands its stack, which tells a user nothing."""
    assert read_stream(lines(CLAUDE[0]) + after.encode()).stray == after.split("\n")[stray].strip()


def test_tools_that_an_agent_was_denied_are_named():
    """Claude lists them in its result, which says success."""
    denied = [{"tool_name": "Write", "tool_use_id": "1"}, {"tool_name": "Bash"}, {"tool_name": "Bash"}]
    assert read_stream(lines(CLAUDE[-1] | {"permission_denials": denied})).denied == "Write, Bash"


def test_an_empty_result_is_empty():
    """Neither an earlier message nor the protocol's own line stands in for it."""
    assert read_stream(lines(CLAUDE[0], words("I look."), CLAUDE[-1] | {"result": ""})).text == ""
    assert read_stream(lines(CLAUDE[0])).text == ""


@pytest.mark.parametrize("reason", ["length", "content-filter"])
def test_an_answer_that_was_cut_short_is_a_failure(reason):
    """OpenCode ends without an error when a model reached its limit."""
    step = {"type": "step_finish", "part": {"reason": reason}}
    assert read_stream(lines(step)).failed == f"its answer ended with {reason}"


@pytest.mark.parametrize(
    ("call", "answer"),
    [
        (
            {"type": "tool_use", "tool_name": "glob", "tool_id": "g", "parameters": {}},
            {"type": "tool_result", "tool_id": "g", "status": "error", "error": {"message": "no such folder"}},
        ),
        (
            {"type": "item.started", "item": {"id": "i", "type": "mcp_tool_call", "server": "s", "tool": "t"}},
            {
                "type": "item.completed",
                "item": {
                    "id": "i",
                    "type": "mcp_tool_call",
                    "server": "s",
                    "tool": "t",
                    "error": {"message": "no such folder"},
                },
            },
        ),
    ],
    ids=["gemini", "codex"],
)
def test_the_error_of_a_tool_is_its_output(call, answer):
    """A trace tells a failed tool call from one that returned the same text."""
    transcript = read_stream(lines(call, answer, words("Done.")))
    assert [tool.output for tool in transcript.calls] == [{"error": "no such folder"}]


def test_without_a_final_event_the_last_message_is_the_text():
    """An agent that was killed has a last message, which starts after its last tool call."""
    assert read_stream(lines(*CLAUDE[:3])).text == "I look first."
    assert read_stream(lines(*GEMINI[:-1])).text == "Done."


def test_tool_calls_are_limited_in_number_and_size():
    """A trace has at most 500 calls, and 16 KiB of each input and output, with a note on the rest."""
    huge = "\N{SNOWMAN}" * MAX_VALUE
    transcript = read_stream(lines(*(use(f"t{n}", "Write", text=huge) for n in range(3)), tool_result("t0", huge)))
    assert all(len(call.input.encode()) < MAX_VALUE + 50 for call in transcript.calls)
    assert transcript.calls[0].input.endswith(
        f"[cut here: {2 * MAX_VALUE + len(json.dumps({'text': ''})) - 1} more bytes]"
    )
    assert transcript.calls[0].output.startswith("\N{SNOWMAN}" * 1000)
    many = read_stream(lines(*(use(f"t{n}", "Read") for n in range(MAX_CALLS + 9)), tool_result(f"t{MAX_CALLS}", "x")))
    assert len(many.calls) == MAX_CALLS


def test_the_end_of_a_huge_log_is_read():
    """The last ten megabytes are read: they say how the run ended."""
    log = lines(words("x" * MAX_LOG), CLAUDE[-1])
    assert read_stream(log).text == "Done."


def test_values_that_some_json_readers_refuse_become_text():
    """Deep nesting, odd numbers and lone surrogates become plain text, so that a trace can hold them."""
    deep = b'{"a":' * 60 + b"1" + b"}" * 60
    for value in (deep, b"[" * 100_000, b'{"x": 1e999}', b'{"x": NaN}', b'{"x": "\\ud800"}', b"9" * 5_000):
        block = b'{"type": "tool_use", "id": "1", "name": "\\udfff", "input": ' + value + b"}"
        transcript = read_stream(b'{"type": "assistant", "message": {"content": [' + block + b"]}}")
        for call in transcript.calls:
            json.dumps(call.input, allow_nan=False).encode()
            assert call.tool == "?"
            assert isinstance(call.input, str)


KEYS = [
    "message", "content", "id", "type", "name", "input", "item", "part", "state", "time", "start", "error", "data",
    "cost", "result", "is_error", "status", "timestamp", "tool_call", "shellToolCall", "call_id", "tool_use_id",
    "subtype", "text", "callID", "toolCallId", "tool_id", "total_cost_usd", "arguments", "sessionID",
    "usage", "stats", "tokens", "input_tokens", "output_tokens", "modelUsage", "model", "session_id", "cache",
]  # fmt: skip
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from(["tool_use", "x"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
    max_leaves=12,
)
events_of = st.tuples(st.sampled_from(sorted(HANDLERS)), st.dictionaries(st.sampled_from(KEYS), anything))


@settings(max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.too_slow])  # on a busy machine
@given(st.lists(events_of, max_size=4))
def test_no_event_makes_the_reader_fail(events):
    """With any value in any field, the transcript can be written as JSON."""
    transcript = read_stream(lines(*({**event, "type": kind} for kind, event in events)))
    fields = {**vars(transcript), "calls": [vars(call) for call in transcript.calls]}
    fields["usage"] = transcript.usage.document()
    assert json.loads(json.dumps(fields, allow_nan=False).encode()) == fields


@settings(max_examples=examples(50), deadline=None)
@given(st.binary(max_size=200), st.integers(0, 400))
def test_no_bytes_make_the_reader_fail(noise, at):
    """Events that are torn or mixed with other bytes are ignored."""
    log = lines(*CODEX)
    assert isinstance(read_stream(log[:at] + noise + log[at:]).text, str)


# -- listening


class Heard(Hearer):
    """What a listener was told, each message as one entry."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []

    def say(self, text, *, more):
        if more and self.told and self.told[-1][0] == "say":
            text = self.told.pop()[1] + text
        self.told.append(("say", text))

    def call(self, id, tool, input):
        self.told.append(("call", id, tool, input))

    def answer(self, id, output):
        self.told.append(("answer", id, output))

    def spend(self, usage):
        self.told.append(("spend", usage.input, usage.output))

    def end(self, failed):
        self.told.append(("end", failed))


def heard(log: bytes, cuts: list[int], *, keep: bool = True) -> tuple[list[tuple[Any, ...]], Transcript]:
    hearer = Heard()
    listener = Listener(hearer, keep=keep)
    for start, end in zip([0, *cuts], [*cuts, len(log)], strict=True):
        listener.feed(log[start:end])
    return hearer.told, listener.end()


def piece(text: str) -> dict:
    return {"type": "stream_event", "event": {"type": "content_block_delta", "delta": {"text": text}}}


PARTIAL = (
    {"type": "system", "subtype": "init", "session_id": "s"},
    {"type": "stream_event", "event": {"type": "content_block_start", "index": 0}},
    piece("Do"),
    piece("ne"),
    words("Done."),
    {"type": "result", "subtype": "success", "is_error": False, "result": "Done."},
)
STREAMS = (CLAUDE, CODEX, GEMINI, OPENCODE, COPILOT, PARTIAL)
ROWS = [
    *(json.dumps(event, ensure_ascii=False) for stream in STREAMS for event in stream),
    *("", "Grüße, 日本", "[1/3] begun", '{"type": "x"}', "{ no", "half \\ud800"),
    'warning {"type":"result","is_error":false,"result":"late"}',
    *("Aider v0.86.0", "Tokens: 3.4k sent, 10 received."),
]


def test_a_warning_before_an_event_is_heard_wherever_the_output_is_cut():
    """Words before the first known event are heard, whether the event's line comes at once or in pieces."""
    log = b'note\nwarning {"type":"result","is_error":false,"result":"late"}\n'
    for at in range(len(log)):
        assert heard(log, [at])[0][:2] == [("say", "note\nwarning "), ("say", "late")]


@settings(max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.sampled_from(ROWS), max_size=8), st.booleans(), st.data())
def test_it_makes_no_difference_where_an_output_is_cut_into_pieces(rows, ended, data):
    """What is told while it is written, and the transcript, are those of the whole output read at once."""
    log = "\n".join(rows).encode() + b"\n" * ended
    cuts = sorted(data.draw(st.lists(st.integers(0, len(log)), max_size=12)))
    assert heard(log, cuts) == heard(log, [])
    assert heard(log, cuts)[1] == read_stream(log)
    assert heard(log, cuts, keep=False)[0] == heard(log, [])[0]


@pytest.mark.parametrize("stream", STREAMS)
def test_what_is_heard_ends_with_the_final_message(stream):
    """The last message heard is the text of the transcript; one that the final event repeats is heard once."""
    told, transcript = heard(lines(*stream), [])
    said = [entry[1] for entry in told if entry[0] == "say"]
    assert said[-1] == transcript.text
    assert said.count(transcript.text) == 1
    assert [entry[2] for entry in told if entry[0] == "call"] == [call.tool for call in transcript.calls]


def test_pieces_of_a_message_are_heard_as_they_come():
    """With Claude's partial messages, each piece comes at once, and the whole adds only what they lacked."""
    hearer, pieces = Hearer(), []
    hearer.say = lambda text, *, more: pieces.append((text, more))  # type: ignore[method-assign]
    listener = Listener(hearer, keep=False)
    listener.feed(lines(*PARTIAL))
    assert pieces == [("Do", False), ("ne", True), (".", True)]


def test_text_is_heard_before_its_line_ends_and_an_event_after():
    """A prompt without a newline shows at once; what may become an event does not show as text."""
    hearer = Heard()
    listener = Listener(hearer)
    listener.feed(b"Working")
    assert hearer.told == [("say", "Working")]
    listener.feed(b' {"type":"resu')
    assert hearer.told == [("say", "Working ")]
    listener.feed(b'lt"}\n{"type":"system","subtype":"init"}\nnoise\n')
    assert hearer.told == [("say", 'Working {"type":"result"}\n')]
