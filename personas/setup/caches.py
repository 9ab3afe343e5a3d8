"""Caches: folders that lie outside of all workspaces and are linked into each, so that downloads are kept.

Runs share those of runs and gates those of gates: no gate believes what a run has written.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from ...mail.log.disk import reason_of
from ...mail.render import line
from ...mail.text.globs import escape
from .copies import is_tracked, make_room

FOLDER = "caches"  # in the folder of a team
RUNS, GATES = "runs", "gates"  # in it


class Linked(NamedTuple):
    """The caches that a workspace has, by their paths in it, and one line for each that it could not have."""

    caches: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def tracked_caches(top: Path, names: Sequence[str]) -> list[str]:
    """Name the caches that no workspace can have, because git tracks what is there, one line each. Raises GitError."""
    return [f"cache {line(name)} is not shared: git tracks it" for name in names if is_tracked(top, escape(name))]


def cache_of(workspace: Path, name: str) -> Path | None:
    """Return the shared folder that a workspace has as a cache; None if there is none, or something else is there."""
    with suppress(OSError):
        target = (workspace / name).readlink()
        if target.is_absolute() and target.parts[-3:] == (FOLDER, RUNS, quote(name, safe="")) and target.is_dir():
            return target
    return None


def link_caches(folder: Path, names: Sequence[str], workspace: Path) -> Linked:
    """Link each cache into a workspace at its path there; `folder` has the caches, which are made if needed."""
    linked: list[str] = []
    notes: list[str] = []
    for name in names:
        try:
            if not make_room(workspace, name):
                notes.append(f"cache {line(name)} is not shared: the commit has it, or a link on its way")
                continue
            cache = folder / quote(name, safe="")
            cache.mkdir(parents=True, exist_ok=True)
            (workspace / name).symlink_to(cache, target_is_directory=True)
            linked.append(name)
        except OSError as error:
            notes.append(f"cache {line(name)} is not shared: {reason_of(error)}")
    return Linked(tuple(linked), tuple(notes))
