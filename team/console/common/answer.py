"""Answers to requests: values as JSON, errors with a status as HTTP has it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from ....mail.errors import KeyReused, LogError, TeamMailError, UnknownMessage, UsageError
from ....mail.log.event import strict_json
from ....mail.render import finite
from ....mail.text.escape import clean
from ....scheduler.errors import (
    BranchMoved,
    ClaimError,
    NoSuchRun,
    NoSuchSession,
    NoSuchTask,
    NotLeader,
    NotReady,
    SessionError,
)
from ..access.caller import NOBODY
from .console import Console
from .route import Asked, Reply, Route
from .slashes import variables

_BAD, _NOT_FOUND, _CONFLICT, _WRONG, _FAILED, _DOWN = 400, 404, 409, 422, 500, 503
_STATUS: dict[type[Exception], int] = {  # the first that an error is
    NoSuchRun: _NOT_FOUND,
    NoSuchSession: _NOT_FOUND,
    NoSuchTask: _NOT_FOUND,
    UnknownMessage: _NOT_FOUND,
    KeyReused: _CONFLICT,
    NotReady: _CONFLICT,
    NotLeader: _CONFLICT,
    BranchMoved: _CONFLICT,
    SessionError: _CONFLICT,
    ClaimError: _CONFLICT,
    UsageError: _WRONG,
    LogError: _DOWN,
    OSError: _DOWN,
    TeamMailError: _FAILED,
}


class Refused(TeamMailError):
    """A request that is not answered; `status` is that of HTTP, and `headers` go with it."""

    def __init__(self, status: int, message: str, headers: Mapping[str, str] | None = None) -> None:
        self.status = status
        self.headers = headers
        super().__init__(message)


def as_json(value: Any, status: int = 200) -> Response:
    """Return a response with a value as JSON, or what a Reply says."""
    if isinstance(value, Reply):
        response = (
            Response(value.value, media_type=value.media) if isinstance(value.value, bytes) else as_json(value.value)
        )
        response.status_code = value.status or status
        response.headers.update(value.headers)
        return response
    body = json.dumps(finite(value), ensure_ascii=False, separators=(",", ":"), default=str)
    return Response(body.encode(errors="backslashreplace"), status, media_type="application/json")


def refusal(error: BaseException) -> tuple[int, str]:
    """Return the status and the sentence of an error. Raises it again if it is none of the team's."""
    if isinstance(error, Refused):
        return error.status, str(error)
    if isinstance(error, HTTPException):
        return error.status_code, error.detail
    if isinstance(error, ValidationError):
        return _WRONG, "; ".join(_wrong(each["loc"], each["msg"]) for each in error.errors())
    for kind, status in _STATUS.items():
        if isinstance(error, kind):
            return status, str(error)
    raise error


def _wrong(place: tuple[int | str, ...], message: str) -> str:
    """Say what is wrong where, as in `tasks[1].prompt: …`."""
    where = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place).lstrip(".")
    return f"{where}: {message.removeprefix('Value error, ')}" if where else message


def problem(error: BaseException) -> Response:
    """Return the response of an error: `{"error": SENTENCE}` with its status."""
    status, text = refusal(error)
    answer = as_json({"error": clean(text)}, status)
    if isinstance(error, Refused | HTTPException):
        answer.headers.update(error.headers or {})
    return answer


async def read_asked(route: Route, request: Request, sender: str) -> Asked:
    """Read what a request asks for. Raises Refused, ValidationError."""
    body = None
    if route.takes is not None:
        data = await request.body()
        try:
            strict_json(data.decode())
        except (UsageError, UnicodeDecodeError) as error:
            raise Refused(_BAD, f"the body is not JSON: {error}") from None
        body = route.takes.model_validate_json(data)
    key = request.headers.get("idempotency-key")
    caller = request.scope.get("caller", NOBODY)
    return Asked(variables(request.path_params), dict(request.query_params), body, sender, key, caller)


def answered(route: Route, console: Console, asked: Asked) -> Any:
    """Return the value of a route."""
    assert route.answer is not None  # noqa: S101 - a route with a stream never comes here
    return route.answer(console, asked)
