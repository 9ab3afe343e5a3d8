"""What programs need of this machine to be found and to start: folders to read, and the links that lead to them.

Those of the distribution lie in `SYSTEM`. Those of npm, nvm, pipx, uv, pyenv, cargo and the like lie below the home
folder, and a link in one of the folders of PATH leads to each.
"""

# Paths are text here, as bwrap and the kernel read them: pathlib would resolve or drop what they do not.
# ruff: noqa: PTH100, PTH110, PTH112, PTH113, PTH114, PTH115, PTH119, PTH120

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from ...mail.log.disk import open_file

SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/etc", "/opt", "/nix/store")
_MOST_LINKS = 40  # on the way to a file, as for the kernel
_MOST_PROGRAMS = 3000  # that are looked at in a folder of PATH
_SHEBANG = 512  # bytes
# What belongs to the `bin` beside it, in the folder of one installation.
_BESIDE = ("lib", "lib64", "libexec", "include", "share", "etc", "ssl", "conf", "jmods", "release", "pyvenv.cfg")
_PACKAGES = ("site-packages", "dist-packages")
_USER = ".local"  # beside its `bin` are libraries, and in `share` what is no program


def trail(path: str) -> tuple[str, dict[str, str]]:
    """Return the real path of an absolute path, and what each link on the way to it says.

    Raises OSError for links that lead round in a circle.
    """
    links: dict[str, str] = {}
    rest, real, hops = _steps(path), "", 0
    while rest:
        if (step := rest.pop()) == "..":
            real = os.path.dirname(real).rstrip("/")
        elif os.path.islink(place := f"{real}/{step}"):
            links[place] = target = os.readlink(place)
            real = "" if target.startswith("/") else real
            rest += _steps(target)
            if (hops := hops + 1) > _MOST_LINKS:
                raise OSError(f"links lead round in a circle: {path}")
        else:
            real = place
    return real or "/", links


def _steps(path: str) -> list[str]:
    """Return the steps of a path, the first one last."""
    return [step for step in reversed(path.split("/")) if step not in ("", ".")]


def is_within(path: str, folder: str) -> bool:
    """Tell whether a path is a folder or lies below it; both are taken as they are written."""
    return path == folder or path.startswith(folder.rstrip("/") + "/")


