"""A client of the REST interface v1alpha of Jules, https://developers.google.com/jules/api.

It returns the JSON objects as they come; `session` reads them. Requests that a busy service refuses (429, 500, 502,
503, 504) are sent again after 1, 2, 4, … 30 seconds.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from itertools import chain
from typing import Any, cast

from ...mail.clock import Clock, SystemClock
from ...mail.errors import UsageError
from ...mail.render import line
from ..errors import ServiceError
from ..hidden import given
from ..web.api import JsonApi
from ..web.urls import checked_endpoint
from .orders import URL, VARIABLE

PAGE = 100  # sessions or activities that are asked for at once
_MOST_PAGES = 1000
_TRIES = 8  # of a request: about two minutes
_SESSION = re.compile(r"(?:https://jules\.google\.com/sessions?/|sessions/)?([\w-]{1,200})/?", re.ASCII)
_BURST = "could not get source"  # what Jules says of a create among too many others, as of a source it does not know
_AGAIN = frozenset({429, 500, 502, 503, 504})
_KEY = f"look at {VARIABLE}, which its settings page makes"
_ADVICE = {401: _KEY, 403: _KEY}
OK, NOT_FOUND = 200, 404
Done = Callable[[], dict[str, Any] | None]


class JulesClient:
    """Speaks to Jules with an API key, by default that of the environment variable `JULES_API_KEY`.

        >>> client = JulesClient()
        >>> session = client.create_session("Mend the log-in", "Log in", {"source": "sources/github/acme/shop"})
        >>> session["id"]
        '14848423526856432295'

    All methods raise ServiceError if Jules refuses or gives no answer. A session is named by its id, by
    `sessions/ID` or by its address.
    """

    def __init__(
        self, key: str | None = None, *, url: str = URL, tries: int = _TRIES, limit: float = 60.0,
        clock: Clock | None = None,
    ) -> None:  # fmt: skip
        """Take a key; `url` is that of the interface. Raises UsageError without a key.

        A request is tried `tries` times, and waits `limit` seconds for an answer.
        """
        key = given().get(VARIABLE, "") if key is None else key
        if not key or not key.isascii() or not key.isprintable():
            raise UsageError(f"no API key of Jules: set {VARIABLE}, or write it into the env_file of the agent")
        self._clock, self._tries = clock or SystemClock(), tries
        self._api = JsonApi(
            checked_endpoint(url), lambda: {"X-Goog-Api-Key": key}, clock=self._clock, patience=0.0, pauses=(),
            limit=limit, private=True, secret=lambda: key, advice=_ADVICE,
        )  # fmt: skip

    def create_session(
        self,
        prompt: str,
        title: str = "",
        source_context: Mapping[str, Any] | None = None,
        require_plan_approval: bool = False,
        automation_mode: str | None = None,
        *,
        done: Done | None = None,
    ) -> dict[str, Any]:
        """Create a session and return it; the answer carries no state.

        Args:
            prompt: What Jules is to do.
            title: Its title in lists.
            source_context: `{"source": "sources/github/OWNER/REPO", "githubRepoContext": {"startingBranch": "main"}}`.
            require_plan_approval: Whether Jules waits for `approve_plan`.
            automation_mode: `AUTO_CREATE_PR` to have it open a pull request.
            done: Looks whether a request without an answer has made the session all the same, and returns it.
        """
        body: dict[str, Any] = {"prompt": prompt, "title": title, "requirePlanApproval": require_plan_approval}
        body |= {"sourceContext": dict(source_context)} if source_context else {}
        body |= {"automationMode": automation_mode} if automation_mode else {}
        return self._post("/sessions", body, done)

    def get_session(self, session: str) -> dict[str, Any]:
        """Return a session."""
        return self._get(f"/sessions/{session_id(session)}")

    def list_sessions(self, *, most: int | None = None) -> Iterator[dict[str, Any]]:
        """Yield the sessions, the newest first, page by page; at most so many."""
        yield from self._pages("/sessions", "sessions", most)

    def send_message(self, session: str, prompt: str, *, done: Done | None = None) -> dict[str, Any]:
        """Send a message into a session; `done` is as for `create_session`."""
        return self._post(f"/sessions/{session_id(session)}:sendMessage", {"prompt": prompt}, done)

    def approve_plan(self, session: str, *, done: Done | None = None) -> dict[str, Any]:
        """Approve the plan of a session; `done` is as for `create_session`."""
        return self._post(f"/sessions/{session_id(session)}:approvePlan", {}, done)

    def activities(self, session: str) -> Iterator[dict[str, Any]]:
        """Yield the activities of a session, the oldest first; none for one that was just created, as Jules has 404."""
        try:
            yield from self._pages(f"/sessions/{session_id(session)}/activities", "activities", None)
        except ServiceError as error:
            if error.status != NOT_FOUND:
                raise

    def _get(self, path: str, **query: str | int) -> dict[str, Any]:
        return self._tried(lambda: self._api.get(path, **query))

    def _post(self, path: str, body: Mapping[str, Any], done: Done | None) -> dict[str, Any]:
        return self._tried(lambda: self._api.send("POST", path, body), done, reads=False)

    def _tried(self, call: Callable[[], Any], done: Done | None = None, *, reads: bool = True) -> dict[str, Any]:
        """Make a call, and again after a while if Jules is busy.

        Before that, `done` looks whether the call had its effect all the same. Without `done`, one that may have had an
        effect is not made again unless Jules refused it.
        """
        for pause in chain(pauses(self._tries), [None]):
            try:
                return _object(call())
            except ServiceError as error:
                is_lost = not error.status and (reads or done is not None)
                is_busy = error.status in _AGAIN or _BURST in str(error).casefold()
                if pause is None or not (is_lost or is_busy):
                    raise
            self._clock.sleep(pause)
            if done and (answer := done()) is not None:
                return answer
        raise AssertionError  # the last try returned or raised

    def _pages(self, path: str, name: str, most: int | None) -> Iterator[dict[str, Any]]:
        token, left = "", most
        for _ in range(_MOST_PAGES):
            size = PAGE if left is None else min(PAGE, left)
            answer = self._get(path, pageSize=size, **({"pageToken": token} if token else {}))
            for item in _objects(answer.get(name))[:left]:
                yield item
                left = None if left is None else left - 1
            token = answer.get("nextPageToken")
            if left == 0 or not isinstance(token, str) or not token:
                return


def pauses(tries: int) -> Iterator[float]:
    """Yield the seconds to wait between so many tries: twice as long each time, and never longer than 30."""
    yield from (min(2.0**number, 30.0) for number in range(tries - 1))


def session_id(session: str) -> str:
    """Return the id of a session from any of its names. Raises UsageError for what is none."""
    if not (match := _SESSION.fullmatch(session.strip())):
        raise UsageError(f"{line(session)[:80]!r} is no session of Jules; name it by its id, a number")
    return match[1]


def _object(value: Any) -> dict[str, Any]:
    if value is not None and not isinstance(value, dict):
        raise ServiceError("Jules answered with something else than a JSON object", OK)
    return cast("dict[str, Any]", value or {})


def _objects(value: Any) -> list[dict[str, Any]]:
    items = cast("list[Any]", value) if isinstance(value, list) else []
    return [cast("dict[str, Any]", item) for item in items if isinstance(item, dict)]
