"""A session of an agent: how it begins, is given its mode, its model and its mail tools, and is prompted."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Awaitable, Mapping
from pathlib import Path
from typing import Any, TypeVar, cast

from acp import PROTOCOL_VERSION, RequestError, connect_to_agent, text_block
from acp.schema import (
    AuthMethodEnvVar,
    ClientCapabilities,
    EnvVariable,
    FileSystemCapabilities,
    Implementation,
    InitializeResponse,
    McpServerStdio,
    PromptResponse,
)
from pydantic import ValidationError

from ...mail.errors import TeamMailError
from ...mail.render import line
from .child import Child
from .client import RETRIES, Client
from .judge import MAIL
from .orders import Orders

LOGIN = -32000  # the protocol's number for "authentication required"
_SHOWN = 500  # characters of an error
_MOST_DEPTH = 3  # of what stands beside an error
_PASSED = ("PATH", "HOME", "LANG", "BASH_ENV", "GIT_CEILING_DIRECTORIES")  # to the server of mail tools
# Codex begins without the tools of a server that is still starting, unless it is told to wait, in milliseconds.
_MORE: dict[str, Any] = {"mcpStartupAwaitTimeoutMs": 10_000, **RETRIES}
_MODEL = re.compile(r"[\w./:-]+")
Answer = TypeVar("Answer")


class SessionFailed(TeamMailError):
    """A session that cannot begin, or cannot go on; the message is one line for people."""


class Session:
    """The session of one run. `id` is the agent's own name for it, `model` that of its model, as far as it is told."""

    def __init__(self, child: Child, client: Client, orders: Orders, workspace: Path) -> None:
        self._child, self._orders, self._workspace = child, orders, str(workspace)
        self._agent, self._refused = connect_to_agent(cast("Any", client), child), client.refused
        self.id, self.model, self.notes = "", "", list[str]()
        self._ways: list[tuple[str, str]] = []  # of logging in: the name of each, and what it needs

    # -- its beginning

    async def greet(self) -> InitializeResponse:
        """Begin to speak. Raises SessionFailed for an agent that does not speak the protocol."""
        capabilities = ClientCapabilities(fs=FileSystemCapabilities(read_text_file=False, write_text_file=False))
        info = Implementation(name="team-mail", version="1")
        asked = self._agent.initialize(PROTOCOL_VERSION, client_capabilities=capabilities, client_info=info)
        try:
            about = await asyncio.wait_for(asked, self._orders.startup)
        except (TimeoutError, ConnectionError, OSError, ValidationError, RequestError) as error:
            how = f" ({_reason(error)})" if isinstance(error, RequestError) else ""
            within = f" within {self._orders.startup:g} s" if isinstance(error, TimeoutError) else ""
            raise SessionFailed(
                f"{self._orders.name} does not speak ACP: it gave no answer{how} to the first message{within}; "
                f"{await self._child.last_words()}"
            ) from None
        if about.protocol_version != PROTOCOL_VERSION:
            raise SessionFailed(
                f"{self._orders.name} speaks version {about.protocol_version} of ACP, and team-mail {PROTOCOL_VERSION}"
            )
        self._ways = [(each.name, _needs(each)) for each in about.auth_methods or []]
        return about

    async def open(self, about: InitializeResponse) -> bool:
        """Go on with the session that the orders name, or begin one; tell whether it is an older one."""
        for method, variable in self._orders.login.items():
            if os.environ.get(variable) and method in {each.id for each in about.auth_methods or []}:
                await self._asked(self._agent.authenticate(method), f"log in by {method}")
        wanted, old = self._orders.resume, None
        if wanted:
            old = await self._go_on(about, wanted)
        begun = self._agent.new_session(self._workspace, mcp_servers=self._servers, **_MORE)
        state = old or await self._asked(begun, "begin")
        self.id = wanted if old else state.session_id
        await self._choose("mode", self._orders.mode, state)
        await self._choose("model", self._orders.model, state)
        return bool(old)

    async def _go_on(self, about: InitializeResponse, wanted: str) -> Any:
        """Return the state of an older session, None if it cannot be gone on with, which is told."""
        has = about.agent_capabilities
        ways = has and has.session_capabilities
        if ways and ways.resume is not None:
            asked = self._agent.resume_session(
                session_id=wanted, cwd=self._workspace, mcp_servers=self._servers, **RETRIES
            )
        elif has and has.load_session:
            asked = self._agent.load_session(
                cwd=self._workspace, session_id=wanted, mcp_servers=self._servers, **RETRIES
            )  # fmt: skip
        else:
            self.notes.append(f"{self._orders.name} can go on with no session; a new one begins")
            return None
        try:
            return await asyncio.wait_for(asked, self._orders.startup)
        except (TimeoutError, RequestError, ValidationError) as error:
            self.notes.append(f"session {line(wanted)} cannot go on ({_reason(error)}); a new one begins")
            return None

    @property
    def _servers(self) -> list[Any]:
        """The server of mail tools, which knows its run by the same variables as the run's own `team-mail`."""
        if not self._orders.mail:
            return []
        known = [name for name in os.environ if name.startswith("TEAM_") or name in _PASSED]
        env = [EnvVariable(name=name, value=os.environ[name]) for name in sorted(known)]
        command, *words = self._orders.mail
        return [McpServerStdio(name=MAIL, command=command, args=words, env=env)]

    async def _choose(self, what: str, wanted: str, state: Any) -> None:
        """Ask for a mode or a model. What an agent does not offer is told, and a model fails then: it has a price."""
        options: list[Any] = state.config_options or []
        option: Any = next((each for each in options if each.category == what), None)
        offered = _values(option) if option else []
        if what == "model" and option:
            self.model = wanted or _plain(str(getattr(option, "current_value", "")))
        if not wanted:
            return
        modes = [each.id for each in state.modes.available_modes] if what == "mode" and state.modes else []
        try:
            if wanted in modes:
                await self._quick(self._agent.set_session_mode(session_id=self.id, mode_id=wanted))
            elif option and (wanted in offered or what == "model"):
                await self._quick(self._agent.set_config_option(config_id=option.id, session_id=self.id, value=wanted))
            elif what == "model":
                await self._quick(self._set_model(wanted))
            else:
                self.notes.append(f"{self._orders.name} has no mode {wanted}; it has {', '.join(modes or offered)}")
        except (RequestError, ValidationError) as error:
            if what == "model":
                listed = f"; it has {', '.join(offered)}" if offered else ""
                raise SessionFailed(
                    f"{self._orders.name} does not take model {line(wanted)} ({_reason(error)}){listed}"
                ) from None
            self.notes.append(f"{self._orders.name} did not take mode {wanted} ({_reason(error)})")

    def _set_model(self, wanted: str) -> Awaitable[Any]:
        """Ask for a model as older agents want it; the SDK has the method no more."""
        connection = cast("Any", self._agent)._conn  # noqa: SLF001
        return connection.send_request("session/set_model", {"sessionId": self.id, "modelId": wanted})

    async def _quick(self, asked: Awaitable[Answer]) -> Answer:
        return await asyncio.wait_for(asked, self._orders.startup)

    # -- its turns

    async def prompt(self, text: str) -> PromptResponse:
        """Prompt it, and wait for the end of the turn. Raises SessionFailed, also once its service refuses the key."""
        turn = asyncio.ensure_future(self._agent.prompt(self.id, [text_block(text)]))
        try:
            await asyncio.wait({turn, self._refused}, return_when=asyncio.FIRST_COMPLETED)
            if turn.done():
                return turn.result()
            turn.cancel()
            raise SessionFailed(
                f"{self._orders.name} is not let in by its service; {self._refused.result()}{self._how}"
            )
        except RequestError as error:
            raise self._failed(error) from None
        except ValidationError:
            raise SessionFailed("it ended its turn for a reason that this version of ACP does not know") from None
        except (ConnectionError, OSError):
            raise SessionFailed(f"in the middle of its turn {await self._child.last_words()}") from None

    @property
    def _how(self) -> str:
        return f"; {self._orders.how}" if self._orders.how else ""

    async def cancel(self) -> None:
        """Ask it to end its turn."""
        await self._agent.cancel(self.id)

    async def close(self) -> None:
        """End the conversation; the process goes on."""
        await self._agent.close()

    # -- what goes wrong

    async def _asked(self, asked: Awaitable[Answer], what: str) -> Answer:
        """Wait for an answer of an agent that speaks the protocol. Raises SessionFailed."""
        try:
            return await asyncio.wait_for(asked, self._orders.startup)
        except RequestError as error:
            raise self._failed(error) from None
        except TimeoutError:
            why = f"did not {what} within {self._orders.startup:g} s; {await self._child.last_words()}"
        except (ConnectionError, OSError):
            why = f"did not {what}: {await self._child.last_words()}"
        except ValidationError:
            why = f"did not {what} as the protocol says it"
        raise SessionFailed(f"{self._orders.name} {why}")

    def _failed(self, error: RequestError) -> SessionFailed:
        if error.code != LOGIN:
            return SessionFailed(_reason(error))
        ways = "; ".join(f"{name}{f' ({needs})' if needs else ''}" for name, needs in self._ways)
        how = self._orders.how or (f"its own ways are: {ways}" if ways else "see its own documentation")
        said = "" if str(error).lower().rstrip(".") == "authentication required" else f" ({_reason(error)})"
        return SessionFailed(f"{self._orders.name} is not logged in{said}: {how}")


