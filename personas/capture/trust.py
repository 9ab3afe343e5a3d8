"""The git directory by which a workspace is filled and captured, written afresh each time.

Of the settings only the user's own count, those of machine, user and repository: ignore files, line endings, and the
filters by which files are encrypted or kept elsewhere. Attributes, which choose the filter of a file, are those of the
base commit. So neither a clone nor anything below `.team` can name a program that is run, or keep one from running.
Filters run in the user's checkout, with the user's git, because that is where their keys and stores are, and under a
keeper, because they may hang or leave a daemon.
"""

from __future__ import annotations

import hashlib
import os
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import NamedTuple

from ...mail.log.disk import read_file
from ..git import Git, alternates
from .changes import GITLINK
from .laid import lay_once
from .user_settings import users_settings

_NO_MAINTENANCE = "[gc]\n\tauto = 0\n[maintenance]\n\tauto = false\n"
_FOLDERS = ("objects", "objects/info", "refs", "info")  # of a git directory
SPARSE = "[core]\n\tsparseCheckout = true\n\tsparseCheckoutCone = true\n"
_ATTRIBUTES = b".gitattributes"
_OPTIONS = ("core.autocrlf", "core.eol", "core.checkroundtripencoding")
_FILES = ("core.excludesfile", "core.attributesfile")
_FILTER = re.compile(r"filter\.(?P<name>[^\n]+)\.(?P<key>clean|smudge|process|required)")
_ONCE = ("clean", "smudge")  # commands that are run for each file
_COMMANDS = (*_ONCE, "process")
# What git sets for the programs that it runs, and what we set for git.
_OURS = (
    "GIT_DIR GIT_WORK_TREE GIT_INDEX_FILE GIT_OBJECT_DIRECTORY GIT_ALTERNATE_OBJECT_DIRECTORIES GIT_COMMON_DIR "
    "GIT_PREFIX GIT_CONFIG GIT_CONFIG_PARAMETERS GIT_CONFIG_COUNT GIT_CONFIG_GLOBAL GIT_CONFIG_NOSYSTEM "
    "GIT_ATTR_NOSYSTEM GIT_OPTIONAL_LOCKS GIT_NO_REPLACE_OBJECTS LC_ALL"
)
_USERS = ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM")
# Whatever the files of the work tree say of these, it does not count; what changes how a diff looks does not either.
_RESET = b"* !filter !text !crlf !eol !ident !working-tree-encoding\n"
_PLAIN = b"* !diff !whitespace\n"
_BINARY = b"[attr]binary -diff -merge -text\n"
_MACRO = re.compile(rb"\[attr\]([\w.-]+)", re.ASCII)
_NAME = re.compile(rb"[A-Za-z0-9_.][\w.-]*", re.ASCII)
_SPECIAL = re.compile(rb"[*?\[\\]")
_CONVERTS = re.compile(rb"text|eol|crlf|ident|encoding")
_QUOTED = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
Filters = Mapping[str, Mapping[str, str]]


class Base(NamedTuple):
    """What a commit says about its own files: submodules by path, and all its attributes as one file."""

    submodules: Mapping[bytes, str]
    attributes: bytes


@dataclass(frozen=True)
class Trust:
    """What the user's own git settings say; `ignored` and the attributes are the texts of files."""

    options: tuple[str, ...] = ()
    filters: Filters = field(default_factory=dict[str, Mapping[str, str]])
    ignored: bytes = b""
    base: bytes = b""  # the attributes of the base commit
    attributes: bytes = b""  # of the user, which those of the repository override
    overrides: bytes = b""  # of the repository's info/attributes

    @property
    def filtering(self) -> bool:
        """Whether an attribute may choose one of the filters for a file."""
        return bool(self.filters) and b"filter" in self.base + self.attributes + self.overrides

    @property
    def digest(self) -> str:
        """A name for all that decides what a file is in a work tree."""
        return hashlib.sha256(repr(self).encode()).hexdigest()[:16]

    @property
    def converting(self) -> bool:
        """Whether a file may be stored as something else than what is in the work tree."""
        return (
            self.filtering or bool(self.options) or bool(_CONVERTS.search(self.base + self.attributes + self.overrides))
        )

    def configuration(self, scratch: Path | None = None) -> str:
        """Return the filters as text of a git config; their output goes by way of files at `scratch`, if that is given.

        Git reads what a filter prints to the end of the pipe, which a daemon of the filter would keep open.
        """
        sections: list[str] = []
        for name, keys in self.filters.items():
            values = {
                key: _by_file(value, scratch) if scratch and key in _ONCE else value for key, value in keys.items()
            }
            rows = "".join(f"\t{key} = {_quoted(value)}\n" for key, value in values.items())
            sections.append(f"[filter {_quoted(name)}]\n{rows}")
        return "".join(sections)


