"""Files that a user names: regular ones, or a descriptor that the shell opened for it, as `<(…)` and `/dev/stdin` are.

Anything else that would be waited for is refused: whoever can write the folder may have put it in the file's place.
"""

from __future__ import annotations

import os
import re
from io import BufferedReader
from pathlib import Path

from ..mail.log.disk import open_file

_DESCRIPTOR = re.compile(r"/dev/(stdin|fd/\d+)|/proc/(self|\d+)/fd/\d+")


def open_given(path: Path) -> BufferedReader:
    """Open a file to read it. Raises OSError, and NotAFile for a pipe, a device or a folder that has a name."""
    if _DESCRIPTOR.fullmatch(os.path.abspath(path)):  # noqa: PTH100 - it need not exist, and no link is followed
        return path.open("rb")
    return open_file(path, follow=True)
