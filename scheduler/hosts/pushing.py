"""Pushes what landed to a remote, beside whatever else goes on, so that others have it and a lost host is no loss.

Only what is on record is pushed, and never by force: pushing it again changes nothing, so nobody needs to know whether
it was. A push that fails is told once, by mail, and tried again as ticks and weaves go on, but never too often.
"""

from __future__ import annotations

import shlex
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import NamedTuple, Self

from ...mail.errors import TeamMailError
from ...mail.letter import Letter
from ...personas.setup.remotes import ask_remote, without_secrets
from ..context import Context
from ..state.sprints import State
from ..weaver.commit import WEAVER

_LONGEST = 600.0  # seconds for one push
_SHORTEST_PAUSE, _LONGEST_PAUSE = 5.0, 600.0  # seconds after one that failed
_LAST = 30.0  # seconds for one that is under way when everything else has ended
_THEIRS = "refs/team-mail/pushed/"
_MOVED = ("[rejected]", "non-fast-forward", "fetch first")


class Target(NamedTuple):
    """A branch at the remote, and the commit that it is to be at."""

    remote: str
    branch: str
    commit: str


@dataclass
class Pushes:
    """What is to be pushed, and the thread that does it; `say` is told, in one line for people, what hinders it."""

    say: Callable[[str], object] = lambda _: None
    _wanted: dict[str, tuple[Context, Target]] = field(default_factory=dict[str, "tuple[Context, Target]"])
    _done: dict[str, Target] = field(default_factory=dict[str, Target])
    _said: set[tuple[str, str]] = field(default_factory=set[tuple[str, str]])
    _failures: int = 0
    _not_before: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def follow(self, context: Context, state: State) -> None:
        """Push the branch of the last sprint, or of the dispatch, to where the log says it is, if that is asked for."""
        sprint = state.sprints[-1] if state.sprints else None
        if context.settings.weaver.push and sprint and sprint.commits:
            self._ask(context, Target(context.settings.weaver.push, sprint.branch, sprint.tip))

    def end(self) -> None:
        """Give what is not pushed yet a last chance, and some time for it."""
        with self._lock:
            self._not_before = 0.0
            self._start()
            thread = self._thread
        if thread:
            thread.join(_LAST)

    def _ask(self, context: Context, target: Target) -> None:
        with self._lock:
            if self._done.get(target.branch) != target:
                self._wanted[target.branch] = context, target
                self._start()

    def _start(self) -> None:
        if self._wanted and self._thread is None and time.monotonic() >= self._not_before:
            self._thread = threading.Thread(target=self._push_all, name="pushes", daemon=True)
            self._thread.start()

    def _push_all(self) -> None:
        """Push until nothing is wanted, or something fails: then the next tick or weave asks again."""
        while True:
            with self._lock:
                _, (context, target) = next(iter(self._wanted.items()), ("", (None, None)))
                if context is None or target is None:
                    self._thread = None
                    return
            why = self._pushed(context, target)
            with self._lock:
                if why:
                    self._failures += 1
                    self._not_before = time.monotonic() + min(_LONGEST_PAUSE, _SHORTEST_PAUSE * 2**self._failures)
                    self._thread = None
                    return
                self._failures, self._done[target.branch] = 0, target
                if self._wanted.get(target.branch) == (context, target):
                    del self._wanted[target.branch]

    def _pushed(self, context: Context, target: Target) -> str:
        """Push once; return why it failed, "" if it did not. Who is to know is told once."""
        try:
            why = push(context, target)
            if why and (target.branch, _kind(why)) not in self._said:
                self._said.add((target.branch, _kind(why)))
                self.say(f"{target.branch} could not be pushed to {without_secrets(target.remote)}: {why}")
                _tell(context, target, why)
        except (TeamMailError, OSError) as error:
            return str(error)
        return why


def push(context: Context, target: Target) -> str:
    """Push a commit to a branch of a remote, never by force; return why that failed, "" if the remote has it now.

    A branch with commits of others on top has it. Hooks and credentials are those of the user's own git.
    """
    directory, ref = context.git.directory, f"refs/heads/{target.branch}"
    words = ("push", "--porcelain", "--quiet", "--no-follow-tags", "--recurse-submodules=no", "--end-of-options")
    code, printed, said = ask_remote(
        directory, *words, target.remote, f"{target.commit}:{ref}", timeout=_LONGEST, where=context.top
    )
    if not code:
        return ""
    rows = [row.split("\t")[-1] for row in printed.splitlines() if row.startswith("!")]
    if any(mark in row for row in rows for mark in _MOVED):
        own = f"{_THEIRS}{target.branch}"
        fetch = ("fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--recurse-submodules=no")
        code, _, _ = ask_remote(directory, *fetch, "--end-of-options", target.remote, f"+{ref}:{own}", timeout=_LONGEST)
        if not code and context.git.is_ancestor(target.commit, own):
            return ""
        return "the branch there has commits that are not in it, and nothing is pushed by force"
    return "; ".join([*rows, said]) if rows else said or f"exit code {code}"


def _kind(why: str) -> str:
    """Return which kind of failure it is, so that one that lasts is told once."""
    return "moved" if why.startswith("the branch there") else "refused" if "rejected" in why else "failed"


def _tell(context: Context, target: Target, why: str) -> None:
    remote = without_secrets(target.remote)
    body = (
        f"{target.branch} could not be pushed to {remote}: {why}.\n\nThe work goes on, and the push is tried again. To "
        f"see for yourself:\n\n    git push {shlex.quote(remote)} {target.commit}:refs/heads/{target.branch}\n"
    )
    subject = f"{target.branch} is not pushed"
    letter = Letter(
        WEAVER, [context.settings.team.human], subject, body, type="escalate",
        key=f"unpushed {target.branch} {remote} {_kind(why)}",
    )  # fmt: skip
    with suppress(OSError):
        context.mailbox.log.append([letter.draft(context.mailbox.directory, context.mailbox.blobs)])
