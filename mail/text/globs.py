r"""Glob patterns of paths: what they mean, how they are parsed, and whether a path matches.

A pattern means what git's pathspec `:(glob)PATTERN` means, counted from the top of the repository:

- `*` matches any letters of one name, `?` one letter; neither matches `/`.
- `**` as a whole name matches any number of folders: `**/a`, `a/**/b`. At the end, `a/**` matches everything below `a`,
  but not `a`. Beside other letters, as in `a**b`, it is an ordinary `*`.
- `[abc]`, `[a-z]` and `[[:digit:]]` match one letter of the set, `[!abc]` and `[^abc]` one that is not in it; none
  matches `/`. A `]` right after the opening is a letter of the set; `[z-a]` matches `z` alone.
- `\` takes the special meaning from the next letter. Braces have none: `{a,b}` matches a name with braces.
- A pattern also matches the path that it spells: `app/[id].tsx` matches `app/i.tsx`, `app/d.tsx` and `app/[id].tsx`.
  If a set is not closed or holds no letter, as `[/]`, that path is all there is.
- `docs` matches the file `docs` and everything below a folder `docs`; `docs/` matches only what is below. Git covers
  what is below a path without wildcards; here, what is below a folder that matches a wildcard is covered as well, so
  `src/*` is git's `src/*` together with its `src/*/**`.
- Doubled slashes and names `.` are left out, as git does: `./a//b` is `a/b`. Git refuses `/a`; here it is `a`. A name
  `..` is not resolved, and an empty pattern matches nothing.

Letters are code points, where git compares bytes; a byte that is not UTF-8 is one letter. Case counts.

Matching takes time in proportion to the lengths of pattern and path multiplied, whatever the pattern.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple

Letters = tuple[tuple[int, int], ...]  # ranges of code points, in order and apart from each other
Piece = tuple[Letters, ...]
Name = tuple[Piece, ...]  # a `*` stands between each two pieces

FOLDERS: Name = ()  # `**`: any number of names
MAX_GLOB = 500  # letters of a checked pattern
_SLASH = ord("/")
_LAST = 0x10FFFF
_NO_SLASH: Letters = ((1, _SLASH - 1), (_SLASH + 1, _LAST))
_SPECIAL = re.compile(r"[*?\[\\]")
_END = re.compile(r".*(?:[*?\]]|\\.)", re.DOTALL)
_CLASS = r"\[:[^\]]*:\]"
_LETTER = r"(?:\\.|[^\\])"
_MEMBER = rf"(?>{_CLASS}|{_LETTER}(?:-(?!\]){_LETTER})?)"
_SIGN = re.compile(rf"\*+|\?|\\?/|\[(?P<not>[!^]?+)(?P<set>{_MEMBER}(?:(?!\]){_MEMBER})*+)\]|\[.*|\\.|.", re.DOTALL)
_RANGE = re.compile(rf"\[:(?P<name>[^\]]*):\]|(?P<low>{_LETTER})(?:-(?P<high>{_LETTER}))?", re.DOTALL)
_UNSAFE = re.compile(r"^[:!]|[\x00-\x1f\x7f\\]")  # letters that a path may have, and no checked pattern
_CLASSES = {
    "alnum": "09AZaz", "alpha": "AZaz", "blank": "\t\t  ", "cntrl": "\x01\x1f\x7f\x7f", "digit": "09", "graph": "!~",
    "lower": "az", "print": " ~", "punct": "!/:@[`{~", "space": "\t\r  ", "upper": "AZ", "xdigit": "09AFaf",
}  # fmt: skip


class Form(NamedTuple):
    """One reading of a pattern, name by name; if it is of a `folder`, only what is below matches."""

    names: tuple[Name, ...]
    folder: bool


def matches(path: bytes | str, patterns: Iterable[str]) -> bool:
    """Tell whether a path, as git prints it with `-z`, matches at least one of the patterns."""
    name = path if isinstance(path, str) else path.decode(errors="surrogateescape")
    return any(regex.match(name) for regex in map(_regex, patterns))


def start(pattern: str) -> str:
    """Return the letters that every match begins with: the pattern up to its first wildcard."""
    text = normalized(pattern).rstrip("/")
    return text if is_path(text) or not (special := _SPECIAL.search(text)) else text[: special.start()]


def end(pattern: str) -> str:
    """Return the letters that every match ends with, but for what is below; a slash in front may be missing."""
    text = normalized(pattern).rstrip("/")
    return text if is_path(text) else _END.sub("", text)


def is_path(pattern: str) -> bool:
    """Tell whether a pattern matches one path only, and what is below it: it has no wildcard."""
    return not _SPECIAL.search(pattern) or [_is_plain(form) for form in forms(pattern)] == [True]


def is_from_top(pattern: str) -> bool:
    r"""Tell whether a pattern is written from the top of the repository, without detours, `\` and git's own magic."""
    names = pattern.removesuffix("/").split("/")
    return not _UNSAFE.search(pattern) and not {"", ".", ".."} & {*names}


def normalized(pattern: str) -> str:
    """Return a pattern without names that lead nowhere: `/./a//b/` is `a/b/`, and so is `a/b/.`, as for git."""
    every = pattern.split("/")
    names = [name for name in every if name not in {"", "."}]
    return "/".join(names) + "/" * (bool(names) and every[-1] in {"", "."})