def read_trust(source: Path, base: bytes = b"") -> Trust:
    """Read the user's settings for the repository with the git directory `source`; `base` are a commit's attributes."""
    values: dict[str, str] = {}
    filters: dict[str, dict[str, str]] = {}
    for key, value in users_settings(source):
        if match := _FILTER.fullmatch(key):
            filters.setdefault(match["name"], {})[match["key"]] = value
        else:
            values[key] = value
    place = source.parent if source.name == ".git" else source
    wrapped = {
        name: {key: _in_checkout(value, place, key) if key in _COMMANDS else value for key, value in keys.items()}
        for name, keys in filters.items()
    }
    ignored, attributes = (
        _users_file(values.get(key), name, place) for key, name in zip(_FILES, ("ignore", "attributes"), strict=True)
    )
    return Trust(
        tuple(f"{key}={values[key]}" for key in _OPTIONS if key in values), wrapped,
        ignored + _read(source / "info/exclude"), base, attributes, _read(source / "info/attributes"),
    )  # fmt: skip


def lay_directory(
    place: Path, trust: Trust, *, core: str, stores: Iterable[Path], shallow: bytes | None, sparse: bytes = b""
) -> Git:
    """Write a git directory at `place`, and return its git.

    One that is there, exactly as it would be written, is taken; beside anything else, another one is written. Raises
    OSError.

    `core` is the text of a config as `git init` writes it, `stores` are folders of objects that it borrows from, and
    `sparse` are the patterns of the files that its work tree holds, if that is not all.
    """
    files = {
        "HEAD": b"ref: refs/heads/none\n",
        "info/attributes": _all_attributes(trust),
        "objects/info/alternates": alternates(stores),
    }
    files |= {"info/exclude": trust.ignored} if trust.ignored else {}
    files |= {"info/sparse-checkout": sparse} if sparse else {}
    files |= {} if shallow is None else {"shallow": shallow}
    numbers, here = count(2), place
    while True:
        config = core + (SPARSE if sparse else "") + trust.configuration(here / "filtered")
        files["config"] = config.encode(errors="surrogateescape")
        if lay_once(here, _FOLDERS, files):
            break
        here = place.with_name(f"{place.name}-{next(numbers)}")
    quiet = {"GIT_NO_REPLACE_OBJECTS": "1", "GIT_LFS_SKIP_SMUDGE": "1"}
    return Git(here, quiet, trust.options, guarded=True, filtering=trust.filtering)


def clone_config(core: str, persona: str, trust: Trust, *, sparse: bool) -> bytes:
    """Return the config of a clone: the file system's (`core`), and the user's filters and line endings."""
    name = re.sub(r"[^\w.+-]", "-", persona)
    options = (option.partition("=") for option in trust.options)
    endings = "".join(f"\t{key[len('core.') :]} = {value}\n" for key, _, value in options)
    own = f'[user]\n\tname = "{name}"\n\temail = "{name}@team-mail.invalid"\n'
    filters = trust.configuration() if trust.filtering else ""
    core = re.sub(r"bare = true", "bare = false", core) + (SPARSE if sparse else "")
    text = core + (f"[core]\n{endings}" if endings else "") + own + _NO_MAINTENANCE + filters
    return text.encode(errors="surrogateescape")


