"""A model on loopback, for the real agents: it follows a script of shell commands and speaks each of their protocols.

An agent is known by its persona, which stands in its prompt ("You are `ann`"). With its first answer the model calls
the agent's shell tool with the first command of a script of that persona, with the next answer the second one, and in
the end it says something. So what is done is done by the agent's own tools, in its own sandbox.

The first part of a path is how the model behaves: `/ok/v1/messages` answers, `/denied/…` answers 401, and so on.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

Json = dict[str, Any]
SHELLS = ("Bash", "bash", "run_shell_command", "exec_command", "shell_command", "shell")
REFUSALS = {
    "denied": (401, "authentication_error", "this key is not known here"),
    "throttled": (429, "rate_limit_error", "the quota of this account is used up"),
    "limited": (429, "rate_limit_error", "usage limit reached, resets at 18:00"),
    "overloaded": (529, "overloaded_error", "Overloaded"),
}
INPUT, CACHED, OUTPUT = 1000, 800, 50  # tokens of each answer; those from the cache are part of the input
NEWEST = "the newest message"  # an argument: its number, as a list in the prompt has it
LISTED = re.compile(r"\[(?: NEW |READ )\] (\d+) \| From: ")
PERSONA = re.compile(r"You are `([\w-]+)`")


@dataclass(frozen=True)
class Request:
    """What an agent asked: the text of all its messages, how many tools have answered, and its tools by name."""

    path: str
    text: str
    answered: int
    tools: Mapping[str, Json]
    headers: Mapping[str, str]

    @property
    def persona(self) -> str:
        found = PERSONA.search(self.text)
        return found[1] if found else ""


@dataclass(frozen=True)
class Call:
    """A call of the agent's shell tool. An agent takes a second one with the same id for the first one."""

    tool: str
    arguments: Json
    id: str


@dataclass
class Model:
    """The server. `scripts` has the scripts of each persona, and `words` what it says in the end, perhaps by such keys.

    A step of a script is a command, or the end of a tool's name with its arguments.
    The first script is followed whose key stands in the prompt, such as "Type: conflict"; the key "" always does.
    """

    scripts: dict[str, dict[str, tuple[str | tuple[str, Json], ...]]] = field(default_factory=dict)
    words: dict[str, str | dict[str, str]] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)
    answers: int = 0  # that told their tokens
    over: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler(self))
        self._server.daemon_threads = True
        self._server.handle_error = lambda *_: None  # an agent that is ended leaves its connections
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self._server.shutdown()
        self._server.server_close()

    def url(self, behaviour: str = "ok") -> str:
        return f"http://127.0.0.1:{self._server.server_port}/{behaviour}"

    def answer(self, request: Request) -> str | Call:
        """Return the next call of the script, or the last words."""
        shell = next((name for name in SHELLS if name in request.tools), None)
        scripts = self.scripts.get(request.persona, {})
        script = next((script for key, script in scripts.items() if key in request.text), ())
        if shell is None or request.answered >= len(script):
            words = self.words.get(request.persona, "Done.")
            return words if isinstance(words, str) else next(said for key, said in words.items() if key in request.text)
        step, number = script[request.answered], f"call_{len(self.requests)}"
        if isinstance(step, str):
            return Call(shell, arguments_of(request.tools[shell], step), number)
        names = sorted(request.tools, key=lambda name: "team" not in name)  # an agent has a tool `read` of its own
        tool = next((name for name in names if name.endswith(step[0])), f"no tool {step[0]}")
        found = LISTED.findall(request.text)
        return Call(tool, {k: found[-1] if v == NEWEST and found else v for k, v in step[1].items()}, number)


def arguments_of(schema: Json, command: str) -> Json:
    """Fill in the arguments of a shell tool: the command, and a few words wherever else something is required."""
    properties = schema.get("properties", {})
    name = "cmd" if "cmd" in properties else "command"
    listed = properties.get(name, {}).get("type") == "array"
    blank = {"boolean": False, "integer": 1, "number": 1}
    required = (each for each in schema.get("required", ()) if each != name)
    more = {each: blank.get(properties[each].get("type"), "a step") for each in required}
    return {**more, name: ["bash", "-lc", command] if listed else command}


# -- what is asked