def checked(pattern: str) -> str:
    """Return a pattern normalized. Raises ValueError if it is none, or one that nobody means."""
    if not 0 < len(pattern) <= MAX_GLOB or not pattern.isprintable():
        raise ValueError(f"must be a path or a glob of 1 to {MAX_GLOB} letters")
    if "\\" in pattern:
        raise ValueError("must be a path with / between its folders, not \\")
    text = normalized(pattern)
    if not text or ".." in text.split("/") or text[0] in ":!":
        raise ValueError("must be a path within the repository, from its top; write ** for all of it")
    for sign in _SIGN.finditer(text):
        if sign[0][0] == "[" and not _is_set(sign) and "]" in sign[0]:
            written = sign[0][: sign[0].index("]") + 1]
            raise ValueError(
                f"must be a glob, and {written} is not a character class; write it as in [abc], [a-z] or [!a-z]"
            )
    return text


def escape(path: str) -> str:
    """Return a pattern that `checked` takes and that matches a path; a letter that it does not take becomes `?`."""
    return _UNSAFE.sub("?", re.sub(r"[*?\[]", r"[\g<0>]", path))


def _is_plain(form: Form) -> bool:
    return all(len(name) == 1 and plain(name[0]) is not None for name in form.names)


@lru_cache(maxsize=1 << 12)
def forms(pattern: str) -> tuple[Form, ...]:
    """Parse a pattern. Returns its readings: by its wildcards, if a path can match them, and as the path it spells."""
    text = normalized(pattern)
    signs: list[list[re.Match[str]]] = [[]]
    for sign in _SIGN.finditer(text.removesuffix("/")):
        if sign[0] in {"/", "\\/"}:
            signs.append([])
        else:
            signs[-1].append(sign)
    names = [_name(name) for name in signs if name]
    names = [name for name, before in zip(names, [None, *names], strict=False) if name != FOLDERS or before != FOLDERS]
    folder = text.endswith("/")
    readings = list[Form]()
    if names and all(letters for name in names for piece in name for letters in piece):
        readings.append(Form(tuple(names), folder and names[-1] != FOLDERS))
    if "[" in text or "\\" in text:
        readings.append(Form(tuple((tuple(map(_only, name)),) for name in text.rstrip("/").split("/")), folder))
    return tuple(readings)


