"""A fake of Jules on this machine, for tests: the REST interface v1alpha with the behaviour that was seen of it.

    with FakeJules(Play(patch=PATCH, base=COMMIT), key="any") as jules:
        client = JulesClient("any", url=jules.url)

A created session tells no state, and its activities answer 404 at first; defaults are left out, and there is a kind of
activity that nobody knows. More than `burst` creates at once fail with "Could not get source". Each look at a session
takes it one step further. To try a team with it: `python -m team_mail.personas.jules.fake --help`.
"""

from __future__ import annotations

import argparse
import json
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, cast
from urllib.parse import parse_qs, urlsplit

from .orders import VARIABLE
from .session import COMPLETED, FAILED, PLAN, QUESTION

_PAGE = 30  # the size of a page that nobody asked for
_WHEN = "2026-01-11T12:00:00Z"
_MOST = 16 << 20  # bytes of a request
_WORDS = {
    400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 404: "NOT_FOUND", 429: "RESOURCE_EXHAUSTED", 503: "UNAVAILABLE",
}  # fmt: skip
Json = dict[str, Any]


@dataclass(frozen=True)
class Play:
    """How a session goes. `asks` is a question that it waits for an answer to, and `says` its last words.

    `notes` is what it says on the way without waiting.

    It ends `completed`, with `patch` as a change set of `base` and with `pull_request` (an address) if these are given;
    or `failed`; or it is `stuck`, in progress for ever.
    """

    patch: str = ""
    base: str = ""
    says: str = ""
    asks: str = ""
    notes: str = ""
    pull_request: str = ""
    command: str = "pytest -q"
    end: Literal["completed", "failed", "stuck"] = "completed"
    reason: str = "the environment could not be set up"


@dataclass
class _Session:
    """A session of the fake: what it was made with, how it goes, and how far it has come."""

    id: str
    body: Json
    play: Play
    state: str = ""
    activities: list[Json] = field(default_factory=list[Json])
    unready: int = 1
    approved: bool = False
    answered: bool = False

    def tell(self, originator: str, artifacts: Sequence[Json] = (), **kind: Json) -> None:
        """Add an activity."""
        own = f"a{len(self.activities) + 1}"
        activity = {"name": f"sessions/{self.id}/activities/{own}", "id": own, "createTime": _WHEN}
        self.activities.append(
            activity | {"originator": originator} | ({"artifacts": [*artifacts]} if artifacts else {}) | kind
        )

    def step(self) -> None:
        """Go one step further."""
        if self.state in {COMPLETED, FAILED}:
            return
        self.state = self._next()

    def _next(self) -> str:
        if not self.state:
            return "QUEUED"
        if self.state == "QUEUED":
            return "PLANNING"
        if self.state == "PLANNING":
            steps = [{"title": "Look", "index": 0}, {"title": "Change it", "description": "and test", "index": 1}]
            self.tell("agent", planGenerated={"plan": {"id": "p1", "steps": steps}})
            self.tell("system", somethingNew={"of": "a later version"})
            return PLAN if self.body.get("requirePlanApproval") else self._begin()
        if self.state == PLAN:
            return self._begin() if self.approved else PLAN
        if self.state == QUESTION and not self.answered:
            return QUESTION
        return self._finish()

    def _begin(self) -> str:
        self.tell("user", planApproved={"planId": "p1"})
        if self.play.asks:
            self.tell("agent", agentMessaged={"agentMessage": self.play.asks})
            return QUESTION
        return self._go_on()

    def _go_on(self) -> str:
        if self.play.notes:
            self.tell("agent", agentMessaged={"agentMessage": self.play.notes})
        return "IN_PROGRESS"

    def _finish(self) -> str:
        if self.state == QUESTION:
            return self._go_on()
        if self.play.end == "stuck":
            return self.state
        bash = {"bashOutput": {"command": self.play.command, "output": "1 passed\n"}}  # without an exit code, it is 0
        self.tell("agent", [bash], progressUpdated={"title": "Ran the tests", "description": "All pass."})
        if self.play.says:
            self.tell("agent", agentMessaged={"agentMessage": self.play.says})
        if self.play.end == "failed":
            self.tell("system", sessionFailed={"reason": self.play.reason})
            return FAILED
        self.tell("system", [self.change] if self.change else [], sessionCompleted={})
        return COMPLETED

    @property
    def change(self) -> Json:
        """The change set, empty if it changes nothing."""
        if not self.play.patch:
            return {}
        patch = {"unidiffPatch": self.play.patch, "suggestedCommitMessage": "Do what was asked"}
        patch |= {"baseCommitId": self.play.base} if self.play.base else {}
        return {"changeSet": {"source": self.body.get("sourceContext", {}).get("source"), "gitPatch": patch}}

    def document(self, *, created: bool = False) -> Json:
        """Return the session as its JSON, without a state if it was just created."""
        about = {name: self.body[name] for name in ("title", "prompt", "sourceContext") if self.body.get(name)}
        about |= {"name": f"sessions/{self.id}", "id": self.id, "url": f"https://jules.google.com/session/{self.id}"}
        about |= {"createTime": _WHEN, "updateTime": _WHEN}
        if created or not self.state:
            return about
        outputs = [self.change] if self.state == COMPLETED and self.change else []
        if self.state == COMPLETED and self.play.pull_request:
            outputs.append({"pullRequest": {"url": self.play.pull_request, "title": "Do it", "description": ""}})
        return about | {"state": self.state} | ({"outputs": outputs} if outputs else {})