def texts(value: Any) -> Iterator[str]:
    """Yield every string below a value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from texts(item)


def read(path: str, body: Json, headers: Mapping[str, str]) -> Request:
    """Read a request of any of the four protocols."""
    said = body.get("messages") or body.get("input") or body.get("contents") or []
    if isinstance(said, str):
        said = [{"content": said}]
    parts = [part for each in said for part in (each, *blocks(each))]
    answered = sum(
        part.get("role") == "tool"
        or str(part.get("type", "")) in {"tool_result", "function_call_output", "custom_tool_call_output"}
        or "functionResponse" in part
        for part in parts
    )
    system = [body.get("system"), body.get("instructions"), body.get("systemInstruction")]
    return Request(path, "\n".join(texts([*system, said])), answered, dict(tools(body)), headers)


def blocks(message: Json) -> list[Json]:
    content = message.get("content", message.get("parts"))
    return [part for part in content if isinstance(part, dict)] if isinstance(content, list) else []


def tools(body: Json) -> Iterator[tuple[str, Json]]:
    for tool in body.get("tools") or ():
        space = f"{tool['name']}{WITHIN}" if tool.get("type") == "namespace" else ""
        for each in tool.get("functionDeclarations") or (space and tool["tools"]) or [tool.get("function") or tool]:
            schema = next((each[key] for key in SCHEMAS if key in each), {})
            yield space + each.get("name", each.get("type", "")), schema


WITHIN = "::"  # between the namespace of a tool and its name
SCHEMAS = ("input_schema", "parameters", "parametersJsonSchema")


# -- what is answered: the events of a stream, each with its data


def anthropic(answer: str | Call) -> Iterator[Json]:
    if isinstance(answer, Call):
        block: Json = {"type": "tool_use", "id": answer.id, "name": answer.tool, "input": {}}
        delta: Json = {"type": "input_json_delta", "partial_json": json.dumps(answer.arguments)}
        name, reason = f"msg_{answer.id}", "tool_use"
    else:
        block, delta = {"type": "text", "text": ""}, {"type": "text_delta", "text": answer}
        name, reason = "msg_end", "end_turn"
    message: Json = {"id": name, "type": "message", "role": "assistant", "model": "fake", "content": []}
    usage = {"input_tokens": INPUT - CACHED, "cache_read_input_tokens": CACHED, "output_tokens": OUTPUT}
    message |= {"stop_reason": None, "stop_sequence": None, "usage": usage}
    yield {"type": "message_start", "message": message}
    yield {"type": "content_block_start", "index": 0, "content_block": block}
    yield {"type": "content_block_delta", "index": 0, "delta": delta}
    yield {"type": "content_block_stop", "index": 0}
    yield {"type": "message_delta", "delta": {"stop_reason": reason, "stop_sequence": None}, "usage": usage}
    yield {"type": "message_stop"}


def responses(answer: str | Call) -> Iterator[Json]:
    if isinstance(answer, Call):
        space, _, name = answer.tool.rpartition(WITHIN)
        item: Json = {"type": "function_call", "id": f"fc_{answer.id}", "call_id": answer.id, "name": name}
        item |= {"namespace": space} if space else {}
        item |= {"arguments": json.dumps(answer.arguments), "status": "completed"}
    else:
        content = [{"type": "output_text", "text": answer, "annotations": []}]
        item = {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": content}
    response: Json = {"id": "resp_1", "object": "response", "model": "fake", "status": "in_progress", "output": []}
    yield {"type": "response.created", "response": response}
    yield {"type": "response.output_item.added", "output_index": 0, "item": item | {"status": "in_progress"}}
    yield {"type": "response.output_item.done", "output_index": 0, "item": item}
    usage = {"input_tokens": INPUT, "output_tokens": OUTPUT, "total_tokens": INPUT + OUTPUT}
    usage |= {"input_tokens_details": {"cached_tokens": CACHED}, "output_tokens_details": {"reasoning_tokens": 0}}
    response |= {"status": "completed", "output": [item], "usage": usage}
    yield {"type": "response.completed", "response": response}


def chat(answer: str | Call) -> Iterator[Json]:
    delta: Json = {"role": "assistant", "content": answer}
    reason = "stop"
    if isinstance(answer, Call):
        function = {"name": answer.tool, "arguments": json.dumps(answer.arguments)}
        delta = {"role": "assistant", "content": None}
        delta["tool_calls"] = [{"index": 0, "id": answer.id, "type": "function", "function": function}]
        reason = "tool_calls"
    chunk: Json = {"id": "c_1", "object": "chat.completion.chunk", "created": 1, "model": "fake"}
    yield chunk | {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
    yield chunk | {"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]}
    usage: Json = {"prompt_tokens": INPUT, "completion_tokens": OUTPUT, "total_tokens": INPUT + OUTPUT}
    usage["prompt_tokens_details"] = {"cached_tokens": CACHED}
    yield chunk | {"choices": [], "usage": usage}


def gemini(answer: str | Call) -> Iterator[Json]:
    part: Json = {"text": answer}
    if isinstance(answer, Call):
        part = {"functionCall": {"name": answer.tool, "args": answer.arguments}}
    usage = {"promptTokenCount": INPUT, "candidatesTokenCount": OUTPUT, "totalTokenCount": INPUT + OUTPUT}
    usage["cachedContentTokenCount"] = CACHED
    content = {"role": "model", "parts": [part]}
    yield {"candidates": [{"index": 0, "content": content, "finishReason": "STOP"}], "usageMetadata": usage}


PROTOCOLS: tuple[tuple[re.Pattern[str], Callable[[str | Call], Iterator[Json]]], ...] = (
    (re.compile(r"/v1/messages$"), anthropic),
    (re.compile(r"/responses$"), responses),
    (re.compile(r"/chat/completions$"), chat),
    (re.compile(r":(stream)?[gG]enerateContent$"), gemini),
)


def whole(speak: Callable[[str | Call], Iterator[Json]], answer: str | Call) -> Json:
    """Return an answer in one piece, for a request that asks for no stream."""
    events = [*speak(answer)]
    if speak is anthropic:
        block = events[1]["content_block"]
        block |= {"input": answer.arguments} if isinstance(answer, Call) else {"text": answer}
        return events[0]["message"] | {"content": [block], "stop_reason": events[4]["delta"]["stop_reason"]}
    if speak is responses:
        return events[-1]["response"]
    if speak is chat:
        choice = {
            "index": 0,
            "message": events[0]["choices"][0]["delta"],
            "finish_reason": events[1]["choices"][0]["finish_reason"],
        }
        return events[-1] | {"object": "chat.completion", "choices": [choice]}
    return events[0]


def encoded(speak: Callable[[str | Call], Iterator[Json]], events: Iterable[Json]) -> Iterator[bytes]:
    for event in events:
        name = f"event: {event['type']}\n" if speak in {anthropic, responses} else ""
        yield f"{name}data: {json.dumps(event)}\n\n".encode()
    if speak is chat:
        yield b"data: [DONE]\n\n"


# -- the server


def handler(model: Model) -> type[BaseHTTPRequestHandler]:
    """Return the handler of the requests to a model."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: object) -> None:
            """Print nothing."""

        def do_HEAD(self) -> None:
            self._reply(200, {})

        def do_GET(self) -> None:
            self._reply(200, {"object": "list", "data": [{"id": "fake", "object": "model"}], "models": []})

        def do_POST(self) -> None:
            data = self.rfile.read(int(self.headers.get("content-length", 0)))
            _, behaviour, path = self.path.partition("?")[0].split("/", 2)
            speak = next((each for pattern, each in PROTOCOLS if pattern.search("/" + path)), None)
            body = json.loads(data or b"{}")
            request = read(path, body, {name.lower(): value for name, value in self.headers.items()})
            model.requests.append(request)
            if behaviour in REFUSALS:
                status, kind, why = REFUSALS[behaviour]
                self._reply(
                    status, {"type": "error", "error": {"type": kind, "message": why, "code": status, "status": kind}}
                )
            elif speak is None:
                self._reply(200, {"input_tokens": 10, "totalTokens": 10})
            elif behaviour == "silent":
                model.over.wait(120)
                self.close_connection = True
            else:
                model.answers += 1
                self._speak(speak, body, model.answer(request), cut=behaviour == "cut")

        def _speak(self, speak: Callable[..., Iterator[Json]], body: Json, answer: str | Call, *, cut: bool) -> None:
            if not (body.get("stream") or "stream" in self.path):
                self._reply(200, whole(speak, answer), cut=cut)
                return
            pieces = [*encoded(speak, speak(answer))]
            self.send_response(200)
            self.send_header("content-type", "text/event-stream")
            self.send_header("transfer-encoding", "chunked")
            self.end_headers()
            for piece in pieces[: max(1, len(pieces) // 2)] if cut else pieces:
                half = piece[: len(piece) // 2] if cut and len(pieces) == 1 else piece
                self.wfile.write(b"%x\r\n%s\r\n" % (len(half), half))
            if cut:  # without the last chunk: the connection just ends
                self.close_connection = True
                return
            self.wfile.write(b"0\r\n\r\n")

        def _reply(self, status: int, document: Json, *, cut: bool = False) -> None:
            data = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data[: len(data) // 2] if cut else data)
            self.close_connection = cut

    return Handler
