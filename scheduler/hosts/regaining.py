"""What had landed, brought to a host that does not have it: the one that leads since another one is gone.

The log has all patches, so the same commits are made again from where the weaver began; what cannot be made again, as a
signed commit, is fetched from where it was pushed, or taken from a bundle that was offered. Only if none of that helps
is what had landed woven again, as other commits, which is told as the loss of the branch that it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial

from ...mail.letter import Letter
from ...mail.log.event import Draft
from ...mail.log.log import EventLog
from ...mail.text.units import counted
from ...personas.errors import GitError, NotPrepared
from ...personas.setup.remotes import HostRepository, without_secrets
from ..context import Context
from ..errors import NotReady
from ..landing.branch import keep, kept_as, open_sprint
from ..landing.integrate import submission
from ..progress import Listener, Progress, silent
from ..state.facts import Patch, Sprint, Weave
from ..state.sprints import State
from ..weaver.commit import WEAVER
from ..weaver.weave import weave_again
from .bases import fetch_base, host_repository, offered_bases


def regain(context: Context, state: State, listener: Listener = silent, sprint: Sprint | None = None) -> bool:
    """Bring here what had landed in a sprint, the open one by default, and is not on this host; tell if it is now.

    It is kept by a ref, and the human is told. Nothing is done, and False returned, if it is here. Raises NotReady on
    one host of several if not even that is here from which the branch began, GitError, LogError.
    """
    sprint, repository = sprint or open_sprint(state), host_repository(context)
    if repository.has(sprint.tip):
        return False
    lacking = _Lacking(context, state, sprint, repository)
    if how := lacking.again() or lacking.fetched() or lacking.taken():
        keep(context, sprint.branch, sprint.base, sprint.tip)
        listener(Progress(f"{sprint.branch} was not on this host, and is there again at {sprint.tip[:12]}: {how}"))
        context.append([_told(context, sprint, how)])
        return True
    if _is_shared(context) and not repository.has(sprint.base):
        raise NotReady(
            f"this host lacks commit {sprint.base[:12]}, from which {sprint.branch} began, so nothing can be woven "
            "here; fetch it from where it is, or set [workspace] remote in team.toml, and start again"
        )
    return False


def regain_last(context: Context, state: State, sprint: Sprint) -> bool:
    """Bring what landed in the last sprint to a host that never had its branch; tell whether the next can go on there.

    Where the branch was deleted, this host has the refs beside it. Raises as `regain`.
    """
    place = kept_as(sprint.branch).removesuffix("tip")
    if not _is_shared(context) or context.git.line("for-each-ref", "--count=1", place):
        return False
    return regain(context, state, sprint=sprint) or host_repository(context).has(sprint.tip)


def regaining(context: Context, patches: Sequence[Patch], listener: Listener) -> Callable[[State], bool]:
    """Bring to this host what patches that wait were made from; return `regain` for what had landed before them.

    Raises GitError, LogError.
    """
    _bring_bases(context, patches)
    return partial(regain, context, listener=listener)


def _bring_bases(context: Context, patches: Sequence[Patch]) -> None:
    """Bring the commits that patches were made from, as far as they were offered to other hosts or pushed."""
    if not _is_shared(context):
        return
    repository, offered = host_repository(context), dict[str, str]()
    for base in dict.fromkeys(patch.base for patch in patches):
        if not repository.has(base):
            offered = offered or offered_bases(context)
            with suppress(NotPrepared):
                fetch_base(context, base, offered.get(base, ""))


def _is_shared(context: Context) -> bool:
    """Tell whether the log is one of several hosts."""
    log = context.mailbox.log
    return isinstance(log, EventLog) and bool(log.copy_of)


@dataclass(frozen=True)
class _Lacking:
    """What had landed in a sprint and is not here. Each way to it returns how it was had, or "" if it was not."""

    context: Context
    state: State
    sprint: Sprint
    repository: HostRepository

    def again(self) -> str:
        """Make the commits again that the log knows, from the last one that is here."""
        weaves = [*self._missing()]
        if not weaves or not self.repository.has(weaves[-1].start):
            return ""
        patches, made = {patch.run: patch for patch in self.state.patches}, 0
        for weave in reversed(weaves):
            landed = [patches[run] for run in weave.order if run in patches and patches[run].commit]
            if len(landed) != len(weave.order) or not self._made(weave.start, landed):
                return ""
            made += len(landed)
        return f"{counted(made, 'commit')} made again from the patches on record"

    def fetched(self) -> str:
        """Fetch the tip from where it was pushed to, or hosts fetch from; else what the weaver began from."""
        settings = self.context.settings
        for remote in dict.fromkeys(filter(None, (settings.weaver.push, settings.workspace.remote))):
            for commit in self._wanted():
                with suppress(NotPrepared):
                    self.repository.fetch(remote, commit)
                    if how := self._after(commit, f"fetched from {without_secrets(remote)}"):
                        return how
        return ""

    def taken(self) -> str:
        """Take the tip from a bundle that was offered to other hosts, or what the weaver began from."""
        offered = offered_bases(self.context)
        for commit in (each for each in self._wanted() if each in offered):
            with suppress(NotPrepared):
                fetch_base(self.context, commit, offered[commit])
                if how := self._after(commit, "taken from a bundle"):
                    return how
        return ""

    def _after(self, commit: str, how: str) -> str:
        """Say how the tip was had now that a commit is here."""
        if commit == self.sprint.tip:
            return how
        return f"{again}, after {commit[:12]} was {how}" if (again := self.again()) else ""

    def _missing(self) -> Iterator[Weave]:
        """Yield the weaves whose commits are not here, the last first."""
        by_tip, tip = {weave.tip: weave for weave in self.state.weaves if weave.order}, self.sprint.tip
        while (weave := by_tip.pop(tip, None)) and not self.repository.has(tip):
            yield weave
            tip = weave.start

    def _wanted(self) -> list[str]:
        """Return the commits that would help, the best first: the tip, then what weaves began from, the last first."""
        starts = (weave.start for weave in self._missing())
        return [*dict.fromkeys([self.sprint.tip, *starts, self.sprint.base])]

    def _made(self, start: str, landed: Sequence[Patch]) -> bool:
        """Make the commits of a weave again; what was approved then needs no approval now."""
        own = (submission(self.context, self.state, patch) for patch in landed)
        free = [replace(each, approved=True, paths=None, claimed=()) for each in own]
        pairs = zip(free, (str(patch.commit) for patch in landed), strict=True)
        with suppress(GitError):
            return weave_again(self.context.git, start, [*pairs])
        return False


def _told(context: Context, sprint: Sprint, how: str) -> Draft:
    subject = f"{sprint.branch} is on this host now"
    body = f"{sprint.branch} was not on the host that leads now, and is there again at {sprint.tip}: {how}.\n"
    letter = Letter(
        WEAVER, [context.settings.team.human], subject, body, type="fyi", key=f"regained {sprint.id} {sprint.tip}"
    )
    return letter.draft(context.mailbox.directory, context.mailbox.blobs)
