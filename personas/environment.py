"""The harmless part of an environment: what programs that others wrote, or that others configured, may know of ours."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

PASSED = re.compile(
    r"PATH|HOME|USER|LOGNAME|SHELL|LANG|LC_\w+|TZ|TMPDIR|XDG_\w+|(DY)?LD_LIBRARY_PATH|(?i:(http|https|ftp|all|no)_proxy)"
    r"|SSL_CERT_(FILE|DIR)|NODE_EXTRA_CA_CERTS|(REQUESTS|CURL)_CA_BUNDLE"
)


PLACEHOLDER = re.compile(r"(?<!\$)\{([a-z][a-z_]*)\}")
_NOT_OURS = {"print"}  # as in awk '{print}'


def filled(word: str, values: Mapping[str, str]) -> str:
    """Fill in the placeholders of a word of a command, as in `--port={port}`; braces around other names stay."""
    return PLACEHOLDER.sub(lambda match: values.get(match[1], match[0]), word)


def unfilled(command: Iterable[str], known: Sequence[str]) -> str | None:
    """Say which word in braces in a command is not among the `known` placeholders, or None."""
    for word in command:
        for match in PLACEHOLDER.finditer(word):
            if match[1] not in {*known, *_NOT_OURS}:
                return f"{match[0]} is not a placeholder; use one of {', '.join(known)}, in braces"
    return None


def reaching(env: Iterable[str], given: Mapping[str, str]) -> list[str]:
    """Return the names of variables that a list lets through: `NAME`, or `NAME if OTHER` where OTHER is set, too."""
    items = (item.partition(" if ") for item in env)
    return [name for name, _, condition in items if not condition or given.get(condition)]


def surroundings() -> Mapping[str, str]:
    """Return the variables of this process, decoded anew only after a change: each run asks for them several times."""
    return _seen().every


def harmless() -> dict[str, str]:
    """Return the variables of this process that anybody may see."""
    return {**_seen().harmless}


class _Seen(NamedTuple):
    raw: Mapping[bytes, bytes]
    every: Mapping[str, str]
    harmless: Mapping[str, str]


def _seen() -> _Seen:
    """Return the environment as it is now: the one that was seen last, unless a byte of it has changed."""
    raw: Mapping[bytes, bytes] = getattr(os.environ, "_data", os.environb)  # which `os.environ` decodes at each look
    if not _last or _last[0].raw != raw:
        copy = {**raw}
        every = {os.fsdecode(name): os.fsdecode(value) for name, value in copy.items()}
        _last[:] = [_Seen(copy, every, {name: value for name, value in every.items() if PASSED.fullmatch(name)})]
    return _last[0]


_last: list[_Seen] = []
