"""The words of a search, as many as one may have: each is looked for in the text of all mail."""

from __future__ import annotations

import re

from ..errors import UsageError

MOST_WORDS = 30
LONGEST_WORD = 200  # characters


def searched(text: str) -> list[str]:
    """Return the words of a text, each once. Raises UsageError for none, for too many, and for one that is too long."""
    words = sorted(set(re.findall(r"\w+", text.lower())))
    if not words:
        raise UsageError("search for what? give at least one word")
    if len(words) > MOST_WORDS or len(max(words, key=len)) > LONGEST_WORD:
        raise UsageError(f"search for at most {MOST_WORDS} words, each of at most {LONGEST_WORD} characters")
    return words
