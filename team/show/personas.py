"""Imports and exports of personas as text: what was written, what got lost, what was refused."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator

from ...mail.render import line, listed
from ...mail.text.units import counted
from ...personas.foreign.sheet import Note
from ..api.outside.personas import REFUSED, SKIPPED, UNCHANGED, WRITTEN, Transfer

_MOST = 3  # places that are named


def transfer(done: Transfer) -> Iterator[str]:
    """Show each persona that was written, then how many of which format were read."""
    for file in done.files:
        if file.status == WRITTEN and file.target:
            yield f"{'would write' if done.dry else 'wrote'}  {_path(file.target)}  from {_path(file.source)}"
    for text in (*lost(note for file in done.files for note in file.notes), *_unsaid(done)):
        yield f"lost   {text}"
    counts = [f"{count} {form}" for form, count in sorted(done.read.items())]
    others = [
        counted(len([file for file in done.files if file.status == status]), "file") + f" {word}"
        for status, word in ((UNCHANGED, "as before"), (REFUSED, "refused"), (SKIPPED, "skipped"))
        if any(file.status == status for file in done.files)
    ]
    yield "; ".join(
        [f"{counted(done.read.total(), 'persona')} read ({listed(counts)})" if counts else "none read", *others]
    )


def troubles(done: Transfer) -> Iterator[str]:
    """Show why files were refused, and why some were skipped."""
    for file in done.files:
        if file.status == REFUSED:
            yield line(file.why)
        elif file.status == SKIPPED:
            yield f"{_path(file.source)}: skipped: {line(file.why)}"


def lost(notes: Iterable[Note]) -> Iterator[str]:
    """Show what has no effect here, each key and reason once, with the places where it stands."""
    places: dict[tuple[str, str], list[str]] = defaultdict(list)
    for note in notes:
        if note.lost:
            places[note.key, note.why].append(f"{_path(note.source)}:{note.line}" if note.source else "")
    for (key, why), where in places.items():
        yield f"{line(key)[:60]}: {line(why)} ({listed(where, _MOST)})"


def _unsaid(done: Transfer) -> Iterator[str]:
    said: dict[str, list[str]] = defaultdict(list)
    for file in done.files:
        for text in file.lost:
            said[text].append(file.id)
    for text, ids in said.items():
        yield f"{line(text)} ({listed(ids, _MOST)})"


def _path(path: object) -> str:
    shown = str(path)
    relative = os.path.relpath(shown)
    return line(relative if len(relative) < len(shown) else shown)
