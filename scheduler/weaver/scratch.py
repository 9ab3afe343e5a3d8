"""The objects of one weave, in a folder of their own until it is known which of them the repository is to keep.

Objects of refused, failed and hostile patches are deleted with the folder. What landed is handed over as one pack,
flushed to the disk before a branch can point to it.
"""

from __future__ import annotations

import hashlib
import tempfile
import zlib
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from ...mail.log.disk import Disk
from ...personas.git import Git

# The user's own config is read, for merge drivers; these must not depend on it.
_SETTINGS = {
    "apply.ignoreWhitespace": "no",
    "core.abbrev": "no",
    "core.fsync": "none",  # a quarantine need not outlive a power cut
    "core.packedGitLimit": "256m",  # under a limit of address space, mapped packs count
    "core.packedGitWindowSize": "32m",
    "core.protectHFS": "true",
    "core.protectNTFS": "true",
    "core.sparseCheckout": "false",
    "core.splitIndex": "false",
    "core.useReplaceRefs": "false",
    "index.version": "2",
    "merge.conflictStyle": "zdiff3",
    "merge.directoryRenames": "false",
    "merge.renames": "true",
}
_SHA256 = 64  # digits
_DURABLE = ("-c", "core.fsync=all", "-c", "core.fsyncMethod=fsync")


class Quarantine:
    """A scratch folder for indexes, and a git that writes its objects there and reads the repository's too."""

    def __init__(self, git: Git, folder: Path, tip: str) -> None:
        self.folder = folder
        self._store = git
        self._objects = folder / "objects"
        self._objects.mkdir()
        self._hash = "sha256" if len(tip) == _SHA256 else "sha1"
        self.git = replace(git, settings={**git.settings, **_config(), **self._places()})

    @property
    def objects(self) -> Path:
        """The folder of the objects that were written here."""
        return self._objects

    def write(self, kind: str, body: bytes) -> str:
        """Write an object; return its id."""
        whole = b"%s %d\0%s" % (kind.encode(), len(body), body)
        oid = hashlib.new(self._hash, whole).hexdigest()
        path = self._objects / oid[:2] / oid[2:]
        if not path.exists():
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(zlib.compress(whole, 1))
        return oid

    def index(self, name: str) -> Git:
        """Return git with a scratch index of that name."""
        return self.git.using(index=self.folder / name)

    def blobs(self, oids: Iterable[str]) -> dict[str, bytes]:
        """Read blobs by their ids, all in one process."""
        output = self.git("cat-file", "--batch", stdin="".join(f"{oid}\n" for oid in oids).encode())
        blobs: dict[str, bytes] = {}
        position = 0
        while position < len(output):
            end = output.index(b"\n", position)
            oid, _, size = output[position:end].decode().split(" ")
            blobs[oid] = output[end + 1 : end + 1 + int(size)]
            position = end + int(size) + 2
        return blobs

    @cached_property
    def has_drivers(self) -> bool:
        """Whether the repository names merge drivers, which may leave what git itself never would."""
        return not self.git.run("config", "--get-regexp", r"^merge\..*\.driver$").returncode

    def release(self, start: str, tip: str) -> None:
        """Hand over all objects that `tip` has and `start` has not, as a pack that survives a power cut.

        Git flushes the pack, whatever the repository's settings say; the folder it lies in is flushed here.
        """
        if tip == start:
            return
        pack = self.git("pack-objects", "--revs", "--stdout", "-q", stdin=f"{tip}\n^{start}\n".encode())
        self._store(*_DURABLE, "index-pack", "--stdin", stdin=pack)
        Disk().sync_folder(self._outer / "pack")

    @property
    def _outer(self) -> Path:
        """The folder of the repository's objects."""
        return Path(self._store.settings.get("GIT_OBJECT_DIRECTORY", self._store.directory / "objects"))

    def _places(self) -> dict[str, str]:
        more = self._store.settings.get("GIT_ALTERNATE_OBJECT_DIRECTORIES")
        return {
            "GIT_OBJECT_DIRECTORY": str(self._objects),
            "GIT_ALTERNATE_OBJECT_DIRECTORIES": _quoted(str(self._outer)) + (f":{more}" if more else ""),
        }


@contextmanager
def quarantine(git: Git, tip: str) -> Generator[Quarantine]:
    """Open a quarantine beside a repository that has this commit; it is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="team-mail-weave-") as folder:
        yield Quarantine(git, Path(folder), tip)


def _config() -> dict[str, str]:
    environment = {"GIT_CONFIG_COUNT": str(len(_SETTINGS))}
    for number, (name, value) in enumerate(_SETTINGS.items()):
        environment |= {f"GIT_CONFIG_KEY_{number}": name, f"GIT_CONFIG_VALUE_{number}": value}
    return environment


def _quoted(path: str) -> str:
    """Quote a path for a list that colons separate."""
    if ":" not in path and not path.startswith('"'):
        return path
    return '"{}"'.format(path.replace("\\", "\\\\").replace('"', '\\"'))
