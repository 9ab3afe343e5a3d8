"""Whether the last message of an agent asks something, or only ends in a courtesy.

A message asks if its last paragraph ends with a question mark once code, quotes and markup are gone; a list of choices
below the question is part of it. Sentences that say goodbye ("Let me know …", "Anything else?") are passed over. An
offer to do more ("Would you like me to …?") is told apart, because it asks only where nothing was done.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_CODE = re.compile(r"(?ms)^[ \t]*(```|~~~).*?(^[ \t]*\1[^\n]*$|\Z)")
_ASIDE = re.compile(r"(?m)^[ \t]*[>|].*$")  # quotes and tables
_ITEM = re.compile(r"^[ \t]*(?:[-*+•]|\(?(?:\d{1,2}|[A-Za-z])[.)])[ \t]+")
# Agents print anything, so each of these looks at a character once, however many of a kind stand in a row.
_MARKUP = re.compile(r"[*_`~#]+|!?\[([^\[\]]*)\]\([^\[)]*\)")
_LAST = re.compile(r"[\w?\uff1f\u061f.!\u2026]")  # of a sentence
_GAP = re.compile(r"(?<![^\w\s])[^\w\s]+\s+")  # behind a word: between sentences, if there is an end in it
_END = re.compile(r"[.!?\uff1f\u061f\u2026]")
_MOST = 100_000  # characters, from the end, in which a question is looked for
_MARKS = ("?", "\uff1f", "\u061f")
_GOODBYE = re.compile(
    r"""(?ix)
    (please\s+)? (just\s+)? (let\s+me\s+know|tell\s+me|advise|confirm|feel\s+free|reach\s+out)\b [^?]*
    | (thanks|thank\s+you|cheers|happy\s+to\s+(help|adjust|change|do))\b [^?]*
    | (is\s+there\s+|do\s+you\s+(need|want|have)\s+|can\s+i\s+help\s+(you\s+)?with\s+|(shall|should|can)\s+i\s+do\s+)?
      (anything|something|any\s+(more|other|further)\s*(questions?|changes?|requests?)?|any\s+questions?)
      (\s+(else|more|further))? .{0,60}
    | (so,?\s+)? what('s|\s+is)\s+next\b .{0,40}
    | what\s+(else\s+)?(would\s+you\s+like|do\s+you\s+want)\s+(me\s+)?to\s+do\s+next\b .{0,40}
    | what\s+else\b .{0,60}
    | how\s+(else\s+)?(can|may)\s+i\s+(help|assist)\b .{0,40}
    | (does|do)\s+(that|this|it|these)\s+(help|make\s+sense|look\s+(good|right|ok(ay)?)|sound\s+good|work\s+for\s+you) .{0,20}
    | (sounds?|looks?)\s+good .{0,20} | make(s)?\s+sense .{0,10} | (ok(ay)?|right|ready|deal) .{0,10}
    """  # noqa: E501
)
_OFFER = re.compile(
    r"""(?ix)
    (so,?\s+|and\s+|or\s+|next,?\s+|if\s+so,?\s+|alternatively,?\s+)?
    ( would\s+you\s+(like|prefer|want)\b | do\s+you\s+want\b | want\s+me\b | do\s+you\s+need\s+me\b | (shall|may|can|could)\s+i\b
    | should\s+i\s+(also|go\s+ahead|proceed|continue|start|begin|move\s+on|now|next|do\s+(that|this|it|so))\b
    | should\s+we\s+(also|go\s+ahead|proceed|continue)\b | interested\s+in\b | how\s+about\s+i\b | ready\s+for\s+me\b ) .*
    """  # noqa: E501
)
_CHOICE = re.compile(r"(?i)\b(or|versus|vs)\b(?!\s+(not|anything|something|should\s+(i|we)\s+stop)\b)")


class Asked(NamedTuple):
    """What a message asks: its last paragraph, the question in it, and whether that is no more than an offer."""

    text: str
    question: str
    is_offer: bool = False


def asked_in(message: str) -> Asked | None:
    """Return what the last message of an agent asks; None if it asks nothing."""
    text = "\n".join(message.splitlines())
    paragraph = _last_paragraph(_ASIDE.sub("", _CODE.sub("", text)[-_MOST:]))
    sentences = _sentences(paragraph)
    while sentences and _GOODBYE.fullmatch(sentences[-1]):
        sentences.pop()
    if not sentences or not sentences[-1].endswith(_MARKS):
        return None
    last = sentences[-1]
    return Asked(paragraph, last, bool(_OFFER.fullmatch(last)) and not _CHOICE.search(last))


def _last_paragraph(text: str) -> str:
    """Return the last paragraph that says more than goodbye, with the choices listed below it."""
    parts = [part.strip("\n") for part in re.split(r"\n[ \t]*\n", text) if part.strip()]
    below = ""
    while parts:
        part = parts.pop()
        rows = part.split("\n")
        head = _lead(rows)
        if below or head:
            return "\n".join(row for row in (part, below) if row)
        if not parts:
            return part
        if all(map(_ITEM.match, rows)) and _flat(parts[-1]).endswith(_MARKS):
            below = part
        elif not (all(map(_GOODBYE.fullmatch, _sentences(part)))):
            return part
    return ""


def _lead(rows: list[str]) -> str:
    """Return the question above a list of choices, "" if there is none."""
    end = next((number for number, row in enumerate(rows) if _ITEM.match(row)), len(rows))
    lead = _flat("\n".join(rows[:end]))
    return lead if 0 < end < len(rows) and lead.endswith(_MARKS) and all(map(_ITEM.match, rows[end:])) else ""


def _sentences(paragraph: str) -> list[str]:
    """Split a paragraph into sentences without markup; choices below a question are left out."""
    rows = paragraph.split("\n")
    flat, begin, parts = _lead(rows) or _flat(paragraph), 0, list[str]()
    for gap in _GAP.finditer(flat):
        if end := _END.search(flat, gap.start(), gap.end()):
            parts.append(flat[begin : end.end()])
            begin = gap.end()
    return [each for each in (_bare(part).strip() for part in (*parts, flat[begin:])) if each]


def _flat(paragraph: str) -> str:
    """Return a paragraph in one line, without markup and what stands behind its last word."""
    rows = (_ITEM.sub("", row, count=1) for row in paragraph.split("\n"))
    return _bare(_MARKUP.sub(lambda match: match[1] or "", " ".join(row.strip() for row in rows)).strip())


def _bare(text: str) -> str:
    """Return a text without what stands behind its last word or mark."""
    end = next((at for at in range(len(text), 0, -1) if _LAST.match(text, at - 1)), 0)
    return text[:end]
