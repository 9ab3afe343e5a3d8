"""The lines that coding agents print, by their `type`: what each of them tells, put into a Story.

The shapes are those of Claude Code (Amp and Cursor print the same, but for Cursor's tool calls), Codex, Gemini,
OpenCode and Copilot. They change: what is missing or of another kind than it should be is passed over.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, cast

from ...mail.render import line
from .transcript import TranscriptBuilder, text_of

_LONGEST = 500  # characters of a reason
_MOST = 1e15  # a cost or a moment beyond is none
Event = Mapping[str, Any]


# -- Claude Code, Amp, Cursor


def _assistant(event: Event, story: TranscriptBuilder) -> None:
    blocks, own = _blocks(event), not event.get("parent_tool_use_id")
    if own and (said := "".join(text_of(block.get("text")) for block in blocks if block.get("type") == "text")):
        story.say(said)
    for block in blocks:
        if block.get("type") == "tool_use":
            story.call(text_of(block.get("id")), text_of(block.get("name")), block.get("input"), _moment(event))


def _user(event: Event, story: TranscriptBuilder) -> None:
    for block in _blocks(event):
        if block.get("type") == "tool_result":
            output = _joined(block.get("content"))
            output = {"error": output} if block.get("is_error") is True else output
            story.answer(text_of(block.get("tool_use_id")), output, _moment(event))


def _blocks(event: Event) -> list[Event]:
    content = _dict(event.get("message")).get("content")
    return [{"type": "text", "text": content}] if isinstance(content, str) else _dicts(content)


def _result(event: Event, story: TranscriptBuilder) -> None:
    """Take the last line: of Claude with `is_error`, of Gemini with `status`."""
    if not event.keys() & {"is_error", "status"}:
        return
    said = text_of(event.get("result"))
    story.say(said)
    if cost := _number(event.get("total_cost_usd")):
        story.spend(cost)
    if event.get("is_error") is True or event.get("status") == "error":
        why = said or _message(event) or text_of(event.get("subtype")) or "no reason given"
        story.end(_reason(why))
    else:
        story.end(None)


def _cursor_call(event: Event, story: TranscriptBuilder) -> None:
    told = _dict(event.get("tool_call"))
    name = next((key for key in told if key.endswith("ToolCall")), "function")
    held, call = _dict(told.get(name)), text_of(event.get("call_id"))
    tool = text_of(held.get("name")) if name == "function" else name.removesuffix("ToolCall")
    story.call(call, tool, held.get("args", held.get("arguments")), _moment(event))
    if event.get("subtype") == "completed":
        result = held.get("result")
        story.answer(call, _dict(result).get("success", result), _moment(event))


# -- Codex


def _item(event: Event, story: TranscriptBuilder) -> None:
    item = _dict(event.get("item"))
    kind, call = text_of(item.get("type")), text_of(item.get("id"))
    if kind == "agent_message":
        story.say(text_of(item.get("text")))
    elif kind in _CODEX:
        tool, given, output = _CODEX[kind](item)
        story.call(call, tool, given, _moment(event))
        if event.get("type") == "item.completed":
            story.answer(call, output, _moment(event))


def _command(item: Event) -> tuple[str, Any, Any]:
    output = {"output": item.get("aggregated_output"), "exit_code": item.get("exit_code")}
    return "command_execution", {"command": item.get("command")}, output


def _mcp(item: Event) -> tuple[str, Any, Any]:
    name = f"{text_of(item.get('server'))}.{text_of(item.get('tool'))}"
    failed = _dict(item.get("error"))
    result = _dict(item.get("result"))
    output = result.get("structured_content") or _joined(result.get("content"))
    return name, item.get("arguments"), {"error": text_of(failed.get("message"))} if failed else output


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


def _turn_failed(event: Event, story: TranscriptBuilder) -> None:
    story.end(_reason(_message(event) or "no reason given"))


def _turn_completed(_: Event, story: TranscriptBuilder) -> None:
    story.end(None)


# -- Gemini


def _gemini_message(event: Event, story: TranscriptBuilder) -> None:
    if event.get("role") == "assistant":
        story.say(text_of(event.get("content")), more=event.get("delta") is True)


def _tool_use(event: Event, story: TranscriptBuilder) -> None:
    """Take Gemini's call, or OpenCode's, which comes whole when it is over."""
    if part := _dict(event.get("part")):
        _opencode_call(part, story)
    else:
        tool = text_of(event.get("tool_name"))
        story.call(text_of(event.get("tool_id")), tool, event.get("parameters"), _moment(event))


def _tool_result(event: Event, story: TranscriptBuilder) -> None:
    output = event.get("output")
    if event.get("status") == "error":
        output = {"error": output or _message(event)}
    story.answer(text_of(event.get("tool_id")), output, _moment(event))


# -- OpenCode


def _opencode_call(part: Event, story: TranscriptBuilder) -> None:
    call, state = text_of(part.get("callID")) or text_of(part.get("id")), _dict(part.get("state"))
    time = _dict(state.get("time"))
    story.call(call, text_of(part.get("tool")), state.get("input"), _number(time.get("start")))
    failed = state.get("status") == "error"
    story.answer(call, {"error": state.get("error")} if failed else state.get("output"), _number(time.get("end")))


def _text(event: Event, story: TranscriptBuilder) -> None:
    story.say(text_of(_dict(event.get("part")).get("text")), more=True)


def _step(event: Event, story: TranscriptBuilder) -> None:
    story.spend(_number(_dict(event.get("part")).get("cost")) or 0.0)
    story.end(None)


def _error(event: Event, story: TranscriptBuilder) -> None:
    """Take OpenCode's error. Codex and Gemini print lines of that type for what they get over; they tell no session."""
    if "sessionID" in event:
        story.end(_reason(_message(event) or "no reason given"))


