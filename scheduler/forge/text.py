"""Text on its way from and to the forge.

What comes from there is somebody else's: it is escaped, cut and quoted, so that it can neither control a terminal nor
look like a message of the team. What goes there may hold names and paths that agents chose: they stand in code spans,
in which nothing mentions anybody, closes an issue, or is HTML.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from ...mail.text.escape import clean, line
from ...mail.text.inert import inert

TITLE, BODY = 200, 8_000  # characters of a title, and of a text, that are passed on
_LOGIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,38}(\[bot\])?")
_CUT = " […]"
_MARK = "team-mail"


def one_line(text: object, most: int = TITLE) -> str:
    """Return somebody's text in one line, escaped and cut."""
    whole = line(str(text or "").strip())
    return whole if len(whole) <= most else whole[:most] + _CUT


def login(name: object) -> str:
    """Return a login as `@name`; what is none is nobody's."""
    return f"@{name}" if isinstance(name, str) and _LOGIN.fullmatch(name) else "somebody"


def quoted(text: object, most: int = BODY) -> str:
    """Return somebody's text as a quotation: each line begins with `> `."""
    whole = clean(str(text or "").replace("\r\n", "\n").replace("\r", "\n").strip())
    whole = whole if len(whole) <= most else whole[:most] + _CUT
    return "\n".join(f"> {row}" for row in whole.split("\n"))


def code(text: object, most: int = TITLE) -> str:
    """Return a name or a path as a code span of Markdown, in which nothing has a meaning, and which is no marker.

    A squashed pull request makes a commit's message of it, in which a code span counts for nothing: so it is inert.
    """
    plain = inert(one_line(text, most)).replace("`", "'").replace("<!--", "<!- -")
    return f"`{plain or ' '}`"


def codes(texts: Iterable[object], most: int = 5) -> str:
    """Return some names or paths as code spans, with the number of those that are left out."""
    every = [*texts]
    more = f" and {len(every) - most} more" if len(every) > most else ""
    return ", ".join(code(each) for each in every[:most]) + more


def marker(key: str) -> str:
    """Return a comment of Markdown by which a text of the team is found again; nobody sees it."""
    return f"<!-- {_MARK} {key} -->"


def is_marked(body: str) -> bool:
    """Tell whether a text ends as those of the team do, with a marker."""
    return body.rstrip().rpartition("\n")[2].startswith(f"<!-- {_MARK} ")


def between(body: str, first: str, last: str, new: str) -> str:
    """Return a body in which what stands from one marker to the other is new; without them it is put at its end."""
    before, found, rest = body.partition(first)
    _, ended, after = rest.partition(last)
    if found and ended:
        return before + new + after
    return f"{body.rstrip()}\n\n{new}" if body.strip() else new
