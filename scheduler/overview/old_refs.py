"""Refs below `refs/team/` that keep what was woven, and that nobody needs any more because the base branch has it.

What only such a ref keeps from git's garbage collection stays, however old, and so do the newest ones: by these it is
known of a log whether it was put back.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator
from datetime import datetime

from ...mail.archive.witness import kept
from ..context import Context

_FORMAT = "--format=%(refname)%00%(objectname)%00%(committerdate:unix)"
Row = tuple[str, str, float]  # a ref, its commit, and when that was made, in seconds since the epoch


def old_refs(context: Context, before: datetime, open_: Collection[str]) -> dict[str, list[Row]]:
    """Return the refs of sprints and dispatches that are over, by their names, such as `refs/team/sprint-1`.

    All that landed is in the base branch, and the last of it was made before a time. `open_` are the branches of those
    that are not over. Raises GitError, and NoWitness if git cannot be asked.
    """
    base = f"refs/heads/{context.settings.team.base}"
    if context.git.run("rev-parse", "--verify", "--quiet", base).returncode:
        return {}
    stay = {*kept(context.home), *(f"refs/{branch}" for branch in open_)}
    merged = {ref for ref, _, _ in _rows(context, f"--merged={base}")}
    groups: dict[str, list[Row]] = defaultdict(list)
    for row in _rows(context):
        groups[row[0].rpartition("/")[0]].append(row)
    return {name: rows for name, rows in groups.items() if name not in stay and _is_old(rows, merged, before)}


def _is_old(rows: list[Row], merged: Collection[str], before: datetime) -> bool:
    """Tell whether nobody needs the refs of a sprint: what gates never judged, `next`, is nobody's in any case."""
    landed = [row for row in rows if not row[0].endswith("/next")]
    return all(ref in merged and made < before.timestamp() for ref, _, made in landed)


def drop(context: Context, rows: Collection[Row]) -> None:
    """Delete refs that are still where they were. Raises GitError, and deletes none, if one has moved."""
    words = "".join(f"delete {ref} {commit}\n" for ref, commit, _ in rows)
    context.git("update-ref", "--stdin", stdin=words.encode())


def _rows(context: Context, *words: str) -> Iterator[Row]:
    for line in context.git("for-each-ref", _FORMAT, *words, "refs/team/").decode().splitlines():
        ref, commit, made = line.split("\0")
        yield ref, commit, float(made)
