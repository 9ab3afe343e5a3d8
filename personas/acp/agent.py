"""An agent that speaks the Agent Client Protocol: a command, with a client of ours between it and the keeper."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from importlib.util import find_spec
from pathlib import Path

from ..agent import Job
from ..agents.command import CommandAgent
from ..agents.presets import preset as presets
from ..agents.presets.preset import Acp
from .orders import STARTUP, Orders

_PROGRAM = ("-P", "-m", "team_mail.personas.acp.play")
_SDK = "acp"
INSTALL = "pip install 'team-mail[acp]'"


def can_speak() -> bool:
    """Tell whether the SDK is installed."""
    return find_spec(_SDK) is not None


def acp_agent(
    agent: CommandAgent,
    *,
    preset: str | None = None,
    mode: str | None = None,
    model: str = "",
    startup: float = STARTUP,
    mail: tuple[str, ...] = (),
) -> AcpAgent:
    """Return the agent that is spoken to by the protocol, with what its preset says.

    Args:
        agent: The command that speaks it, its environment, limits and sandbox.
        preset: The name of its preset, if it has one.
        mode: The mode to ask for; by default that of the preset, which may have another for personas with `commands`.
        model: The model, unless a persona names one.
        startup: How long each step before the first prompt may take, in seconds.
        mail: The words of the server of mail tools.
    """
    known = presets.preset(preset) if preset else None
    acp = (known and known.acp) or Acp(())
    own = (acp.in_sandbox if agent.sandbox else "") or acp.mode
    orders = Orders(
        agent.name, own if mode is None else mode, model, login=acp.login, how=known.login.how if known else "",
        mail=mail, variables=acp.variables, counts=acp.counts, tells="tokens" in acp.tells, error=acp.error,
        startup=startup,
    )  # fmt: skip
    values = {each.name: getattr(agent, each.name) for each in fields(CommandAgent)}
    is_its_own = agent.command[:1] == acp.command[:1]
    install = (acp.install or known.install) if known and is_its_own else ""
    not_resumed = acp.not_resumed or (known.not_resumed if known else "")
    server = tuple(word.replace("{team}", mail[0]) for word in acp.mcp) if mail else ()
    if server:
        orders = replace(orders, mail=())
    confined = acp.confined if mode is None and not agent.sandbox else ""
    return AcpAgent(**values, orders=orders, model_words=acp.model, not_resumed=not_resumed,
                    install=install, server_words=server, confined=confined)  # fmt: skip


@dataclass(frozen=True)
class AcpAgent(CommandAgent):
    """A command that plays personas by a session of the protocol; its sandbox is that of the command alone.

    `model_words` choose a model on its command line, with `{model}` in them; an agent without them is asked for it in
    the session. The model of a persona beats that of the orders. `not_resumed` says why it goes on with no session,
    and `install` how what speaks the protocol is installed. `server_words` give it the server of mail tools, where it
    takes no servers by the protocol. `confined` is the mode for a persona that may run some commands alone, where that
    is another one.
    """

    orders: Orders = field(default_factory=lambda: Orders(""))
    model_words: tuple[str, ...] = ()
    not_resumed: str = ""
    install: str = ""
    server_words: tuple[str, ...] = ()
    confined: str = ""

    def trouble(self) -> str | None:
        """Return what is wrong with the command, the env_file or a placeholder, or that the SDK is missing."""
        if not can_speak():
            return f"agent {self.name} speaks ACP, for which a package is missing: {INSTALL}"
        return super().trouble()

    def unresumable(self, session: str) -> str:
        """Return why no session can be gone on with, "" if the agent is to be asked for it, which tells of the rest."""
        del session
        return self.not_resumed

    def _missing(self) -> str | None:
        why = super()._missing()
        return f"{why}: {self.install}" if why and self.install else why

    def _words(self, job: Job) -> tuple[str, ...]:
        model = self._model(job)
        chosen = (word.replace("{model}", model) for word in self.model_words if model)
        return (*super()._words(job), *self.server_words, *chosen)

    def _argv(self, job: Job, prompt_file: Path, env: Mapping[str, str]) -> list[str]:
        orders = replace(
            self.orders,
            mode=self.orders.mode if job.rules.commands is None else self.confined or self.orders.mode,
            model="" if self.model_words else self._model(job),
            resume=job.resume,
            rules=job.rules,
        )
        return [sys.executable, *_PROGRAM, orders.text(), *super()._argv(job, prompt_file, env)]

    def _model(self, job: Job) -> str:
        return job.model or self.orders.model