def _needs(method: Any) -> str:
    if isinstance(method, AuthMethodEnvVar):
        return f"set {', '.join(each.name for each in method.vars)}"
    return line(method.description or "")[:_SHOWN]


def _values(option: Any) -> list[str]:
    """Return the values that an option has, also those in groups."""
    each = getattr(option, "options", [])
    return [value for item in each for value in ([item.value] if hasattr(item, "value") else _values(item))]


def _plain(model: str) -> str:
    """Return the name of a model; what an agent calls its own choice, or makes up to tell several apart, is none."""
    return model if _MODEL.fullmatch(model) and model not in {"default", "auto"} else ""


def _reason(error: Exception) -> str:
    """Return an error's message with what stands beside it, as one line."""
    if isinstance(error, asyncio.TimeoutError):
        return "no answer"
    if isinstance(error, ValidationError):
        return "an answer that is none of the protocol"
    words = [str(error), *_texts(cast("Any", error).data if isinstance(error, RequestError) else None)]
    code = f"HTTP {error.code}" if isinstance(error, RequestError) and 400 <= error.code < 600 else ""  # noqa: PLR2004
    return line("; ".join(dict.fromkeys(filter(None, [*words, code]))))[:_SHOWN]


def _texts(value: Any, depth: int = _MOST_DEPTH) -> list[str]:
    if isinstance(value, str):
        return [value]
    if not isinstance(value, Mapping) or not depth:
        return []
    table = cast("Mapping[str, Any]", value)
    return [each for key in ("details", "message", "error") for each in _texts(table.get(key), depth - 1)]