def read_base(git: Git, commit: str) -> Base:
    """Read which submodules a commit has, and its attributes. Raises GitError where there is no such commit."""
    rows = [row.partition(b"\t") for row in git("ls-tree", "-r", "-z", "--full-tree", commit).split(b"\0") if row]
    oids = {path: entry.split(b" ")[2].decode() for entry, _, path in rows if entry.startswith(GITLINK)}
    files = {
        path: git("cat-file", "blob", entry.split(b" ")[2].decode())
        for entry, _, path in rows
        if path.rpartition(b"/")[2] == _ATTRIBUTES and entry.startswith(b"100")
    }
    return Base(oids, attributes_below(files))


def attributes_below(files: Mapping[bytes, bytes]) -> bytes:
    """Join the attributes files of a commit, by path, into one that means the same at the top of the repository."""
    parts = sorted(files, key=lambda path: (path.count(b"/"), path))
    return b"".join(b"".join(_from_top(path.rpartition(b"/")[0], files[path])) for path in parts)


def _from_top(folder: bytes, text: bytes) -> Iterator[bytes]:
    """Yield the lines of an attributes file with patterns that count from the top."""
    for row in text.removeprefix(b"\xef\xbb\xbf").splitlines():
        line = row.strip(b" \t\r")
        if not line or line.startswith((b"#", b"!")):
            continue
        if not folder:
            yield line + b"\n"
            continue
        if line.startswith(b"[attr]"):
            continue
        quoted = _QUOTED.match(line)
        pattern, states = (
            (quoted[0], line[quoted.end() :]) if quoted else re.split(rb"(?=[ \t])", line + b" ", maxsplit=1)
        )
        bare = pattern[1:-1] if quoted else pattern
        deep = b"" if b"/" in bare.removesuffix(b"/") else b"**/"
        above = _SPECIAL.sub(rb"\\\g<0>", folder)
        joined = above + b"/" + deep + bare.removeprefix(b"/")
        if quoted or re.search(rb'[\s"]', joined):
            prefix = (above + b"/" + deep).replace(b"\\", b"\\\\").replace(b'"', b'\\"')
            inner = bare.removeprefix(b"/") if quoted else bare.removeprefix(b"/").replace(b"\\", b"\\\\")
            joined = b'"' + prefix + inner + b'"'
        yield joined + states.rstrip() + b"\n"


def _all_attributes(trust: Trust) -> bytes:
    """Return the attributes that count, in the file that overrides those of the work tree.

    A name that is set here must not be a macro that the work tree defines, so each one is defined here.
    """
    own = b"\n".join((trust.attributes, trust.base, trust.overrides, b""))
    macros = {match[1] for line in own.splitlines() if (match := _MACRO.match(line))}
    names = {word for line in own.splitlines() for word in line.split()[1:] if _NAME.fullmatch(word)}
    defined = b"".join(b"[attr]%s %s\n" % (name, name) for name in sorted(names - macros - {b"binary"}))
    return (b"" if b"binary" in macros else _BINARY) + defined + _RESET + own + _PLAIN


def _in_checkout(command: str, place: Path, key: str) -> str:
    """Return a filter's command as one that runs in the user's checkout and finds the user's settings."""
    if not command:
        return command
    kept = "".join(f"export {name}={shlex.quote(os.environ[name])}; " for name in _USERS if name in os.environ)
    before = f"unset {_OURS}; {kept}cd {shlex.quote(str(place))} || exit 1; "
    return (before if key == "process" else before.replace("%", "%%")) + command


def _by_file(command: str, scratch: Path) -> str:
    """Return the command of a filter as one that prints when it has ended, whatever it leaves running."""
    if not command:
        return command
    file = f"{shlex.quote(str(scratch))}.$$".replace("%", "%%")
    return f"(\n{command}\n) > {file}; code=$?; cat {file}; rm -f {file}; exit $code"


def _users_file(named: str | None, usual: str, place: Path) -> bytes:
    """Read the file that a setting names, or else the one where git looks."""
    if named is None:
        folder = os.environ.get("XDG_CONFIG_HOME") or "~/.config"
        named = f"{folder}/git/{usual}"
    text = _read(place / Path(named).expanduser()) if named else b""
    return text + b"\n" if text else text


def _read(path: Path) -> bytes:
    try:
        return read_file(path, follow=True)
    except OSError:
        return b""


def _quoted(value: str) -> str:
    """Quote a value, or a section's name, for a git config."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
    return f'"{escaped}"'