# -- Copilot


def _copilot_message(event: Event, story: TranscriptBuilder) -> None:
    data = _dict(event.get("data"))
    if not data.get("parentToolCallId"):
        story.say(text_of(data.get("content")))


def _copilot_call(event: Event, story: TranscriptBuilder) -> None:
    data = _dict(event.get("data"))
    story.call(text_of(data.get("toolCallId")), text_of(data.get("toolName")), data.get("arguments"), _moment(event))


def _copilot_answer(event: Event, story: TranscriptBuilder) -> None:
    data = _dict(event.get("data"))
    output = {"error": _message(data)} if data.get("success") is False else _dict(data.get("result")).get("content")
    story.answer(text_of(data.get("toolCallId")), output, _moment(event))


TELLING: dict[str, Callable[[Event, TranscriptBuilder], None]] = {
    "assistant": _assistant,
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
}


# -- values that may be anything


def _dict(value: Any) -> Event:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _dicts(value: Any) -> list[Event]:
    return [_dict(one) for one in cast("list[Any]", value) if isinstance(one, dict)] if isinstance(value, list) else []


def _joined(content: Any) -> Any:
    """Return the text of content that is nothing but text, else the content."""
    blocks = _dicts(content)
    if blocks and len(blocks) == len(content) and all(isinstance(block.get("text"), str) for block in blocks):
        return "\n".join(text_of(block["text"]) for block in blocks)
    return content


def _message(event: Event) -> str:
    """Return the message of an event's error, wherever it stands."""
    error = event.get("error")
    held = _dict(error)
    told = held.get("message") or _dict(held.get("data")).get("message") or held.get("name") or error
    return text_of(told) or text_of(event.get("message"))


def _reason(text: str) -> str:
    return line(" ".join(text.split()))[:_LONGEST]


def _number(value: Any) -> float | None:
    number = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _MOST
    return float(value) if number else None


def _moment(event: Event) -> float | None:
    """Return the moment that a line tells, in milliseconds."""
    told = event.get("timestamp_ms", event.get("timestamp"))
    if not isinstance(told, str):
        return _number(told)
    try:
        return datetime.fromisoformat(told).timestamp() * 1000
    except (ValueError, OverflowError, OSError):
        return None
