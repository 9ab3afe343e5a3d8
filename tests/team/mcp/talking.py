"""Asking an MCP server by the client of the SDK."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client


def talked(server: Any, talk: Callable[[Client], Awaitable[Any]]) -> Any:
    """Return what comes of talking with a server: one in this process, or a transport to another one."""

    async def run() -> Any:
        async with Client(server) as client:
            return await talk(client)

    return asyncio.run(asyncio.wait_for(run(), 60))


def asked(server: Any, *calls: tuple[str, dict[str, Any]]) -> list[str]:
    """Return the texts of some calls, one after the other; that of an error has an exclamation mark in front."""
    return talked(server, partial(_answers, calls))


def asked_over_http(address: str, token: str, *calls: tuple[str, dict[str, Any]]) -> list[str]:
    """Return what `asked` does, of a server that takes a token."""

    async def run() -> list[str]:
        async with (
            httpx2.AsyncClient(headers={"authorization": f"Bearer {token}"}) as http,
            Client(streamable_http_client(address, http_client=http)) as client,
        ):
            return await _answers(calls, client)

    return asyncio.run(asyncio.wait_for(run(), 60))


async def _answers(calls: Sequence[tuple[str, dict[str, Any]]], client: Client) -> list[str]:
    texts = []
    for name, arguments in calls:
        result = await client.call_tool(name, arguments)
        (content,) = result.content
        texts.append("!" * bool(result.is_error) + content.text.removeprefix(f"Error executing tool {name}: "))
    return texts
