"""Names in a patch: which definitions it removes and adds, and which names its new lines use.

No language is parsed. A definition is a line that begins as one does in most of them; a use is a name on a new line
that is neither in a comment or a text nor given its value there. Where that is not clear, it is no use: who relies on
these names says nothing rather than something wrong.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

_LONGEST = 400  # letters of a line that people wrote; what is longer was made by a program
_SHORTEST = 4  # letters of a name that is not used for many things
_CHECKED = 500  # places of one patch that are looked at; one with more was made by a program
_NAME = r"[^\W\d]\w*"
_WORDS = re.compile(_NAME)
_PROSE = re.compile(
    r"\.(md|rst|txt|adoc|tex|json|jsonl|ya?ml|toml|ini|cfg|lock|csv|tsv|svg|html?|xml|css|s[ac]ss|less|po|pot|map|patch"
    r"|diff|snap|golden|out|log|min\.js)$|(^|/)(LICENSE|CHANGELOG|NEWS|AUTHORS|README)[^/]*$",
    re.IGNORECASE,
)
_BEFORE = (
    r"(?:(?:export|default|public|private|protected|internal|static|final|abstract|async|pub(?:\([^)]*\))?|unsafe|"
    r"extern|inline|virtual|override|sealed|open|data|declare|constexpr|suspend|partial)\s+)*"
)
_DEFINITIONS = (
    # anywhere in a line: functions and types; `func (r *T) name` is a method of Go
    re.compile(
        rf"^\s*{_BEFORE}(?:def|class|fn|func|function\*?|struct|enum|trait|interface|protocol|record|sub|proc|macro)"
        rf"\s+(?:\([^)]*\)\s*)?({_NAME})\b"
    ),
    re.compile(rf"^\s*#\s*define\s+({_NAME})\b"),
    # only where nothing is around them: values
    re.compile(rf"^{_BEFORE}(?:type|typedef|const|let|var|val|module|object)\s+(?:mut\s+)?({_NAME})\b"),
    re.compile(rf"^({_NAME})\s*(?::[^=]+)?=(?!=)"),
    re.compile(rf"^(?!return\b|else\b|import\b|from\b)[^\W\d][\w\s*&:<>,]*[\s*&]({_NAME})\s*\([^;:]*\)?\s*\{{?\s*$"),
)
_FUNCTION = re.compile(rf"^\s*{_BEFORE}(?:def|fn|func|function\*?|sub|proc|macro)\b|^\s*#\s*define\b")
_ODD = re.compile(r"\w_\w|[^\W\d_]\d|[a-z][A-Z]")  # no word of prose looks so; other names need code around them
_IMPORT = re.compile(r"^\s*(?:from\s+\S+\s+)?import\b|^\s*(?:pub\s+)?use\s+\w+::|^\s*export\s*\{")
_COMMENT = re.compile(r"(?:^|\s)(?:#(?!\s*define)|//|--\s|/\*|\*\s|;;|%%)")
_FILE = re.compile(r'^\+\+\+ (?:b/(.*?)\t?|/dev/null|"b/(.*)")$')
_HUNK = re.compile(r"^@@ -\d+(?:,\d+)? \+(\d+)(?:,\d+)? @@")


@dataclass(frozen=True)
class Place:
    """A line of a file, with its text."""

    file: str
    line: int
    text: str


@dataclass
class PatchNames:
    """What one patch does to names. `renamed` has the one definition that took the place of a removed one."""

    removed: dict[str, str] = field(default_factory=dict[str, str])  # by name, the file it was defined in
    defined: set[str] = field(default_factory=set[str])
    renamed: dict[str, str] = field(default_factory=dict[str, str])
    lines: list[tuple[str, Place]] = field(default_factory=list[tuple[str, Place]])  # those that begin with + or -

    def uses(self, wanted: Collection[str]) -> dict[str, list[Place]]:
        """Return where the patch begins to use some names: in files that have more of them with it than without."""
        counts: Counter[tuple[str, str]] = Counter()
        places: dict[str, list[Place]] = {}
        for sign, place in self.lines if wanted else ():
            for name in {*_WORDS.findall(place.text)} & {*wanted}:
                counts[place.file, name] += 1 if sign == "+" else -1
                if sign == "+":
                    places.setdefault(name, []).append(place)
        if sum(map(len, places.values())) > _CHECKED:
            return {}
        every = ((name, [each for each in rows if counts[each.file, name] > 0]) for name, rows in places.items())
        return {name: fresh for name, rows in every if (fresh := [each for each in rows if is_use(each.text, name)])}


def is_code(file: str) -> bool:
    """Tell whether names in a file are likely to be those of a program."""
    return not _PROSE.search(file)


def definition(text: str) -> str | None:
    """Return the name that a line defines, or None."""
    if len(text) > _LONGEST:
        return None
    return next((match[1] for pattern in _DEFINITIONS if (match := pattern.match(text))), None)


def is_use(text: str, name: str) -> bool:
    """Tell whether a line uses a name that is defined elsewhere: at one place of it at least."""
    if len(text) > _LONGEST or definition(text) == name or _takes_arguments(text) or _binds(text, name):
        return False
    own = re.escape(name)
    pattern = rf"\b{own}\b" if _ODD.search(name) else rf"(?<=[.@])\b{own}\b|(?<=::){own}\b|\b{own}(?=\(|\[|\.\w|::)"
    if _IMPORT.match(text):
        pattern = rf"\b{own}\b"
    return any(not is_aside(text[: match.start()]) for match in re.finditer(pattern, text))


def is_aside(before: str) -> bool:
    """Tell whether what stands behind these letters of a line is in a comment or in a text."""
    return bool(_COMMENT.search(before)) or any(before.count(quote) % 2 for quote in "\"'`")


def names_in(diff: str) -> PatchNames:
    """Read the names of a patch without context lines, as `git diff -U0` prints it."""
    names = PatchNames()
    for file, hunk in _hunks(diff):
        _define(names, file, hunk)
        names.lines += [(sign, place) for sign, place in hunk if len(place.text) <= _LONGEST]
    for name in names.defined:
        names.removed.pop(name, None)
    return names


def _define(names: PatchNames, file: str, hunk: list[tuple[str, Place]]) -> None:
    """Note the definitions that a hunk removes and adds."""
    gone, come = (
        [name for each, place in hunk if each == sign and (name := definition(place.text))] for sign in ("-", "+")
    )
    names.defined.update(come)
    fresh = [name for name in come if name not in gone]
    for name in gone:
        if len(name) >= _SHORTEST:
            names.removed.setdefault(name, file)
            if len(fresh) == 1 and len({*gone} - {*come}) == 1:
                names.renamed[name] = fresh[0]


def _hunks(diff: str) -> Iterator[tuple[str, list[tuple[str, Place]]]]:
    """Yield the changed lines of each hunk of code, with the number that they have in the new file."""
    file, old, line, hunk, before = "", "", 0, list[tuple[str, Place]](), ""
    for row in [*diff.split("\n"), "@@ -0 +0 @@"]:
        start = _HUNK.match(row)
        if start or row.startswith("diff --git "):
            if hunk and is_code(file or old):
                yield file or old, hunk
            hunk, line = [], int(start[1]) if start else 0
        elif not line and row.startswith("--- "):
            old, before = row.removeprefix("--- a/").rstrip("\t"), row
        elif not line and before and (name := _FILE.match(row)):
            file, before = name[1] or name[2] or "", ""
        elif line and row.startswith("+"):
            hunk.append(("+", Place(file, line, row[1:])))
            line += 1
        elif line and row.startswith("-"):
            hunk.append(("-", Place(file or old, line, row[1:])))


def _takes_arguments(text: str) -> bool:
    """Tell whether a line begins a function, whose arguments are names of its own."""
    return bool(_FUNCTION.match(text) or _DEFINITIONS[-1].match(text))


def _binds(text: str, name: str) -> bool:
    """Tell whether a line gives the name a meaning of its own: a value, an argument, a loop, another import."""
    own = re.escape(name)
    return bool(
        re.search(rf"\b{own}\s*(?::[^=()]*)?=(?!=)|\bas\s+{own}\b|\b(?:for|let|var|const|val|mut)\s+{own}\b", text)
        or re.search(rf"\b(?:lambda|catch)\b[^:]*\b{own}\b|[|(,]\s*{own}\s*:(?!:)|^\s*{own}\s*:(?!:)", text)
        or re.search(rf"\b{own}\b[^()]*\bin\b[^()]*:\s*$|=>\s*{own}\b|\b{own}\s*=>", text)
    )
