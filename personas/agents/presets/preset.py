"""A preset: all that is known of one coding agent, read from its file `NAME.toml` beside this module.

Nothing about an agent is written down anywhere else: settings, templates, documents and tests take it from here.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any, Literal, cast

STEPS = ("write", "send", "read", "settle", "end")


@dataclass(frozen=True)
class Login:
    """How an agent gets at its model: one of these `variables`, or one of these `files`, and `how` to get either.

    A file is named as seen from the home folder, or begins with a variable that names a folder, `$CODEX_HOME`.
    """

    variables: tuple[str, ...]
    files: tuple[str, ...]
    how: str


@dataclass(frozen=True)
class Seen:
    """What the program was seen to do: in which `version`, `on` which day, which of STEPS `team try` has seen.

    `missing` gives the reason for each step that it cannot do. `faults` tells how it behaves where its model fails, and
    `in_sandbox` whether it worked in our sandbox.
    """

    version: str
    on: date
    steps: tuple[str, ...]
    missing: Mapping[str, str] = field(default_factory=dict[str, str])
    faults: str = ""
    in_sandbox: bool = False


@dataclass(frozen=True)
class Narrow:
    """How a command allows less than it does: `deny` are words that forbid it to write files.

    Behind the word `allowed` stands a list of tools, of which `write` are those that write files, and `shell` runs any
    command; `command` allows `{command}` alone.
    """

    deny: tuple[str, ...]
    allowed: str = ""
    write: tuple[str, ...] = ()
    shell: str = ""
    command: str = ""


@dataclass(frozen=True)
class Acp:
    """How an agent speaks the Agent Client Protocol: by a command of its own, or by an adapter, a package beside it.

    `mode` is the one in which it asks before it acts, `confined` another one for personas that may run some commands
    alone, and `in_sandbox` the one for our sandbox. `model` are the words that choose a model, where it is not chosen
    in the session. `counts` says what the tokens are those of that it tells.
    `login` maps its own names of ways to log in to the variable that each needs. `variables` are set for it. `error` is
    how a message begins by which it says that its model failed. `not_resumed` says why it cannot go on with a session,
    where only its own command can. `mcp` are the words that give it the server of mail tools, with `{team}` for the
    program, where it takes no servers by the protocol.
    """

    command: tuple[str, ...]
    not_resumed: str = ""
    mode: str = ""
    confined: str = ""
    in_sandbox: str = ""
    model: tuple[str, ...] = ()
    counts: Literal["turn", "session", "last"] = "session"
    login: Mapping[str, str] = field(default_factory=dict[str, str])
    variables: Mapping[str, str] = field(default_factory=dict[str, str])
    env: tuple[str, ...] = ()
    tells: tuple[str, ...] = ()
    error: str = ""
    install: str = ""
    package: str = ""
    mcp: tuple[str, ...] = ()
    seen: Seen | None = None


@dataclass(frozen=True)
class Preset:
    """One coding agent. `install` and `package` say where it comes from, and `not_run` why it was never tried.

    Its words are `command`, then `model` if one is chosen, then `last`, before the prompt. `{model}` stands for what a
    user chooses. `denied` says how to allow it `{tools}`. `tokens` and `money` name the fields of its output that tell
    what a run took. `resume` are the words with which it goes on with a session, `sessions` where that is kept,
    `not_resumed` why it cannot, and `cumulative` how it counts, see `Sessions`. An item of `env` is the name of a
    variable, or `NAME if OTHER`. `home` is what it needs of the home folder in a sandbox, and `in_sandbox` has the
    words of its command that are others there. `models` are globs of the models that
    it has, in small letters, empty for any; `narrow` says how it is told to do less. `mcp` are the words that give it
    the tools of `team mcp`, with `{team}` for that program; none if nobody has tried.
    """

    name: str
    title: str
    install: str
    command: tuple[str, ...]
    prompt: Literal["stdin", "argument", "file"]
    denied: str
    env: tuple[str, ...]
    stream: Literal["json", "text"]
    login: Login
    package: str = ""
    last: tuple[str, ...] = ()
    model: tuple[str, ...] = ()
    resume: tuple[str, ...] = ()
    sessions: tuple[str, ...] = ()
    not_resumed: str = ""
    cumulative: bool = False
    litter: tuple[str, ...] = ()
    home: tuple[str, ...] = ()
    tokens: tuple[str, ...] = ()
    money: str = ""
    in_sandbox: Mapping[str, str] = field(default_factory=dict[str, str])
    models: tuple[str, ...] = ()
    narrow: Narrow | None = None
    mcp: tuple[str, ...] = ()
    seen: Seen | None = None
    not_run: str = ""
    acp: Acp | None = None

    @property
    def program(self) -> str:
        """The name of the program that is started."""
        return self.command[0]

    @property
    def settled(self) -> bool:
        """Whether it was seen to do every step."""
        return self.seen is not None and {*self.seen.steps} == {*STEPS}

    def words(
        self,
        model: str | None = None,
        args: Sequence[str] = (),
        *,
        sandbox: bool = False,
        command: Sequence[str] | None = None,
    ) -> tuple[str, ...]:
        """Return the whole command, with a model if one is named and more arguments; `command` are its first words."""
        chosen = (word.replace("{model}", model) for word in self.model) if model else ()
        words = (*(self.command if command is None else command), *chosen, *args, *self.last)
        return tuple(self.in_sandbox.get(word, word) for word in words) if sandbox else words

    def by_protocol(self) -> Preset | None:
        """Return the preset of the same agent where it is spoken to by ACP, None if it does not speak that."""
        if (acp := self.acp) is None:
            return None
        return replace(
            self, command=acp.command, last=(), mcp=(), prompt="stdin", model=acp.model, in_sandbox={}, stream="json",
            install=acp.install or self.install, package=acp.package or self.package, seen=acp.seen,
            env=(*self.env, *acp.env), denied="see what its persona may change and run, which refused {tools}",
            tokens=("usage",) if "tokens" in acp.tells else (), money="usd" if "money" in acp.tells else "",
            not_run="" if acp.seen else "nobody has tried it over ACP",
        )  # fmt: skip


def presets() -> tuple[Preset, ...]:
    """Return all presets: first those that were seen to do most, then by name."""
    known = (preset(name) for name in names())
    return tuple(sorted(known, key=lambda each: (-len(each.seen.steps) if each.seen else 0, each.name)))


@cache
def names() -> tuple[str, ...]:
    """Return the names of all presets."""
    return tuple(sorted(file.name.removesuffix(".toml") for file in _folder().iterdir() if file.name.endswith(".toml")))


@cache
def preset(name: str) -> Preset:
    """Return a preset by name. Raises KeyError if there is none of that name."""
    if name not in names():
        raise KeyError(name)
    raw = tomllib.loads((_folder() / f"{name}.toml").read_text(encoding="utf-8"))
    login, acp, seen = Login(**_tuples(raw.pop("login"))), raw.pop("acp", None), _seen(raw)
    spoken, narrow = Acp(seen=_seen(acp), **_tuples(acp)) if acp else None, raw.pop("narrow", None)
    return Preset(
        name=name, login=login, seen=seen, acp=spoken, narrow=Narrow(**_tuples(narrow)) if narrow else None,
        **_tuples(raw),
    )  # fmt: skip


def litter() -> tuple[str, ...]:
    """Return the globs of what any of the agents leaves behind for itself."""
    return tuple(glob for name in names() for glob in preset(name).litter)


def _folder() -> Traversable:
    return files(__name__.rpartition(".")[0])


def _seen(table: dict[str, Any]) -> Seen | None:
    """Take out of a table what was seen."""
    seen = table.pop("seen", None)
    return Seen(**_tuples(seen)) if seen else None


def _tuples(table: Mapping[str, Any]) -> dict[str, Any]:
    return {key: tuple(cast("list[str]", value)) if isinstance(value, list) else value for key, value in table.items()}
