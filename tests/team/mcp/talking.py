"""Asking an MCP server by the client of the SDK."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from mcp import Client


def talked(server: Any, talk: Callable[[Client], Awaitable[Any]]) -> Any:
    """Return what comes of talking with a server: one in this process, or a transport to another one."""

    async def run() -> Any:
        async with Client(server) as client:
            return await talk(client)

    return asyncio.run(asyncio.wait_for(run(), 60))


def asked(server: Any, *calls: tuple[str, dict[str, Any]]) -> list[str]:
    """Return the texts of some calls, one after the other; that of an error has an exclamation mark in front."""

    async def talk(client: Client) -> list[str]:
        texts = []
        for name, arguments in calls:
            result = await client.call_tool(name, arguments)
            (content,) = result.content
            texts.append("!" * bool(result.is_error) + content.text.removeprefix(f"Error executing tool {name}: "))
        return texts

    return talked(server, talk)
