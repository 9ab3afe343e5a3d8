"""The JSON events that coding agents print, by their `type`: each handler adds one event to a TranscriptBuilder.

The shapes are those of Claude Code (Amp and Qwen Code print the same; Cursor differs in its tool calls), Codex, Gemini,
OpenCode and Copilot. They change between versions: a field that is missing or has an unexpected type is ignored.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, cast

from ...mail.render import line
from .transcript import TranscriptBuilder, text_of

_MAX_REASON = 500  # characters
_MAX_NUMBER = 1e15  # larger times are not believed
Event = Mapping[str, Any]


# -- Claude Code, Amp, Cursor


def _system(event: Event, builder: TranscriptBuilder) -> None:
    """Handle Claude's notice that it asks its model once more."""
    if event.get("subtype") == "api_retry":
        status = f" (HTTP {event['error_status']})" if isinstance(event.get("error_status"), int) else ""
        why = text_of(event.get("error")) or "unknown"
        builder.complain(f"a request to the model failed: {_reason(why)}{status}")


def _assistant(event: Event, builder: TranscriptBuilder) -> None:
    blocks, own = _blocks(event), not event.get("parent_tool_use_id")
    if own and (text := "".join(text_of(block.get("text")) for block in blocks if block.get("type") == "text")):
        builder.say_whole(text)
    for block in blocks:
        if block.get("type") == "tool_use":
            builder.call(text_of(block.get("id")), text_of(block.get("name")), block.get("input"), _time_of(event))


def _piece(event: Event, builder: TranscriptBuilder) -> None:
    """Handle a piece of a message, as Claude prints them with `--include-partial-messages`."""
    inner = _dict(event.get("event"))
    if event.get("parent_tool_use_id"):
        return
    if inner.get("type") == "content_block_start":
        builder.begin_part()
    elif inner.get("type") == "content_block_delta":
        builder.say_part(text_of(_dict(inner.get("delta")).get("text")))


def _user(event: Event, builder: TranscriptBuilder) -> None:
    for block in _blocks(event):
        if block.get("type") == "tool_result":
            output = _joined(block.get("content"))
            output = {"error": output} if block.get("is_error") is True else output
            builder.answer(text_of(block.get("tool_use_id")), output, _time_of(event))


def _blocks(event: Event) -> list[Event]:
    content = _dict(event.get("message")).get("content")
    return [{"type": "text", "text": content}] if isinstance(content, str) else _dicts(content)


def _result(event: Event, builder: TranscriptBuilder) -> None:
    """Handle the final event: Claude's has `is_error`, Gemini's has `status`, Copilot's has `exitCode`."""
    if not event.keys() & {"is_error", "status", "exitCode"}:
        return
    text = text_of(event.get("result"))
    builder.conclude(text)
    denials = _dicts(event.get("permission_denials"))
    builder.denied = ", ".join(dict.fromkeys(line(text_of(each.get("tool_name")) or "a tool") for each in denials))
    if event.get("is_error") is True or event.get("status") == "error" or event.get("exitCode") not in {0, None}:
        subtype = text_of(event.get("subtype"))
        why = text or _message(event) or builder.failed or builder.complaint or subtype or "no reason given"
        builder.end(_reason(why))
        return
    if event.get("result") == "":
        builder.text = ""
    builder.end(None)


def _cursor_call(event: Event, builder: TranscriptBuilder) -> None:
    calls = _dict(event.get("tool_call"))
    name = next((key for key in calls if key.endswith("ToolCall")), "function")
    details, call = _dict(calls.get(name)), text_of(event.get("call_id"))
    tool = text_of(details.get("name")) if name == "function" else name.removesuffix("ToolCall")
    builder.call(call, tool, details.get("args", details.get("arguments")), _time_of(event))
    if event.get("subtype") == "completed":
        result = details.get("result")
        builder.answer(call, _dict(result).get("success", result), _time_of(event))


# -- Codex


