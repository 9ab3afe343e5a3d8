"""Names that somebody else chose, in a text that a forge reads: it finds nothing there to close, to mention or to skip.

GitHub and those like it look for `closes #1`, `@name` and `[skip ci]` in the messages of commits, whatever stands
around them, and a squashed pull request makes such a message of its title and body. So a space takes each apart, which
is to be seen: letters that nobody sees would make names that nobody can type.
"""

from __future__ import annotations

import re

_MEANT = re.compile(
    r"#(?=\d)"  # an issue, also as `owner/repo#1`
    r"|\bgh-(?=\d)"
    r"|/(?:issues|pull|pulls|merge_requests)/(?=\d)"  # the end of an address of one
    r"|(?<![a-z0-9_])@(?=[a-z0-9])"  # but not what stands within an address of mail
    r"|\[(?=(?:skip|ci|no|actions)[ -])",
    re.IGNORECASE,
)


def inert(text: str) -> str:
    """Return a text with a space in each reference to an issue or a person, and in each word to a CI."""
    return _MEANT.sub(lambda match: f"{match[0]} ", text)
