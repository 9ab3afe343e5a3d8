"""The objects of one weave, in a folder of their own until it is known which of them the repository is to keep.

Objects of refused, failed and hostile patches are deleted with the folder. What landed is handed over as one pack,
flushed to the disk before a branch can point to it.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Generator, Iterable, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import cached_property
from itertools import count
from pathlib import Path

from ...mail.log.disk import Disk
from ...personas.git import Git
from .objects.pack import NewObject, write_pack
from .objects.reader import ObjectReader
from .tree import Folder, folder_body, parsed_folder

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
    "merge.directoryRenames": "true",
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
        self.digits = len(tip)  # of an object's id
        self._hash = "sha256" if self.digits == _SHA256 else "sha1"
        self._git = replace(git, settings={**git.settings, **_config(), **self._places()})
        self._reader = ObjectReader(self._git)
        self._fresh = dict[str, NewObject]()  # not in a pack yet
        self._numbers = count()
        self._written = set[str]()
        self._folders = dict[str, Folder]()

    @property
    def git(self) -> Git:
        """Git that sees all objects that were written so far."""
        self._flush()
        return self._git

    @property
    def objects(self) -> Path:
        """The folder of the objects that were written here."""
        self._flush()
        return self._objects

    def write(self, kind: str, body: bytes) -> str:
        """Write an object; return its id."""
        oid = hashlib.new(self._hash, b"%s %d\0%s" % (kind.encode(), len(body), body)).hexdigest()
        if oid not in self._written:
            self._written.add(oid)
            self._fresh[oid] = NewObject(kind, body)
        return oid

    def write_folder(self, entries: Folder) -> str:
        """Write a folder; return its id."""
        oid = self.write("tree", folder_body(entries))
        self._folders[oid] = entries
        return oid

    def entries(self, oid: str) -> Folder:
        """Return the entries of a folder by their names. Raises GitError where there is no such folder."""
        if oid not in self._folders:
            self._folders[oid] = parsed_folder(self._read([oid], "tree")[0], self.digits)
        return self._folders[oid]

    def top(self, commit: str) -> str:
        """Return the id of the top folder of a commit. Raises GitError where there is no such commit."""
        body = self._read([commit], "commit")[0]
        return body[len(b"tree ") : body.index(b"\n")].decode()

    def blobs(self, oids: Iterable[str]) -> dict[str, bytes]:
        """Read blobs by their ids. Raises GitError where there is no such blob."""
        wanted = sorted({*oids})
        return dict(zip(wanted, self._read(wanted, "blob"), strict=True))

    def fresh(self, kind: str) -> Path:
        """Return a name for scratch files that none has yet."""
        return self.folder / f"{kind}-{next(self._numbers)}"

    def index(self, name: str) -> Git:
        """Return git with a scratch index of that name."""
        return self.git.using(index=self.folder / name)

    def apart(self, attributes: str) -> Git:
        """Return git in an empty repository with the same objects, these attributes and no settings of the user."""
        folder = self.folder / "apart"
        for part in ("refs", "info"):
            (folder / part).mkdir(parents=True, exist_ok=True)
        (folder / "HEAD").write_text("ref: refs/heads/none\n")
        (folder / "info" / "attributes").write_text(attributes)
        form = "version = 1\n[extensions]\n\tobjectFormat = sha256" if self._hash == "sha256" else "version = 0"
        (folder / "config").write_text(f"[core]\n\tbare = true\n\trepositoryformat{form}\n")
        style = "merge.conflictStyle=diff3"
        return replace(self.git, directory=folder, options=(*self.git.options, style))

    def close(self) -> None:
        """End the process that reads."""
        self._reader.close()

    def _read(self, oids: Sequence[str], kind: str) -> list[bytes]:
        if not self._fresh.keys().isdisjoint(oids):
            self._flush()
        return self._reader.read(oids, kind)

    def _flush(self) -> None:
        if self._fresh:
            write_pack(self._objects / "pack", self._fresh, self._hash)
            self._fresh.clear()

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
    folder = tempfile.TemporaryDirectory(prefix="team-mail-weave-")
    with folder, closing(Quarantine(git, Path(folder.name), tip)) as scratch:
        yield scratch


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