def _item(event: Event, builder: TranscriptBuilder) -> None:
    item = _dict(event.get("item"))
    kind, call = text_of(item.get("type")), text_of(item.get("id"))
    if kind == "agent_message":
        builder.say(text_of(item.get("text")))
    elif kind in _CODEX:
        tool, arguments, output = _CODEX[kind](item)
        builder.call(call, tool, arguments, _time_of(event))
        if event.get("type") == "item.completed":
            builder.answer(call, output, _time_of(event))


def _command(item: Event) -> tuple[str, Any, Any]:
    output = {"output": item.get("aggregated_output"), "exit_code": item.get("exit_code")}
    return "command_execution", {"command": item.get("command")}, output


def _mcp(item: Event) -> tuple[str, Any, Any]:
    name = f"{text_of(item.get('server'))}.{text_of(item.get('tool'))}"
    error = _dict(item.get("error"))
    result = _dict(item.get("result"))
    output = result.get("structured_content") or _joined(result.get("content"))
    return name, item.get("arguments"), {"error": text_of(error.get("message"))} if error else output


def _change(item: Event) -> tuple[str, Any, Any]:
    return "file_change", {"changes": item.get("changes")}, item.get("status")


def _search(item: Event) -> tuple[str, Any, Any]:
    return "web_search", {"query": item.get("query")}, None


_CODEX: dict[str, Callable[[Event], tuple[str, Any, Any]]] = {
    "command_execution": _command,
    "mcp_tool_call": _mcp,
    "file_change": _change,
    "web_search": _search,
}


def _turn_failed(event: Event, builder: TranscriptBuilder) -> None:
    builder.end(_reason(_message(event) or "no reason given"))


def _turn_completed(_: Event, builder: TranscriptBuilder) -> None:
    builder.end(None)


# -- Gemini


def _gemini_message(event: Event, builder: TranscriptBuilder) -> None:
    if event.get("role") == "assistant":
        builder.say(text_of(event.get("content")), more=event.get("delta") is True)


def _tool_use(event: Event, builder: TranscriptBuilder) -> None:
    """Handle Gemini's tool call, or OpenCode's, which is printed once, when the call has ended."""
    if part := _dict(event.get("part")):
        _opencode_call(part, builder)
    else:
        tool = text_of(event.get("tool_name"))
        builder.call(text_of(event.get("tool_id")), tool, event.get("parameters"), _time_of(event))


def _tool_result(event: Event, builder: TranscriptBuilder) -> None:
    output = event.get("output")
    if event.get("status") == "error":
        output = {"error": output or _message(event)}
    builder.answer(text_of(event.get("tool_id")), output, _time_of(event))


# -- OpenCode


def _opencode_call(part: Event, builder: TranscriptBuilder) -> None:
    call, state = text_of(part.get("callID")) or text_of(part.get("id")), _dict(part.get("state"))
    time = _dict(state.get("time"))
    builder.call(call, text_of(part.get("tool")), state.get("input"), _number(time.get("start")))
    failed = state.get("status") == "error"
    builder.answer(call, {"error": state.get("error")} if failed else state.get("output"), _number(time.get("end")))


def _text(event: Event, builder: TranscriptBuilder) -> None:
    builder.say(text_of(_dict(event.get("part")).get("text")), more=True)


def _step(event: Event, builder: TranscriptBuilder) -> None:
    part = _dict(event.get("part"))
    reason = text_of(part.get("reason"))
    builder.end(f"its answer ended with {_reason(reason)}" if reason in _CUT_SHORT else None)


def _error(event: Event, builder: TranscriptBuilder) -> None:
    """Handle OpenCode's error; Codex and Gemini print `error` without a session for what they recover from."""
    if "sessionID" in event:
        builder.end(_reason(_message(event) or "no reason given"))
    elif event.get("severity") != "warning":
        builder.complain(_reason(_with_status(_message(event), event.get("error"))))


# -- Copilot


