"""The lines that mark conflicts in a file: letters of one kind, at least 7 of them, and after most a label.

Git writes 7 as a rule, and more for a file that both sides renamed, or where `conflict-marker-size` asks for it.
"""

from __future__ import annotations

import re

MARK = re.compile(rb"^(?:<{7,}|\|{7,}|>{7,}) .*$|^={7,}\r?$", re.MULTILINE)
GREP = r"^(<{7,}|\|{7,}|>{7,}) "  # for `grep -E`: the marks that no heading of a text looks like
_SET = tuple(re.compile(rb"\+" + mark) for mark in (rb"<{7,} ", rb"={7,}\r*$", rb">{7,} "))


def adds_marks(patch: bytes) -> bool:
    """Tell whether a patch adds a whole set of marks to one file, in the order in which every kind of merge leaves it.

    The patch is read line by line, so a hostile one takes no longer.
    """
    if b"+<<<<<<<" not in patch:
        return False
    place = 0
    for row in patch.split(b"\n"):
        if row.startswith(b"diff --git "):
            place = 0
        elif _SET[place].match(row):
            place += 1
            if place == len(_SET):
                return True
    return False
