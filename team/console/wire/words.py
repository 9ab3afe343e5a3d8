"""The words of an agent as they are shown: without what controls a terminal, a progress bar as its last state.

Words come in pieces that may end anywhere, and go on in pieces; put together, these are the text. The newline at the
end of a piece is held back until more comes, so that a text of one line is one line on the wire.
"""

from __future__ import annotations

import re

_SEQUENCE = re.compile(
    "\x1b\\[[0-?]*[ -/]*[@-~]"  # CSI, as colours
    "|\x1b[\\]PX^_](?:(?!\x1b\\\\)[^\x07])*(?:\x07|\x1b\\\\)"  # OSC and others, as titles and links
    "|\x1b[ -/]*[0-OQ-WYZ\\\\`-~]"
)
_OPEN = re.compile("\x1b(?:\\[[0-?]*[ -/]*|[\\]PX^_][^\x07]*|[ -/]*)\\Z")  # a sequence that has not ended
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
_MOST_OPEN = 4_096  # characters of a sequence; a longer one is none


class Words:
    """Makes the text to show of pieces, in their order."""

    def __init__(self) -> None:
        self._held = ""  # the beginning of a sequence, or a carriage return
        self._newlines = 0  # that are not shown yet
        self._is_open = False  # whether something stands on the last line that is shown

    def add(self, text: str) -> str:
        """Return what of the next piece is to be shown now."""
        text = _SEQUENCE.sub("", self._held + text)
        match = _OPEN.search(text, max(0, len(text) - _MOST_OPEN))
        at = match.start() if match else len(text)
        at -= text.endswith("\r", 0, at)
        text, self._held = text[:at], text[at:]
        return self._shown(_CONTROL.sub("", self._collapsed(text.replace("\r\n", "\n"))))

    def break_off(self) -> None:
        """Begin a new message: it stands below an empty line."""
        self._held = ""
        if self._is_open:
            self._newlines = max(2, self._newlines)

    def _collapsed(self, text: str) -> str:
        """Keep of what was written over on a line the last; what is shown already stays, and the next goes below it."""
        if "\r" not in text:
            return text
        first, *rows = (_last(row) for row in text.split("\n"))
        if first and self._is_open and not self._newlines and "\r" in text.partition("\n")[0]:
            first = f"\n{first}"
        return "\n".join([first, *rows])

    def _shown(self, text: str) -> str:
        kept = text.rstrip("\n")
        shown = "\n" * self._newlines + kept if kept else ""
        self._newlines = len(text) - len(kept) + (0 if kept else self._newlines)
        self._is_open = self._is_open or bool(kept)
        return shown


def _last(row: str) -> str:
    return next((part for part in reversed(row.split("\r")) if part), "")