def _name(signs: Sequence[re.Match[str]]) -> Name:
    """Parse one name, sign by sign."""
    if len(signs) == 1 and signs[0][0].startswith("**"):
        return FOLDERS
    pieces: list[list[Letters]] = [[]]
    for sign in signs:
        if sign[0].startswith("*"):
            pieces.append([])
        else:
            pieces[-1].append(_letters(sign))
    return tuple(map(tuple, pieces))


def _letters(sign: re.Match[str]) -> Letters:
    """Return the letters that a sign matches; none for a set that is not closed or makes no sense."""
    if sign["set"]:
        return _set(sign["set"], negated=bool(sign["not"]))
    if sign[0] == "?":
        return _NO_SLASH
    return () if sign[0][0] == "[" or sign[0] == "\\" else _only(sign[0][-1])


def _is_set(sign: re.Match[str]) -> bool:
    """Tell whether a sign is a character class as people mean it, without a range from back to front."""
    members = _RANGE.finditer(sign["set"] or "")
    return bool(_letters(sign)) and all(
        not member["high"] or member["low"][-1] <= member["high"][-1] for member in members
    )


def _only(letter: str) -> Letters:
    return ((ord(letter), ord(letter)),)


def _set(members: str, *, negated: bool) -> Letters:
    ranges = list[tuple[int, int]]()
    for member in _RANGE.finditer(members):
        if member["name"] is None:
            low = member["low"][-1]
            ranges.append((ord(low), ord(max(low, (member["high"] or low)[-1]))))
        elif member["name"] in _CLASSES:
            ends = [ord(letter) for letter in _CLASSES[member["name"]]]
            ranges += zip(ends[::2], ends[1::2], strict=True)
        else:
            return ()
    return _outside([*(ranges if negated else _outside(ranges)), (_SLASH, _SLASH)])


def _outside(ranges: Iterable[tuple[int, int]]) -> Letters:
    """Return the letters that are in none of the ranges."""
    left, least = list[tuple[int, int]](), 1
    for low, high in sorted(ranges):
        if least < low:
            left.append((least, low - 1))
        least = max(least, high + 1)
    return (*left, (least, _LAST)) if least <= _LAST else tuple(left)


@lru_cache(maxsize=1 << 12)
def _regex(pattern: str) -> re.Pattern[str]:
    readings = forms(pattern)
    return re.compile("|".join(map(_expression, readings)) if readings else "(?!)", re.DOTALL)


def _expression(form: Form) -> str:
    """Translate a reading; what follows a wildcard takes the first place where it fits, as no other fits better."""
    runs: list[list[str]] = [[]]
    for name in form.names:
        if name == FOLDERS:
            runs.append([])
        else:
            runs[-1].append(_name_expression(name))
    *before, last = runs
    parts = ["".join(f"{name}/" for name in run) for run in before]
    if last:
        parts.append("/".join(last) + ("/" if form.folder else r"(?=/|\Z)"))
    folders = "(?:[^/]*+/)*?"
    between = "".join(f"(?>{folders}{part})" for part in parts[1:-1])
    return parts[0] + between + "".join(f"{folders}{part}" for part in parts[1:][-1:])


def _name_expression(name: Name) -> str:
    first, *rest = ("".join(map(_letters_expression, piece)) for piece in name)
    between = "".join(f"(?>[^/]*?{piece})" for piece in rest[:-1])
    return first + between + "".join(f"[^/]*{piece}" for piece in rest[-1:])


def _letters_expression(letters: Letters) -> str:
    if letters == _NO_SLASH:
        return "[^/]"
    if text := plain([letters]):
        return re.escape(text)
    return "[" + "".join(f"{re.escape(chr(low))}-{re.escape(chr(high))}" for low, high in letters) + "]"


def plain(piece: Iterable[Letters]) -> str | None:
    """Return the text that a piece is, or None if it has a wildcard."""
    text = ""
    for letters in piece:
        (low, high), *more = letters
        if more or low != high:
            return None
        text += chr(low)
    return text
