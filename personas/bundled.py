"""The bundled library of personas: Markdown files that a team takes over as its own, and changes."""

from __future__ import annotations

from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from ..mail.errors import TeamMailError


def library() -> tuple[Traversable, ...]:
    """List the bundled persona files by name."""
    folder = files(__name__.rpartition(".")[0]) / "library"
    return tuple(sorted((file for file in folder.iterdir() if file.name.endswith(".md")), key=lambda file: file.name))


def copy_into(folder: Path) -> list[Path]:
    """Copy the library into a folder, made if need be; return what was written.

    A persona that is there already, in whatever form, is left as it is. Raises TeamMailError when the disk refuses.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        there = {path.name.split(".")[0] for path in folder.iterdir()}
        wanted = [file for file in library() if file.name.split(".")[0] not in there]
        return [_copy(file, folder / file.name) for file in wanted]
    except OSError as error:
        raise TeamMailError(f"cannot write personas into {folder}: {error.strerror}; nothing was overwritten") from None


def _copy(file: Traversable, path: Path) -> Path:
    with path.open("xb") as copy:
        copy.write(file.read_bytes())
    return path
