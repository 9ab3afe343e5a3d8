"""An agent that speaks ACP, as plain JSON-RPC on its standard streams, and does what a script tells it.

It is started as `python fake.py SCRIPT.json HEARD.jsonl`, and writes down each message that it gets.
The script: `capabilities`, `methods` (of logging in), `login` (a method without which no session begins), `sessions`
(that can be loaded), `modes`, `options`, `usage`, and `turns`: for each prompt a list of steps, each a small object.
"""

import itertools
import json
import os
import subprocess
import sys
import time
from pathlib import Path

script = json.loads(Path(sys.argv[1]).read_text())
heard = Path(sys.argv[2]).open("a")  # noqa: SIM115 - as long as the process
turns, logged_in, asked = list(script.get("turns", [])), not script.get("login"), itertools.count(1)


def send(**message):
    sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
    sys.stdout.flush()


def receive():
    line = sys.stdin.readline()
    if not line:
        sys.exit(0)
    heard.write(line)
    heard.flush()
    return json.loads(line)


def update(**what):
    send(method="session/update", params={"sessionId": "s1", "update": what})


def ask(call, options):
    """Ask for permission, and return whether it is given."""
    number = f"ask{next(asked)}"
    options = [{"optionId": kind, "name": kind, "kind": kind} for kind in options]
    send(
        id=number,
        method="session/request_permission",
        params={"sessionId": "s1", "toolCall": call, "options": options},
    )
    while True:
        answer = receive()
        if answer.get("id") == number and "method" not in answer:
            return answer["result"]["outcome"].get("optionId", "").startswith("allow")


def step(each):
    """Carry out a step; return the answer to the prompt if that is its end."""
    if "say" in each:
        more = {"messageId": each["id"]} if "id" in each else {}
        update(
            sessionUpdate="agent_message_chunk",
            content={"type": "text", "text": each["say"]},
            **more,
            **({"_meta": each["meta"]} if "meta" in each else {}),
        )
    elif "think" in each:
        for _ in range(each.get("times", 1)):
            update(sessionUpdate="agent_thought_chunk", content={"type": "text", "text": each["think"]})
    elif "ask" in each:
        call = {"toolCallId": f"call{len(turns)}", "title": "a call", **each["ask"]}
        allowed = ask(call, each.get("options", ["allow_always", "allow_once", "reject_once"]))
        if allowed and "write" in each:
            Path(each["write"]).write_text("by the agent\n")
        update(
            sessionUpdate="tool_call_update",
            toolCallId=call["toolCallId"],
            status="completed" if allowed else "failed",
            content=[{"type": "content", "content": {"type": "text", "text": "done" if allowed else "refused"}}],
        )
    elif "update" in each:
        update(**each["update"])
    elif "retry" in each:
        message = {"type": "system", "subtype": "api_retry", "error": "authentication_failed", **each["retry"]}
        send(method="_claude/sdkMessage", params={"sessionId": "s1", "message": message})
    elif "raw" in each:
        sys.stdout.write(each["raw"] + "\n")
        sys.stdout.flush()
    elif "err" in each:
        sys.stderr.write(each["err"] + "\n")
        sys.stderr.flush()
    elif "write" in each:
        Path(each["write"]).write_text(each.get("text", ""))
    elif "wait" in each:
        while not Path(each["wait"]).exists():
            time.sleep(0.01)
    elif "exit" in each:
        sys.stdout.flush()
        os._exit(each["exit"])
    elif "leave" in each:
        subprocess.Popen(each["leave"], shell=True)
        os._exit(0)
    elif "shut" in each:
        os.close(1)
        os.close(2)
        while True:
            receive()
    elif "hang" in each:
        while True:
            receive()
    return each if "stop" in each or "error" in each else None


def prompt(number):
    end = None
    for each in turns.pop(0) if turns else []:
        end = step(each) or end
    if end and "error" in end:
        send(id=number, error=end["error"])
    else:
        end = end or {}
        result = {"stopReason": end.get("stop", "end_turn"), "usage": end.get("usage", script.get("usage"))}
        send(id=number, result={**result, **({"_meta": end["meta"]} if "meta" in end else {})})


def state():
    return {key: script[name] for name, key in (("modes", "modes"), ("options", "configOptions")) if name in script}


for each in script.get("first", []):
    step(each)
while True:
    message = receive()
    method, number, params = message.get("method"), message.get("id"), message.get("params") or {}
    if method == "initialize":
        send(
            id=number,
            result={
                "protocolVersion": script.get("version", 1),
                "agentCapabilities": script.get("capabilities", {}),
                "authMethods": script.get("methods", []),
                "agentInfo": {"name": "fake", "version": "1"},
            },
        )
    elif method == "authenticate":
        logged_in = params["methodId"] == script.get("login")
        send(id=number, **({"result": {}} if logged_in else {"error": {"code": -32000, "message": "wrong method"}}))
    elif method in ("session/new", "session/load", "session/resume"):
        if not logged_in:
            send(id=number, error={"code": -32000, "message": "Authentication required"})
        elif method == "session/new":
            send(id=number, result={"sessionId": "s1", **state()})
        elif params["sessionId"] in script.get("sessions", []):
            update(sessionUpdate="agent_message_chunk", content={"type": "text", "text": "of an earlier run"})
            update(sessionUpdate="usage_update", used=1, size=2, cost={"amount": 5.0, "currency": "USD"})
            send(id=number, result=state())
        else:
            send(id=number, error={"code": -32603, "message": "Internal error", "data": {"details": "no such session"}})
    elif method == "session/prompt":
        prompt(number)
    elif method in ("session/set_mode", "session/set_config_option", "session/set_model"):
        wrong = params.get("modelId") == "wrong" or params.get("value") == "wrong"
        send(
            id=number,
            **(
                {"error": {"code": -32602, "message": "no such model"}}
                if wrong
                else {"result": {"configOptions": script.get("options", [])}}
            ),
        )
    elif number is not None and method:
        send(id=number, error={"code": -32601, "message": "Method not found"})
