"""What no patch may do, and what needs a person's approval; judged by the files that a patch really changes.

Names are compared as the most lenient file system would: without case, trailing dots and spaces, invisible letters,
NTFS streams and short names, so that `.GIT `, `.git::$DATA` and `GIT~1` are all `.git`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache

from ...mail.text.globs import matches
from .marks import adds_marks
from .patch import GITLINK, SYMLINK, Change, Entry, PatchSubmission, WeaveLimits, text

_OURS = {".git": "git's own folder", ".team": "the team's own folder"}
_KNOWN = 10_000  # files; a weave asks for the same ones again and again
_SHORT = re.compile(r"(git|team)~\d+")
_MODULE = re.compile(rb'^[ \t]*path[ \t]*=[ \t]*"?(.*?)"?[ \t]*$', re.MULTILINE | re.IGNORECASE)
_HEADER = re.compile(rb"^diff --git .* \"?b/(.*?)\"?$", re.MULTILINE)
_HEAD = 10_000  # bytes in which a file's part of a patch says that it is binary
Links = frozenset[tuple[bytes, Entry]]  # symbolic links and submodules, with what they are after a patch

_CI, _GIT, _AGENT, _TOOL = (
    "runs on the CI with its secrets",
    "changes what git does with other files",
    "tells agents what to do",
    "runs on the machine of whoever opens the folder",
)
SENSITIVE = {
    ".github/workflows/**": _CI,
    ".github/actions/**": _CI,
    ".forgejo/**": _CI,
    ".gitea/**": _CI,
    ".gitlab-ci.yml": _CI,
    ".gitlab/**": _CI,
    ".circleci/**": _CI,
    ".buildkite/**": _CI,
    ".woodpecker/**": _CI,
    ".woodpecker.y*ml": _CI,
    ".drone.y*ml": _CI,
    ".travis.yml": _CI,
    ".cirrus.yml": _CI,
    "appveyor.yml": _CI,
    ".appveyor.yml": _CI,
    "azure-pipelines*.y*ml": _CI,
    "bitbucket-pipelines.yml": _CI,
    "Jenkinsfile": _CI,
    "action.y*ml": _CI,
    ".worktreeinclude": "says which of your files agents get",
    "**/CODEOWNERS": "says who has to approve",
    "**/.gitattributes": _GIT,
    ".gitmodules": _GIT,
    "**/.lfsconfig": _GIT,
    "**/CLAUDE.md": _AGENT,
    "**/CLAUDE.local.md": _AGENT,
    "**/AGENTS.md": _AGENT,
    "**/AGENTS.override.md": _AGENT,
    "**/AGENT.md": _AGENT,
    "**/GEMINI.md": _AGENT,
    "**/.claude/**": _AGENT,
    "**/.codex/**": _AGENT,
    "**/.gemini/**": _AGENT,
    "**/.opencode/**": _AGENT,
    "**/opencode.json*": _AGENT,
    "**/.cursor/**": _AGENT,
    "**/.cursorrules": _AGENT,
    "**/.windsurf/**": _AGENT,
    "**/.windsurfrules": _AGENT,
    "**/.clinerules/**": _AGENT,
    "**/.roo/**": _AGENT,
    "**/.junie/**": _AGENT,
    "**/.kiro/**": _AGENT,
    "**/.continue/**": _AGENT,
    "**/.aider*": _AGENT,
    ".github/copilot-instructions.md": _AGENT,
    ".github/instructions/**": _AGENT,
    ".github/prompts/**": _AGENT,
    ".github/agents/**": _AGENT,
    "**/.mcp.json": _AGENT,
    "**/mcp.json": _AGENT,
    "**/.envrc": _TOOL,
    "**/.env": "holds secrets",
    "**/.vscode/**": _TOOL,
    "**/.idea/**": _TOOL,
    "**/.devcontainer/**": _TOOL,
    ".devcontainer.json": _TOOL,
    ".husky/**": _TOOL,
    ".pre-commit-config.yaml": _TOOL,
    "lefthook.y*ml": _TOOL,
    ".npmrc": _TOOL,
    ".yarnrc*": _TOOL,
    "mise.toml": _TOOL,
    ".mise.toml": _TOOL,
}


def refused_unread(submission: PatchSubmission, limits: WeaveLimits) -> str | None:
    """Return why a patch is refused before git reads it, or None."""
    if not submission.patch.strip():
        return "it is empty"
    if len(submission.patch) > limits.patch:
        return (
            f"it has {len(submission.patch):,} bytes, and the cap is {limits.patch:,}; {_smaller(submission, limits)}"
        )
    if adds_marks(submission.patch):
        return "it adds conflict markers, from <<<<<<< over ======= to >>>>>>>; settle them and send it again"
    return None


def _smaller(submission: PatchSubmission, limits: WeaveLimits) -> str:
    """Say how a patch can come below the cap."""
    name, size = max(_binaries(submission.patch), key=lambda binary: binary[1], default=("", 0))
    if len(submission.patch) - size > limits.patch:
        return "send it in parts"
    return (
        f"{name}, a binary file, has {size:,} of them: keep it in Git LFS, of which a patch has only the pointer, "
        "or leave it out, and have a person commit it"
    )


def _binaries(patch: bytes) -> Iterator[tuple[str, int]]:
    """Yield the binary files of a patch, with the bytes that they take in it."""
    starts = [match.start() for match in _HEADER.finditer(patch)]
    for start, end in zip(starts, [*starts[1:], len(patch)], strict=True):
        if patch.find(b"\nGIT binary patch\n", start, min(end, start + _HEAD)) >= 0:
            match = _HEADER.match(patch, start)
            yield text(match[1]) if match else "", end - start


def refused(submission: PatchSubmission, changes: Sequence[Change], links: Links = frozenset()) -> str | None:
    """Return why these changes are refused, or None. `links` are those that a person may approve."""
    if not changes:
        return "it changes nothing"
    return next((why for change in changes if (why := _forbidden(change, submission, links))), None)


def sensitive(changes: Iterable[Change]) -> tuple[str, ...]:
    """Return the files that a person has to approve."""
    return tuple(text(each.path) for each in changes if _is_link(each) or why_sensitive(text(each.path)))


def approvable(changes: Sequence[Change], read: Callable[[str], bytes]) -> Links:
    """Return the links that a patch makes and that a person may approve, where they lead.

    Submodules, and symbolic links that were there, perhaps by another name, and lead to a place within the repository.
    `read` reads a blob by its id.
    """
    known = {change.old.oid for change in changes if change.old and change.old.mode == SYMLINK and not change.new}
    allowed = set[tuple[bytes, Entry]]()
    for path, old, new in changes:
        was = old.mode if old else None
        if new and new.mode == GITLINK:
            allowed.add((path, new))
        if new and new.mode == SYMLINK and (was == SYMLINK or new.oid in known) and _stays_within(path, read(new.oid)):
            allowed.add((path, new))
    return frozenset(allowed)


def unnamed(changes: Iterable[Change], modules: bytes) -> tuple[str, ...]:
    """Return the new submodules that `modules`, the text of .gitmodules, does not name: perhaps added by mistake."""
    named = {match[1] for match in _MODULE.finditer(modules)}
    new = (change for change in changes if change.new and change.new.mode == GITLINK and change.path not in named)
    return tuple(text(change.path) for change in new if not (change.old and change.old.mode == GITLINK))


@lru_cache(maxsize=_KNOWN)
def why_sensitive(file: str) -> str | None:
    """Return why a file has to be approved, or None."""
    folded = "/".join(_folded(name) for name in file.split("/"))
    return next((why for glob, why in SENSITIVE.items() if matches(folded, [glob.casefold()])), None)


def why_barred(file: str) -> str | None:
    """Return what a path from the top of a repository is that no patch may change, or None."""
    for part in file.split("/"):
        if why := _OURS.get(_folded(part)):
            return why if "/" not in file else f"in {why}"
        if part in {"", ".", ".."}:
            return "outside the repository"
    return None


def _is_link(change: Change) -> bool:
    """Tell whether a change makes a symbolic link, or points a submodule to a commit that perhaps nobody else has."""
    return change.new is not None and change.new.mode in {GITLINK, SYMLINK}


def _stays_within(path: bytes, target: bytes) -> bool:
    """Tell whether a link at a path leads to a place within the repository, by steps up first and names after them."""
    steps = target.split(b"/")
    up = next((number for number, step in enumerate(steps) if step != b".."), len(steps))
    above = path.split(b"/")[:-1]
    names = [step for step in steps[up:] if step != b"."]
    place = text(b"/".join([*above[: len(above) - up], *names]))
    return up <= len(above) and b".." not in names and bool(place) and not why_barred(place)


def _forbidden(change: Change, submission: PatchSubmission, links: Links) -> str | None:
    name = text(change.path)
    if why := why_barred(name):
        return f"{name} is {why}"
    if change.new and _is_link(change) and (change.path, change.new) not in links:
        if change.old and change.old.mode == SYMLINK:
            return f"{name} is a symbolic link that leads out of the repository; point it to a place within"
        return f"{name} is a symbolic link; commit a file in its place"
    if submission.paths is not None and not matches(change.path, submission.paths):
        globs = ", ".join(submission.paths)
        own = f"its paths are {globs}" if globs else "it may change no file (paths: [])"
        return f"{name} is not {submission.persona}'s to change; {own}"
    return None


def _folded(part: str) -> str:
    seen = "".join(letter for letter in part if unicodedata.category(letter) != "Cf")
    plain = unicodedata.normalize("NFKC", seen).casefold().partition(":")[0].rstrip(". ")
    return f".{short[1]}" if (short := _SHORT.fullmatch(plain)) else plain
