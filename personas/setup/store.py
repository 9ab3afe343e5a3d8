"""What set-ups left in the workspaces of gates, kept so that the next gate need not run them again.

It fits only the same path, because environments of Python and others contain it, and only what git does not track: a
set-up that changes committed files is run each time.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...mail.errors import TeamMailError
from ...mail.log.disk import read_file
from .copies import make_room
from .trees import remove_tree

FOLDER = "setups"  # in a mirror's folder
_MOST = 4  # the oldest are removed
_FILES, _NAMES, _OUTPUT = "files", "names.json", "output.log"
_APART = {".git", ".team"}


def key_of(*parts: object) -> str:
    """Return a key for all that a set-up depends on: values whose representation says all of them."""
    return hashlib.sha256(repr(parts).encode(errors="surrogateescape")).hexdigest()[:32]


@dataclass(frozen=True)
class SetUpStore:
    """The results of set-ups, by key, in a folder of its own."""

    folder: Path

    def restore(self, key: str, workspace: Path) -> bytes | None:
        """Put what a set-up left into a workspace; return what it had printed, None if nothing is kept under the key.

        Raises OSError if only a part could be put there.
        """
        entry = self.folder / key
        try:
            names: Sequence[str] = json.loads(read_file(entry / _NAMES))
            output = read_file(entry / _OUTPUT)
        except (OSError, ValueError):
            return None
        for name in names:
            if make_room(workspace, name):
                _copy(entry / _FILES / name, workspace / name)
        os.utime(entry)
        return output

    def keep(self, key: str, workspace: Path, names: Sequence[str], output: bytes) -> None:
        """Keep files and folders of a workspace under a key. If there is no room for them, nothing is kept."""
        scratch = self.folder / f".{key}.{os.urandom(4).hex()}"
        try:
            for name in names:
                (scratch / _FILES / name).parent.mkdir(parents=True, exist_ok=True)
                _copy(workspace / name, scratch / _FILES / name)
            scratch.mkdir(parents=True, exist_ok=True, mode=0o700)
            (scratch / _OUTPUT).write_bytes(output)
            (scratch / _NAMES).write_text(json.dumps([*names]))
            scratch.rename(self.folder / key)
        except OSError:
            _discard(scratch)
        self._prune()

    def _prune(self) -> None:
        entries = [entry for entry in self.folder.glob("[!.]*") if entry.is_dir()]
        for entry in sorted(entries, key=lambda entry: entry.stat().st_mtime)[:-_MOST]:
            _discard(entry)


def untracked(workspace: Path, known: Collection[str]) -> Iterator[str]:
    """Yield what is in a workspace and not `known`, the paths of files: whole folders where nothing in them is known.

    Git's own folder and that of the team are left out. No link is followed.
    """
    folders = {str(folder) for name in known for folder in Path(name).parents} - {"."}
    waiting: list[str] = [""]
    while waiting:
        above = waiting.pop()
        with os.scandir(workspace / above) as entries:
            for entry in sorted(entries, key=lambda entry: entry.name):
                name = f"{above}{entry.name}"
                if name in folders and entry.is_dir(follow_symlinks=False):
                    waiting.append(f"{name}/")
                elif name not in known and name not in _APART:
                    yield name


def _copy(source: Path, target: Path) -> None:
    """Copy a file or folder with modes, times and links; `cp` shares the blocks where the file system can."""
    ended: Any = subprocess.run(["cp", "-a", "--", source, target], capture_output=True, check=False)  # noqa: S603, S607
    if ended.returncode:
        raise OSError(ended.returncode, ended.stderr.decode(errors="replace").strip() or "cp failed")


def _discard(entry: Path) -> None:
    with suppress(OSError, TeamMailError):
        if os.path.lexists(entry):
            remove_tree(entry)
