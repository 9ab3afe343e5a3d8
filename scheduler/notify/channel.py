"""The ways that notices go: a signed webhook, ntfy, the desktop, a command. Each tells what came of one attempt.

Secrets are read from their file for each notice, so that they can be changed at any time, and stand in no message.
"""

from __future__ import annotations

import email.utils
import html
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple, Protocol
from urllib.parse import urlsplit

from ...mail.log.disk import reason_of
from ...mail.text.escape import line
from ...personas.environment import harmless
from ...personas.web.secret import read_secret, read_token
from ..settings.notify import NotifySettings
from .request import GONE, LIMIT, Refused, Reply, Resolve, post, resolve
from .signature import parse_secrets, signed

_SKEW = timedelta(minutes=2)
_NTFY_MESSAGE = 4_000  # bytes; ntfy takes a longer one for a file
_ERRORS = 500
_SAID = 200  # characters of what a command printed on standard error
_HINT = "correct its clock or this one"


class Message(NamedTuple):
    """What is sent: the JSON for programs, and title and text for people. `at` is now."""

    id: str
    body: bytes
    title: str
    text: str
    is_urgent: bool
    at: datetime


class Answer(NamedTuple):
    """What came of an attempt: `why` is empty if it was taken. After `is_gone` there are no more attempts."""

    why: str = ""
    is_gone: bool = False


class Channel(Protocol):
    """A way that notices go."""

    def trouble(self) -> tuple[str, str] | None:
        """Return the setting that keeps it from working, and why; None if nothing does."""
        ...

    def send(self, message: Message) -> Answer:
        """Make one attempt, which takes ten seconds at most."""
        ...


def make_channel(
    settings: NotifySettings, folder: Path, *, limit: float = LIMIT, resolver: Resolve = resolve
) -> Channel:
    """Make the channel of a table `[notify.NAME]`.

    Args:
        settings: The table.
        folder: Where a command is run.
        limit: Seconds that an attempt may take.
        resolver: Finds the addresses of a host.
    """
    file = Path(settings.secret_file) if settings.secret_file else None
    if settings.kind == "webhook" and file:
        return Webhook(settings.url or "", file, limit, resolver)
    if settings.kind == "ntfy":
        return Ntfy(settings.url or "", file, settings.console, limit, resolver)
    return Command(settings.command or (), folder, limit) if settings.kind == "command" else Desktop(limit)


class Webhook:
    """A POST of the JSON with the headers of Standard Webhooks."""

    def __init__(self, url: str, secret_file: Path, limit: float = LIMIT, resolver: Resolve = resolve) -> None:
        self._url, self._file, self._limit, self._resolver = url, secret_file, limit, resolver

    def trouble(self) -> tuple[str, str] | None:
        """Return what is wrong with the file of the secrets."""
        try:
            parse_secrets(read_secret(self._file))
        except ValueError as error:
            return "secret_file", str(error)
        return None

    def send(self, message: Message) -> Answer:
        """Make one attempt."""
        try:
            secrets = parse_secrets(read_secret(self._file))
            headers = signed(secrets, message.id, int(message.at.timestamp()), message.body)
            headers |= {"Content-Type": "application/json", "User-Agent": "team-mail"}
            reply = post(self._url, message.body, headers, limit=self._limit, resolver=self._resolver)
        except (Refused, ValueError) as error:
            return Answer(str(error))
        return _judged(reply, message.at)


class Ntfy:
    """A message to a topic, with title, priority and a link; never with a button that does something."""

    def __init__(
        self, url: str, token_file: Path | None, console: str | None, limit: float = LIMIT, resolver: Resolve = resolve
    ) -> None:
        parts = urlsplit(url)
        above, _, self._topic = parts.path.rstrip("/").rpartition("/")
        self._server = parts._replace(path=f"{above}/", query="").geturl()
        self._file, self._console, self._limit, self._resolver = token_file, console, limit, resolver

    def trouble(self) -> tuple[str, str] | None:
        """Return what is wrong with the file of the token."""
        try:
            self._token()
        except ValueError as error:
            return "secret_file", str(error)
        return None

    def send(self, message: Message) -> Answer:
        """Make one attempt."""
        document = {
            "topic": self._topic, "title": message.title, "priority": 4 if message.is_urgent else 3,
            "message": message.text.encode()[:_NTFY_MESSAGE].decode(errors="ignore"),
        }  # fmt: skip
        document |= {"click": self._console} if self._console else {}
        headers = {"Content-Type": "application/json", "User-Agent": "team-mail"}
        token = ""
        try:
            token = self._token()
            headers |= {"Authorization": f"Bearer {token}"} if token else {}
            encoded = json.dumps(document).encode()
            reply = post(self._server, encoded, headers, limit=self._limit, resolver=self._resolver)
        except (Refused, ValueError) as error:
            return Answer(str(error))
        excerpt = reply.excerpt.replace(token, "…") if token else reply.excerpt
        return _judged(reply._replace(excerpt=excerpt), message.at)

    def _token(self) -> str:
        """Return the token, "" if there is none. Raises ValueError."""
        return read_token(self._file) if self._file else ""