def _copilot_message(event: Event, builder: TranscriptBuilder) -> None:
    data = _dict(event.get("data"))
    if not data.get("parentToolCallId"):
        builder.say(text_of(data.get("content")))


def _copilot_call(event: Event, builder: TranscriptBuilder) -> None:
    data = _dict(event.get("data"))
    builder.call(text_of(data.get("toolCallId")), text_of(data.get("toolName")), data.get("arguments"), _time_of(event))


def _copilot_answer(event: Event, builder: TranscriptBuilder) -> None:
    data = _dict(event.get("data"))
    output = {"error": _message(data)} if data.get("success") is False else _dict(data.get("result")).get("content")
    builder.answer(text_of(data.get("toolCallId")), output, _time_of(event))


def _copilot_error(event: Event, builder: TranscriptBuilder) -> None:
    """Handle an error of the session; the `result` that follows says whether it was the end of it."""
    builder.complain(_reason(_message(_dict(event.get("data")))))


def _copilot_failure(event: Event, builder: TranscriptBuilder) -> None:
    """Handle a request to the model that failed; its message may be JSON of the provider."""
    text = text_of(_dict(event.get("data")).get("errorMessage"))
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = text
    builder.complain(_reason(_with_status(_message({"error": value}) or text, event.get("data"))))


HANDLERS: dict[str, Callable[[Event, TranscriptBuilder], None]] = {
    "system": _system,
    "assistant": _assistant,
    "stream_event": _piece,
    "user": _user,
    "result": _result,
    "tool_call": _cursor_call,
    "item.started": _item,
    "item.updated": _item,
    "item.completed": _item,
    "turn.completed": _turn_completed,
    "turn.failed": _turn_failed,
    "message": _gemini_message,
    "tool_use": _tool_use,
    "tool_result": _tool_result,
    "text": _text,
    "step_finish": _step,
    "error": _error,
    "assistant.message": _copilot_message,
    "tool.execution_start": _copilot_call,
    "tool.execution_complete": _copilot_answer,
    "session.error": _copilot_error,
    "model.call_failure": _copilot_failure,
}
_CUT_SHORT = {"length", "content-filter", "error"}


# -- values of any type


def _dict(value: Any) -> Event:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _dicts(value: Any) -> list[Event]:
    items = cast("list[Any]", value) if isinstance(value, list) else []
    return [_dict(item) for item in items if isinstance(item, dict)]


def _joined(content: Any) -> Any:
    """Return the text of content that consists of text blocks only, else the content itself."""
    blocks = _dicts(content)
    if blocks and len(blocks) == len(content) and all(isinstance(block.get("text"), str) for block in blocks):
        return "\n".join(text_of(block["text"]) for block in blocks)
    return content


def _message(event: Event) -> str:
    """Return the message of an event's error, in any of the places where agents put it."""
    error = event.get("error")
    details = _dict(error)
    message = details.get("message") or _dict(details.get("data")).get("message") or details.get("name") or error
    return text_of(message) or text_of(event.get("message"))


def _with_status(text: str, error: Any) -> str:
    """Add to a message the HTTP status that stands beside it: no word of the message need say as much."""
    status = _dict(error).get("statusCode", _dict(error).get("code"))
    is_new = isinstance(status, int) and 400 <= status < 600 and str(status) not in text  # noqa: PLR2004
    return f"{text} (HTTP {status})" if is_new else text


def _reason(text: str) -> str:
    return line(" ".join(text.split()))[:_MAX_REASON]


def _number(value: Any) -> float | None:
    number = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _MAX_NUMBER
    return float(value) if number else None


def _time_of(event: Event) -> float | None:
    """Return an event's time in milliseconds, if it has one."""
    time = event.get("timestamp_ms", event.get("timestamp"))
    if not isinstance(time, str):
        return _number(time)
    try:
        return datetime.fromisoformat(time).timestamp() * 1000
    except (ValueError, OverflowError, OSError):
        return None
