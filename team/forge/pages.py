"""Pages and ETags of the fake forge's answers, as GitHub documents them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, NamedTuple, cast
from urllib.parse import urlencode

_PER_PAGE, _MOST = 30, 100
_OK, _UNCHANGED = 200, 304


class Response(NamedTuple):
    """An answer: the status, 0 to cut the connection, the headers, and a JSON value, bytes, or None for nothing."""

    status: int
    headers: Mapping[str, str]
    value: Any


def paged(response: Response, address: str, query: Mapping[str, str], known: str | None) -> Response:
    """Cut a list into pages, with links to the others; answer 304 to whoever has this one already."""
    status, headers, value = response
    if isinstance(value, list):
        value, links = _page(cast("list[Any]", value), address, query)
        headers = {**headers, **links}
    elif isinstance(value, dict) and "check_runs" in value:
        table = cast("dict[str, Any]", value)
        part, links = _page(table["check_runs"], address, query)
        value, headers = {**table, "check_runs": part}, {**headers, **links}
    if status != _OK:
        return Response(status, headers, value)
    tag = f'W/"{hashlib.sha256(json.dumps(value).encode()).hexdigest()}"'
    headers = {**headers, "ETag": tag}
    return Response(_UNCHANGED, headers, None) if known == tag else Response(status, headers, value)


def _page(whole: list[Any], address: str, query: Mapping[str, str]) -> tuple[list[Any], dict[str, str]]:
    size = min(int(query.get("per_page", _PER_PAGE)), _MOST)
    number, last = int(query.get("page", 1)), max(1, -(-len(whole) // size))
    pages = {"prev": number - 1, "next": number + 1, "last": last, "first": 1}
    links = [
        f'<{address}?{urlencode({**query, "page": page})}>; rel="{rel}"'
        for rel, page in pages.items()
        if 0 < page <= last and page != number
    ]
    return whole[size * (number - 1) : size * number], {"Link": ", ".join(links)} if links else {}