class Programs:
    """The folders and files that programs need, `shown`, and the `links` on the way, each with what it says.

    `closed` tells of a real path whether it must not be shown. What is in `SYSTEM` is no part of it. `written` are the
    real paths of folders that an agent may write: what a link or a script in there names is not believed, or the next
    run could be shown whatever this one wishes.
    """

    def __init__(self, closed: Callable[[str], bool], written: Sequence[str] = ()) -> None:
        self._closed = closed
        self._written = written
        self._seen: set[str] = set()
        self.shown: set[str] = set()
        self.links: dict[str, str] = {}

    def add_path(self, path: str) -> None:
        """Add all programs of a PATH; what is relative in it depends on the folder that one is in, and is left out."""
        for folder in path.split(os.pathsep):
            if folder.startswith("/") and os.path.isdir(folder):
                self._add_folder(folder)

    def add_program(self, path: str) -> None:
        """Add a program: the folder that holds its file, what it belongs to, and the interpreter that it names."""
        real = self._found(path)
        self._add_environment(path)
        if real is None or real in self._seen:
            return
        self._seen.add(real)
        self.shown.update(self._package(real))
        if interpreter := _interpreter(real):
            self.add_program(interpreter)

    def add_file(self, path: str) -> None:
        """Add one file or folder, if there is one and it may be shown."""
        if path.startswith("/") and (real := self._found(path)):
            self.shown.add(real)

    def add_python(self) -> None:
        """Add the Python that runs this, even if it lies in a closed place, of which nothing else is shown then."""
        self.add_program(sys.executable)
        self.add_anyway(sys.executable, f"{sys.prefix}/pyvenv.cfg", os.path.dirname(os.__file__))

    def add_own(self, *programs: str) -> None:
        """Add programs of this installation with the packages that they import, even in a closed place."""
        if programs:
            top = Path(__file__).parents[2]  # of our package, which may be a checkout with more in it
            parts = (*top.glob("*.py"), *(init.parent for init in top.glob("*/__init__.py")))
            packages = (folder for folder in sys.path if os.path.basename(folder) in _PACKAGES)
            self.add_anyway(*programs, *packages, *map(str, parts))

    def add_anyway(self, *paths: str) -> None:
        """Add files and folders that are there, even in a closed place. Raises OSError for links in a circle."""
        for path in paths:
            real, links = trail(os.path.abspath(path))
            self.links |= links
            if os.path.exists(real) and not _of_system(real):
                self.shown.add(real)

    def _found(self, path: str) -> str | None:
        """Return the real path of what may be shown and is not there anyway, and keep the links that lead to it."""
        with suppress(OSError):
            real, links = trail(path)
            doubtful = any(is_within(place, folder) for place in (real, *links) for folder in self._written)
            if os.path.exists(real) and not doubtful and not self._closed(real):
                self.links |= links
                return None if _of_system(real) else real
        return None

    def _add_environment(self, path: str) -> None:
        """Add the environment of Python that a program lies in: its interpreter may be a link out of it."""
        folder = self._found(os.path.dirname(path))
        if folder and os.path.exists(f"{os.path.dirname(folder)}/pyvenv.cfg"):
            self.shown.update((folder, *self._beside(folder)))

    def _add_folder(self, folder: str) -> None:
        real = self._found(folder)
        if real is None or real in self._seen:
            return
        self._seen.add(real)
        self.shown.update((real, *self._beside(real)))
        with suppress(OSError), os.scandir(real) as entries:
            for entry, _ in zip(entries, range(_MOST_PROGRAMS), strict=False):
                if entry.is_file() and os.access(entry.path, os.X_OK):
                    self.add_program(entry.path)

    def _package(self, real: str) -> Iterator[str]:
        """Yield what has to be there for a program: one file, if its folder has more than programs."""
        above, modules, _ = real.partition("/node_modules/")
        store, pnpm, _ = real.partition("/.pnpm/")
        package = store if pnpm else above + modules.rstrip("/")
        folder = os.path.dirname(real)
        if modules and not self._closed(package):
            yield package
        elif self._closed(folder):
            yield real
        else:
            yield folder
            yield from self._beside(folder)

    def _beside(self, folder: str) -> Iterator[str]:
        """Yield what the programs in a folder need that lies beside it."""
        above, name = os.path.split(folder)
        if name == "shims" or os.path.basename(above) == ".volta" or os.path.isdir(f"{above}/Cellar"):
            yield from filter(self._is_own, [above])  # they look there for the version of the program that is wanted
        elif name == "bin" and os.path.basename(above) == ".cargo":
            yield from filter(self._is_own, [f"{os.path.dirname(above)}/.rustup"])
        elif name == "bin" and any(os.path.exists(f"{above}/{proof}") for proof in ("lib", "pyvenv.cfg")):
            names = ("lib",) if os.path.basename(above) == _USER else _BESIDE
            yield from filter(self._is_own, (f"{above}/{name}" for name in names))

    def _is_own(self, path: str) -> bool:
        return os.path.exists(path) and not os.path.islink(path) and not self._closed(path)


def programs_in(words: Sequence[str], path: str) -> Iterator[str]:
    """Yield the absolute paths of the files that a command names: its program, and any other of its words."""
    for number, word in enumerate(words):
        if word.startswith("/"):
            if os.path.isfile(word):
                yield word
        elif not number and "/" not in word:
            places = (f"{folder}/{word}" for folder in path.split(os.pathsep) if folder.startswith("/"))
            yield from (place for place, _ in zip(filter(_is_program, places), range(1), strict=False))


def _is_program(path: str) -> bool:
    return os.path.isfile(path) and os.access(path, os.X_OK)


def _of_system(real: str) -> bool:
    return any(is_within(real, top) for top in SYSTEM)


def _interpreter(file: str) -> str:
    """Return the absolute path of the interpreter that a script names in its first line, else nothing."""
    with suppress(OSError), open_file(Path(file), follow=True) as script:
        words = script.readline(_SHEBANG).split() if script.read(2) == b"#!" else []
        if words and words[0].startswith(b"/"):
            return os.fsdecode(words[0])
    return ""
