"""Whose a line of a published sprint is: the persona whose patch changed it last."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ...personas.git import Git

_COMMIT = re.compile(rb"([0-9a-f]{40,64}) ")
_SHA = re.compile(r"[0-9a-f]{40,64}")


@dataclass(frozen=True)
class Blame:
    """The commits of patches that a pull request has, each with its persona, and the commit that it starts from."""

    git: Git
    base: str
    tip: str
    authors: Mapping[str, str]

    @property
    def all(self) -> tuple[str, ...]:
        """Everybody who has a patch in it."""
        return tuple(dict.fromkeys(self.authors.values()))

    def of_line(self, path: str, line: int, commit: str = "", *, old: bool = False) -> tuple[str, ...]:
        """Return whose a line is as it stands in a commit, by default the last one.

        Of a line that was there before, one that was taken away (`old`), or the file as a whole (0), it is who changed
        that file last; nobody if no patch did.
        """
        at = self._known(commit) or self.tip
        if line > 0 and not old:
            words = ("blame", "--porcelain", "-w", f"-L{line},{line}", at, "--", path)
            found = _COMMIT.match(self.git.run("--literal-pathspecs", *words).stdout)
            if found and (who := self.authors.get(found[1].decode())):
                return (who,)
        return self._last(path, at)

    def _last(self, path: str, at: str) -> tuple[str, ...]:
        words = ("log", "--format=%H", f"{self.base}..{at}", "--", path)
        ended = self.git.run("--literal-pathspecs", *words)
        commits = ended.stdout.decode(errors="replace").split()
        return next(((self.authors[commit],) for commit in commits if commit in self.authors), ())

    def _known(self, commit: str) -> str:
        """Return a commit if it is here, and not older than what the pull request starts from; else ""."""
        if not _SHA.fullmatch(commit):
            return ""
        within = self.git.is_ancestor(self.base, commit)
        return commit if within else ""


def blame_of(git: Git, base: str, tip: str, landed: Sequence[tuple[str, str]]) -> Blame:
    """Return whose lines are whose; `landed` are commits with their personas."""
    return Blame(git, base, tip, dict(landed))
