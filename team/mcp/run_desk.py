"""The desk within a run: each tool is a request to the run's keeper, as the run's own `team-mail` makes them."""

from __future__ import annotations

from binascii import a2b_base64, b2a_base64
from collections.abc import Sequence
from pathlib import Path

from ...mail.errors import TeamMailError, UsageError
from ...mail.kinds import ExitCode
from ...personas.running import launcher
from .desk import Filter, Reading, Writing, attached, bounded

_WIDTH = 0  # of no terminal
_FINE = {int(ExitCode.DONE), int(ExitCode.UNREAD)}


class RunDesk:
    """The mail of the run whose `.team/run` is `folder`. `persona` is what the server was told, "" for nothing."""

    def __init__(self, folder: Path, persona: str = "") -> None:
        self._folder = folder
        if persona:
            self._ask(["check", f"--persona={persona}"])  # which refuses another one than the run's own

    def inbox(self, which: Filter) -> str:
        """List mail, newest first, a line for each."""
        words = ["inbox", f"--limit={which.limit}"]
        words += [f"--channel={which.channel}"] if which.channel else ["--unread"] if which.unread else []
        given = {"--from": which.sender, "--type": which.type, "--tag": which.tag}
        return self._ask([*words, *(f"{name}={value}" for name, value in given.items() if value)])

    def read(self, what: Reading) -> str:
        """Return a message, its thread or an attachment, and mark it."""
        if what.attachment:
            words = ["attachment", "--", what.message, what.attachment]
        elif what.thread:
            words = ["thread", "--", what.message]
        else:
            words = ["read", *(["--peek"] if what.peek else []), "--", what.message]
        text = self._ask(words)
        if what.ack:
            self._ask(["ack", "--", what.message])
        if what.tag:
            verb = "rm" if what.tag.startswith("-") else "add"
            self._ask(["tag", verb, "--", what.message, what.tag.removeprefix("-")])
        return bounded(text, f"team-mail read {what.message} in a shell")

    def send(self, letter: Writing) -> str:
        """Send a message or an answer; return its number and who gets it."""
        files = [self._attached(number, path) for number, path in enumerate(letter.attach)]
        given = {"--subject": letter.subject, "--type": letter.type, "--priority": letter.priority, "--key": letter.key}
        words = [f"{name}={value}" for name, value in given.items() if value]
        words += [f"--body={letter.body}", *(f"--to={name}" for name in letter.to)]
        words += [f"--attach={name}" for name, _ in files]
        if letter.reply_to:
            return self._ask(["reply", *words, *(["--all"] if letter.everybody else []), "--", letter.reply_to], files)
        return self._ask(["send", *words], files)

    def search(self, words: str, limit: int) -> str:
        """List messages by their words, best match first."""
        return self._ask(["search", f"--limit={limit}", "--", words]) or "nothing found\n"

    def _attached(self, number: int, path: str) -> tuple[str, str]:
        name, data = attached(self._folder.parent.parent, path)
        return f"{number}/{name}", b2a_base64(data, newline=False).decode()

    def _ask(self, words: Sequence[str], files: Sequence[tuple[str, str]] = ()) -> str:
        """Return what the keeper answers, with its remarks. Raises UsageError, TeamMailError."""
        request: dict[str, object] = {
            "v": launcher.VERSION, "words": [*words], "files": [*files], "stdin": None, "width": _WIDTH,
        }  # fmt: skip
        try:
            answer = launcher.ask(str(self._folder), request)
        except launcher.Refused as refused:
            raise TeamMailError(str(refused)) from None
        told, remarks = (a2b_base64(str(answer[name])).decode(errors="replace") for name in ("stdout", "stderr"))
        code = int(str(answer["exit"]))
        if code not in _FINE:
            error = UsageError if code == int(ExitCode.USAGE) else TeamMailError
            raise error(remarks.strip().removeprefix("team-mail: ") or f"exit {code}")
        return told + remarks
