"""What Aider prints, as text: its answers, a report of the tokens after each, and errors of the service between them.

It exits with 0 whatever happened, so that a run whose key was refused looks like one that had nothing to do.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from ...mail.render import line
from .transcript import TranscriptBuilder

START = re.compile(r"^Aider v\d", re.MULTILINE)
_HEADER = re.compile(r"(Aider v\d|(Main m|Weak m|Editor m|M)odel: |Git repo: |Repo-map: |https://aider\.chat/)")
_ERROR = re.compile(r"litellm\.\w+: .*")  # the words of an answer that broke off may stand before it
_REPORT = re.compile(r"Tokens: .* received\.")
_RETRY = re.compile(r"Retrying in [\d.]+ seconds\.\.\.$")
_MAX_ERROR = 500  # characters


def read_aider(rows: Iterable[str], builder: TranscriptBuilder) -> None:
    """Read the lines of an output from Aider's first one on.

    An answer counts as one once its report has come. An error that is tried again is a complaint, and one after which
    nothing more is said is how the run failed.
    """
    words: list[str] = []
    error: list[str] = []  # it is printed in lines of 80 characters, up to the next try or an empty line
    ended = False
    for row in rows:
        if _REPORT.match(row):
            builder.say("\n".join(words).strip() or builder.text)
            words, error = [], []
        elif _RETRY.match(row):
            builder.complain(_joined(error))
            words, error = [], []
        elif failure := _ERROR.search(row):
            words, error, ended = [], [failure[0]], False
        elif error:
            ended = ended or not row.strip()
            error += [] if ended else [row]
        elif not _HEADER.match(row):
            words.append(row)
    if not builder.text:  # after a report come names of files and notes of its own
        builder.say("\n".join(words).strip())
    builder.end(_joined(error) or None)


def _joined(rows: list[str]) -> str:
    return line(" ".join(" ".join(rows).split()))[:_MAX_ERROR]
