"""What commands read from their surroundings: the persona that acts, the body, the fields of a letter."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..directory import Directory, no_program
from ..errors import UnknownRecipient, UsageError
from ..letter import Letter
from ..log.event import strict_json
from ..mailbox import Mailbox
from ..message import Message
from ..open import open_mailbox
from ..process import identity, identity_or_none, run_id
from .output import are_terminals


def own_mailbox(persona: str | None, *, or_human: bool = False) -> tuple[str, Mailbox]:
    """Return the persona that acts and the team's mail; with `or_human`, the human acts if nobody is named.

    Raises as `identity`, and UnknownRecipient for a name that is neither on the team nor in its mail.
    """
    known = "" if or_human else identity(persona)
    mailbox = open_mailbox()
    name = known or identity_or_human(persona, mailbox.directory)
    try:
        return mailbox.directory.checked(name), mailbox
    except UnknownRecipient:
        if name not in mailbox.people():  # a persona that left the team still has its mail
            raise
        return name, mailbox


def identity_or_human(persona: str | None, directory: Directory) -> str:
    """Return the persona that acts as `identity` does, or the team's human if neither names one."""
    return identity_or_none(persona) or directory.human


def body(text: str | None, file: Path | None) -> str:
    """Return the body: `--body TEXT`, `--body -`, `--body-file`, else piped input, else from an editor."""
    if text is not None and file is not None:
        raise UsageError("--body and --body-file are both given; use one")
    if file is not None:
        try:
            return _decoded(file.read_bytes(), str(file))
        except OSError as error:
            raise UsageError(f"cannot read {file}: {error.strerror}") from None
    if text is not None and text != "-":
        return text
    if text == "-" and sys.stdin is None:  # pyright: ignore[reportUnnecessaryComparison] - a closed one is None
        raise UsageError("standard input is closed: there is no text to read")
    if text == "-" or _piped():
        return _decoded(sys.stdin.buffer.read(), "standard input")
    return _edited() if are_terminals(sys.stdin, sys.stdout) else ""


def letter(mailbox: Mailbox, sender: str, to: Sequence[str], cc: Sequence[str], **fields: Any) -> Letter:
    """Return the letter that a command's options describe. Raises UsageError, UnknownRecipient."""
    fields["payload"] = payload(fields["payload"])
    recipients, copied = [[name for names in addresses for name in names.split(",")] for addresses in (to, cc)]
    sender = no_program(mailbox.directory.checked_sender(sender))
    return Letter(sender, recipients, cc=copied, run=run_id(), **fields)


def first_mark(mailbox: Mailbox, persona: str, verb: str, message: Message) -> tuple[dict[str, Any] | None, str]:
    """Return who gave a message a mark first if that was another run, as seq, ts and run, and a sentence about it."""
    mark = mailbox.marked_by(persona, verb, [message.id]).get(message.id)
    if mark is None or mark["run"] == run_id():
        return None, ""
    who = f"run {mark['run']}" if mark["run"] else f"{persona}, outside of a run"
    return mark, f"team-mail: {message.seq} was {verb} first by {who}, at {mark['ts']}"


def payload(text: str | None) -> Any:
    """Return the JSON of `--payload`, or of the file that `@FILE` names. Raises UsageError."""
    if text is None:
        return None
    if text.startswith("@"):
        try:
            text = Path(text[1:]).read_text()
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"cannot read {text[1:]}: {error}") from None
    return strict_json(text)


def _piped() -> bool:
    """Return whether standard input is a pipe or a file, rather than a terminal or /dev/null."""
    try:
        mode = os.fstat(sys.stdin.fileno()).st_mode
    except (OSError, ValueError, AttributeError):
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISREG(mode)


def _decoded(data: bytes, where: str) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise UsageError(
            f"{where} is not UTF-8 at byte {error.start}; convert it (iconv -f latin1 -t utf-8) or attach the file"
        ) from None


def _edited() -> str:
    import subprocess
    import tempfile

    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR")
    if not editor:
        raise UsageError("no body: give --body, --body-file or a pipe, or set EDITOR")
    with tempfile.NamedTemporaryFile(suffix=".md", prefix="team-mail-") as draft:
        ended = subprocess.run(["sh", "-c", f'{editor} "$1"', "sh", draft.name], check=False)  # noqa: S603, S607
        if ended.returncode:
            raise UsageError(f"{editor} exited with {ended.returncode}; nothing was sent")
        text = _decoded(Path(draft.name).read_bytes(), "the draft")
    if not text.strip():
        raise UsageError("the draft is empty; nothing was sent")
    return text
