"""Text of others made harmless for a terminal: what controls it, turns its direction or cannot be seen is escaped."""

from __future__ import annotations

import re

# C0 except newline and tab, DEL and C1; bidirectional controls; zero-width, filler, annotation, tag and line separator
# characters; variation selectors, which can carry hidden text, except that of emoji; lone surrogates.
_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e"
    "\u2060-\u206f\u3164\ud800-\udfff\ufe00-\ufe0e\ufeff\uffa0\ufff9-\ufffb\U000e0000-\U000e0fff]"
)
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")
_BREAKS = re.compile(r"[\n\t]")


def clean(text: str) -> str:
    r"""Escape characters that control a terminal or are invisible: `\x1b`, `\u202e`. Newlines and tabs stay."""
    return _UNSAFE.sub(_escaped, text)


def storable(text: str) -> str:
    """Escape what is no text to a log: NUL and lone surrogates."""
    return _UNSTORABLE.sub(_escaped, text)


def line(text: str) -> str:
    """Escape as `clean` does, and newlines and tabs too, so that the text is one line."""
    return _BREAKS.sub(_escaped, clean(text))


def _escaped(match: re.Match[str]) -> str:
    code = ord(match[0])
    known = {"\n": "\\n", "\t": "\\t", "\r": "\\r"}.get(match[0])
    return known or (f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}")  # noqa: PLR2004