class FakeJules:
    """Jules on a port of this machine, while it is held as a context manager.

    `play` says how each session goes: one Play for all, or a function of the JSON that creates one. `sessions` has
    what was asked for, by id, and `requests` each request as method and path. The next requests answer with `faults`,
    statuses of HTTP, and as many creates as `lost` says are carried out but never answered.
    """

    def __init__(
        self, play: Play | Callable[[Json], Play] | None = None, *, key: str = "test-key", burst: int = 5,
        create_takes: float = 0.0, port: int = 0,
    ) -> None:  # fmt: skip
        """`create_takes` is how long a create is in flight, in seconds."""
        self.play = play or Play()
        self.key, self.burst, self.create_takes = key, burst, create_takes
        self.requests: list[tuple[str, str]] = []
        self.faults: list[int] = []
        self.lost = 0
        self._sessions: dict[str, _Session] = {}
        self._lock = threading.Lock()
        self._flying = 0
        self.most_flying = 0
        self._server = ThreadingHTTPServer(("127.0.0.1", port), _handler(self))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        """The address of the interface, for `JulesClient` and the key `url` of a table."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1alpha"

    @property
    def sessions(self) -> dict[str, Json]:
        """What each session was created with, by its id, the oldest first."""
        return {name: session.body for name, session in self._sessions.items()}

    def state(self, session: str) -> str:
        """Return how far a session has come."""
        return self._sessions[session].state

    def said(self, session: str) -> list[str]:
        """Return what users said in a session."""
        told = (activity.get("userMessaged", {}) for activity in self._sessions[session].activities)
        return [each["userMessage"] for each in told if each]

    def change(self, session: str, play: Play) -> None:
        """Have a session go on in another way."""
        self._sessions[session].play = play

    def delete(self, session: str) -> None:
        """Delete a session, as its user would on the web page."""
        del self._sessions[session]

    def approve(self, session: str) -> None:
        """Approve the plan of a session, as its user would."""
        self._sessions[session].approved = True

    # -- the interface

    def answer(self, method: str, path: str, query: dict[str, list[str]], body: Json) -> tuple[int, Json | None]:
        """Return the status and the JSON of an answer; None for none at all."""
        with self._lock:
            self.requests.append((method, path))
            if self.faults:
                return _error(self.faults.pop(0), "The service is currently unavailable.")
        place, _, verb = path.removeprefix("/v1alpha/sessions").strip("/").partition(":")
        name, _, rest = place.partition("/")
        if not name:
            return self._create(body) if method == "POST" else self._page("sessions", self._listed(), query)
        with self._lock:
            if not (session := self._sessions.get(name)):
                return _error(404, f"Requested entity was not found: sessions/{name}")
            if method == "POST":
                return self._act(session, verb, body)
            if rest == "activities":
                return self._activities(session, query)
            session.step()
            return 200, session.document()

    def _create(self, body: Json) -> tuple[int, Json | None]:
        with self._lock:
            self._flying += 1
            self.most_flying = max(self.most_flying, self._flying)
            too_many = self._flying > self.burst
        time.sleep(self.create_takes)
        with self._lock:
            self._flying -= 1
            if too_many:
                return _error(400, f"Could not get source: {body.get('sourceContext', {}).get('source')}")
            if not body.get("prompt"):
                return _error(400, "prompt is required")
            new = str(14848423526856432295 + len(self._sessions))
            play = self.play if isinstance(self.play, Play) else self.play(body)
            session = self._sessions[new] = _Session(new, body, play)
            if self.lost:
                self.lost -= 1
                return 0, None
            return 200, session.document(created=True)

    def _act(self, session: _Session, verb: str, body: Json) -> tuple[int, Json]:
        if verb == "sendMessage":
            session.tell("user", userMessaged={"userMessage": str(body.get("prompt", ""))})
            session.answered = True
        elif verb == "approvePlan":
            session.approved = True
        else:
            return _error(404, f"no method {verb}")
        return 200, {}

    def _listed(self) -> list[Json]:
        with self._lock:
            return [session.document() for session in reversed(self._sessions.values())]

    def _activities(self, session: _Session, query: dict[str, list[str]]) -> tuple[int, Json]:
        if session.unready:
            session.unready -= 1
            return _error(404, "Requested entity was not found.")
        return self._page("activities", session.activities, query)

    def _page(self, name: str, items: Sequence[Json], query: dict[str, list[str]]) -> tuple[int, Json]:
        start, size = int(query.get("pageToken", ["0"])[0]), int(query.get("pageSize", [str(_PAGE)])[0])
        page = items[start : start + size]
        answer: Json = {name: page} if page else {}
        return 200, answer | ({"nextPageToken": str(start + size)} if len(items) > start + size else {})


def _error(code: int, message: str) -> tuple[int, Json]:
    return code, {"error": {"code": code, "message": message, "status": _WORDS.get(code, "INTERNAL")}}


def _handler(fake: FakeJules) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._answer({})

        def do_POST(self) -> None:
            data = self.rfile.read(min(_MOST, int(self.headers.get("Content-Length") or 0)))
            try:
                body: Any = json.loads(data or b"{}")
            except ValueError:
                body = None
            self._answer(cast("Json", body) if isinstance(body, dict) else None)

        def _answer(self, body: Json | None) -> None:
            parts = urlsplit(self.path)
            if self.headers.get("X-Goog-Api-Key") != fake.key:
                status, answer = _error(401, "Request had invalid authentication credentials.")
            elif body is None:
                status, answer = _error(400, "Invalid JSON payload received.")
            else:
                status, answer = fake.answer(self.command, parts.path, parse_qs(parts.query), body)
            if answer is None:  # the connection breaks off
                self.close_connection = True
                return
            data = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json; charset=UTF-8")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: Any) -> None:
            """Print nothing."""

    return Handler


def main(words: Sequence[str] | None = None) -> None:
    """Serve a fake until it is interrupted."""
    parser = argparse.ArgumentParser(
        prog="python -m team_mail.personas.jules.fake",
        description="A fake of Jules on this machine.",
    )
    parser.add_argument("--port", type=int, default=0, help="by default one that is free")
    parser.add_argument("--key", default="test-key", help="the API key that it takes")
    parser.add_argument("--patch", type=Path, help="a file with the change that its sessions come to")
    parser.add_argument("--base", default="", help="the commit that the change applies to")
    parser.add_argument("--ask", default="", help="a question that its sessions ask")
    parser.add_argument("--say", default="Done.", help="their last words")
    parser.add_argument("--pull-request", default="", help="the address of a pull request that they come to")
    parser.add_argument("--end", choices=("completed", "failed", "stuck"), default="completed")
    given = parser.parse_args(words)
    patch = given.patch.read_text() if given.patch else ""
    play = Play(patch, given.base, given.say, given.ask, pull_request=given.pull_request, end=given.end)
    with FakeJules(play, key=given.key, port=given.port) as fake:
        sys.stdout.write(f'url = "{fake.url}"\n# and {VARIABLE}={given.key} in the environment; end it with Ctrl-C\n')
        sys.stdout.flush()
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            return


if __name__ == "__main__":
    main()