class Desktop:
    """A message on this machine's screen, by notify-send or osascript."""

    def __init__(self, limit: float = LIMIT) -> None:
        self._limit = limit

    def trouble(self) -> tuple[str, str] | None:
        """Return what is missing."""
        program = _desktop("", "", is_urgent=False)[0]
        if shutil.which(program):
            return None
        return "kind", f'is "desktop", and {program} is not in PATH: install it (Debian: libnotify-bin)'

    def send(self, message: Message) -> Answer:
        """Make one attempt."""
        command = _desktop(message.title, message.text, is_urgent=message.is_urgent)
        return _run(command, b"", Path.cwd(), dict(os.environ), self._limit)


class Command:
    """A command of the user's own, which gets the JSON on standard input, and is to end with exit code 0."""

    def __init__(self, command: Sequence[str], folder: Path, limit: float = LIMIT) -> None:
        self._command, self._folder, self._limit = command, folder, limit

    def trouble(self) -> tuple[str, str] | None:
        """Return why it cannot be run."""
        program = self._command[0]
        is_there = (self._folder / program).exists() if "/" in program else shutil.which(program)
        return None if is_there else ("command", f"names {program!r}, which is not there: install or correct it")

    def send(self, message: Message) -> Answer:
        """Make one attempt."""
        return _run(self._command, message.body, self._folder, harmless(), self._limit)


def _judged(reply: Reply, at: datetime) -> Answer:
    """Take a 2xx for taken, and 410 for the last word."""
    if reply.is_taken:
        return Answer()
    if reply.is_redirect:
        return Answer(f"answered {reply.status}, a redirect, which is not followed: write where it leads to into url")
    if reply.status == GONE:
        return Answer("answered 410, which says that nothing is wanted there any more", is_gone=True)
    said = f": {reply.excerpt}" if reply.excerpt else ""
    skew = _skew(reply.date, at) if reply.status < _ERRORS else ""  # of a server that is broken it says nothing
    return Answer(f"answered {reply.status}{said}{skew}")


def _skew(date: str, at: datetime) -> str:
    """Tell that the clock of an endpoint differs from this one, as it then refuses what is signed."""
    try:
        theirs = email.utils.parsedate_to_datetime(date)
        apart = abs(theirs.astimezone() - at)
    except (ValueError, TypeError, OverflowError):
        return ""
    minutes = apart.total_seconds() / 60
    return f"; its clock is {minutes:.0f} min off: {_HINT}" if apart > _SKEW else ""


def _desktop(title: str, text: str, *, is_urgent: bool) -> list[str]:
    if sys.platform == "darwin":
        script = ["on run argv", "display notification (item 2 of argv) with title (item 1 of argv)", "end run"]
        return ["osascript", *(word for part in script for word in ("-e", part)), title, text]
    urgency = "critical" if is_urgent else "normal"
    return ["notify-send", "--app-name=team-mail", f"--urgency={urgency}", "--", title, html.escape(text, quote=False)]


def _run(command: Sequence[str], given: bytes, folder: Path, environ: dict[str, str], limit: float) -> Answer:
    """Run a command with bytes on standard input; end it, with what it started, once its time is over."""
    with tempfile.TemporaryFile() as stdin, tempfile.TemporaryFile() as stderr:
        stdin.write(given)
        stdin.seek(0)
        try:
            process = subprocess.Popen(  # noqa: S603 - the user's own command
                command, cwd=folder, env=environ, stdin=stdin, stdout=subprocess.DEVNULL, stderr=stderr,
                start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            return Answer(f"{command[0]} cannot be started: {reason_of(error)}")
        try:
            code = process.wait(limit)
        except subprocess.TimeoutExpired:
            code = None
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        stderr.seek(0)
        said = line(stderr.read(4 * _SAID).decode(errors="replace").strip())[:_SAID]
    if code is None:
        return Answer(f"{command[0]} did not end within {limit:g} s")
    return Answer() if code == 0 else Answer(f"{command[0]} ended with {code}" + (f": {said}" if said else ""))
