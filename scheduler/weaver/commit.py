"""The commit object of a patch: its author is the persona, its trailers name the run and the event in the log."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime

from .patch import PatchSubmission
from .tree import Write

WEAVER = "weaver"
_CRUD = re.compile(r"[<>\x00-\x1f\x7f]")


def write_commit(write: Write, submission: PatchSubmission, tree: str, parents: Iterable[str]) -> str:
    """Write the commit of a patch; return its id. The same patch, tree and parents give the same id."""
    seconds = int(datetime.fromisoformat(submission.when).timestamp())
    lines = [
        f"tree {tree}",
        *(f"parent {parent}" for parent in parents),
        f"author {_signed(submission.persona)} {seconds} +0000",
        f"committer {_signed(WEAVER)} {seconds} +0000",
        "",
        _one_line(submission.subject) or submission.key,
    ]
    trailers = [f"{name}: {_one_line(value)}" for name, value in submission.trailers]
    return write("commit", "\n".join([*lines, *([""] if trailers else []), *trailers, ""]).encode(errors="replace"))


def _signed(name: str) -> str:
    name = _CRUD.sub("", name).strip() or "nobody"
    return f"{name} <{name.replace(' ', '.')}@team-mail>"


def _one_line(words: str) -> str:
    return " ".join(words.replace("\0", "").split())
