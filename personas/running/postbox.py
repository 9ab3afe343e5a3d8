"""The mail process of a run: sends what the agent leaves in `.team/run/`, and answers its `team-mail`.

It runs beside the run's keeper, outside of the agent's sandbox and with the identity that its command line gives: what
a process of the agent says of itself counts for nothing. It starts at the first mail or request, and ends after ten
seconds without one, or when its standard input ends, once it has taken everything that is there. Changes in the folder
wake it; where they are not told, it looks by itself. Each piece of work is done in a process forked for it, so that
neither a database nor a fault stays.
"""

from __future__ import annotations

import gc
import hashlib
import json
import math
import os
import select
import sys
import tempfile
from binascii import a2b_base64, b2a_base64
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, cast

from ...mail.clock import SystemClock
from ...mail.commands import entry
from ...mail.errors import TeamMailError, UsageError
from ...mail.letter import Letter
from ...mail.mailbox import Mailbox
from ...mail.open import open_mailbox
from ..hidden import shut
from ..keeping.inotify import Inotify
from ..keeping.waiting import ERROR, is_final
from .folder import RunFolder
from .outbox import LARGEST, Outbox
from .request import OF_TEAM, OUT, check_request

if TYPE_CHECKING:
    from ..frontmatter import Part

VERSION = 1  # of requests and answers
SOON = 0.002  # the least seconds between two looks: an agent may write without a pause
TICK = 0.25  # the most seconds, in case a change was not told
UNTOLD = 0.02  # and where changes are not told
UNUSED = 10.0  # seconds without work after which the process ends
_MOST = 64 << 20  # bytes of a request
_QUIET = 2  # looks in vain, a tick apart, after which there is time to load what only some commands need
_NEWLINE = "\n"
_TEAM = "from team_mail.team.commands.entry import team; team()"
_FIELDS = (
    "to", "cc", "subject", "type", "priority", "due", "key", "payload", "thread", "reply_to", "attachments",
)  # fmt: skip


class Postbox:
    """The mail of one run. `folder` is where the agent leaves it."""

    def __init__(self, folder: RunFolder, persona: str, run: str) -> None:
        self._folder = folder
        self._persona = persona
        self._run = run
        self._clock = SystemClock()
        self._outbox = Outbox(folder, self._clock)
        self._watches: dict[int, str] = {}

    def serve(self) -> None:
        """Take mail and requests until there are none for `UNUSED` seconds, or standard input ends."""
        self.take()  # first, because somebody waits for that
        shut()
        self._inotify, poll = Inotify(), select.poll()
        poll.register(0, select.POLLIN | select.POLLHUP)
        if self._inotify.fd >= 0:
            poll.register(self._inotify.fd, select.POLLIN)
        self._watch()
        used, quiet = self._clock.monotonic(), 0
        while self._clock.monotonic() - used < UNUSED:
            if self.take():
                used = self._clock.monotonic()
            elif (quiet := quiet + 1) == _QUIET:  # not before: the end of a short run would wait for it
                _load()
            if self._wait(poll):
                self.take(closing=True)
                return

    def _watch(self) -> None:
        """Have changes of the folders told; again, in case the agent made them anew."""
        self._watches = {self._folder.watch(name, self._inotify): name for name in ("requests", "outbox")}

    def _wait(self, poll: select.poll) -> bool:
        """Wait until there may be something to take; tell whether standard input has ended instead."""
        end = self._clock.monotonic() + min(self._outbox.wait(), UNTOLD if -1 in self._watches else TICK)
        while (left := end - self._clock.monotonic()) > 0:
            self._clock.sleep(SOON)
            events = poll.poll(math.ceil(1000 * left))
            if any(descriptor == 0 for descriptor, _ in events):
                return True
            if events and self._note():
                return False
        self._watch()
        return False

    def _note(self) -> bool:
        """Take note of changes; tell whether one of them may have left something to take."""
        events = [(self._watches.get(watch), kind, name) for watch, kind, name in self._inotify.events()]
        for folder, kind, name in events:
            if folder == "outbox":
                self._outbox.note(name, kind)
        return any(is_final(name) for _, _, name in events)

    def take(self, *, closing: bool = False) -> bool:
        """Take what is there; with `closing`, also mail that may not be finished. Return whether there was any."""
        requests, mails = self._folder.waiting()
        for name in requests:
            self._answer(name)
        for name in mails if closing else self._outbox.finished(mails):
            self._send(name)
        return bool(requests or mails)

    # -- requests

    def _answer(self, name: str) -> None:
        """Run the command that a request asks for, and write what it printed. It is removed first: once is enough."""
        try:
            request = json.loads(self._folder.read("requests", name, _MOST))
        except (OSError, ValueError, RecursionError) as error:
            self._folder.remove("requests", name)
            self._reply(name, _refusal(f"the request cannot be read: {error}"))
            return
        self._folder.remove("requests", name)
        try:
            answer = _carried_out(request)
        except Exception as error:  # noqa: BLE001 - whatever an agent writes, the next one is answered
            answer = _refusal(f"the request is not one of version {VERSION}: {error!r}")
        self._reply(name, answer)

    def _reply(self, name: str, answer: dict[str, Any]) -> None:
        with suppress(OSError):  # the agent removed the folder, and so the answer
            self._folder.give("answers", name, json.dumps(answer).encode())

    # -- the outbox

    def _send(self, name: str) -> None:
        """Send one mail; move it to `sent` with its number, or write beside it why it could not be sent.

        What the agent has written under that name in the meantime is another mail, and is put back.
        """
        sent, error = _in_child(lambda: self._sent(name))
        number, _, digest = sent.partition(" ")
        with suppress(OSError, ValueError):
            if error:
                self._folder.write("outbox", f"{name}{ERROR}", f"{error}\n".encode())
                return
            new = f"{number}-{name}"
            self._folder.move("outbox", name, "sent", new)
            self._folder.remove("outbox", f"{name}{ERROR}")
            if _digest(self._folder.read("sent", new, LARGEST)) != digest:
                self._folder.move("sent", new, "outbox", name if name not in self._folder.names("outbox") else new)

    def _sent(self, name: str) -> str:
        """Send one mail; return its number and a digest. The same name with the same content is the same mail."""
        from ..frontmatter import Fault, read_front  # the first command of a run does not wait for YAML

        data = self._folder.read("outbox", name, LARGEST)
        try:
            front, body, _ = read_front(data.decode())
        except UnicodeDecodeError as error:
            raise UsageError(f"not UTF-8 at byte {error.start}; convert the file") from None
        except Fault as fault:
            raise UsageError(f"line {fault.line}: {fault}") from None
        if not front:
            raise UsageError("no front matter: begin with ---, then `to: NAME` and `subject: …`, then --- and the text")
        try:
            return f"{self._letter(front, body.strip(_NEWLINE), name, data)} {_digest(data)}"
        except Fault as fault:
            raise UsageError(f"line {fault.line}: {fault}") from None

    def _letter(self, front: dict[str, Part], body: str, name: str, data: bytes) -> str:
        for key, part in front.items():
            if key == "from" and part.text() == self._persona:
                continue
            if key not in _FIELDS:
                raise part.fault(f"is no field of a mail; there are {', '.join(_FIELDS)}")
        mailbox = open_mailbox(create=True)
        simple = {"subject", "type", "priority", "thread", "due"}
        fields = {key: part.text() for key, part in front.items() if key in simple}
        key = front["key"].text() if "key" in front else f"outbox/{self._run}/{name}/{_digest(data)}"
        letter = Letter(
            self._persona, _names(front.get("to")), body=body, cc=_names(front.get("cc")), key=key, run=self._run,
            payload=front["payload"].plain() if "payload" in front else None,
            attachments=[self._attached(part) for part in _items(front.get("attachments"))],
            **cast("dict[str, Any]", fields),
        )  # fmt: skip
        return str(self._posted(mailbox, letter, front.get("reply_to")))

    def _posted(self, mailbox: Mailbox, letter: Letter, original: Part | None) -> int:
        if original is not None:
            return mailbox.reply(letter, original.text()).seq
        if not letter.to:
            raise UsageError("nobody to send to: add `to: NAME`, or `reply_to: NUMBER`")
        return mailbox.send(letter).seq

    def _attached(self, part: Part) -> tuple[str, bytes]:
        """Read a file of the workspace. Raises Fault: nothing else of this machine may be sent."""
        path = part.text()
        try:
            return Path(path).name, self._folder.read_work(path, _MOST)
        except (OSError, ValueError) as error:
            raise part.fault(f"cannot be read: {path}: {getattr(error, 'strerror', None) or error}") from None


def _load() -> None:
    """Load what commands need that are not of every day, so that each process for one has it already."""
    from ...mail.commands import cli

    del cli


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]


def _names(part: Part | None) -> list[str]:
    """Return the addresses of a field: a list, or one text with commas."""
    return [name.strip() for item in _items(part) for name in item.text().split(",") if name.strip()]


def _items(part: Part | None) -> list[Part]:
    return part.items() if part else []


def _carried_out(request: dict[str, Any]) -> dict[str, Any]:
    """Run the command of a request in a folder that holds its files and nothing else."""
    if request["v"] != VERSION:
        raise ValueError(f"version {request['v']!r}")
    words = [str(word) for word in request["words"]]
    try:
        check_request(words, [str(name) for name, _ in request["files"]])
    except UsageError as error:
        return _refusal(str(error), 2)
    with tempfile.TemporaryDirectory(prefix="team-mail-") as place:
        for name, data in request["files"]:
            folder, _, file = str(name).partition("/")
            if not folder.isdecimal() or file in {"", ".", ".."} or "/" in file:
                raise ValueError(f"file {name!r}")
            (Path(place) / folder).mkdir(exist_ok=True)
            (Path(place) / folder / file).write_bytes(a2b_base64(data))
        stdin = a2b_base64(request["stdin"]) if request["stdin"] is not None else None
        code, out, err = _run(words, Path(place), stdin, int(request["width"]))
        written = Path(place) / OUT
        answer = {"v": VERSION, "exit": code, "stdout": _text(out), "stderr": _text(err)}
        return answer | {"out": _text(written.read_bytes()) if written.is_file() else None}


def _refusal(reason: str, code: int = 1) -> dict[str, Any]:
    return {
        "v": VERSION,
        "exit": code,
        "stdout": "",
        "stderr": _text(f"team-mail: {_line(reason)}\n".encode()),
        "out": None,
    }


def _line(reason: str) -> str:
    """Return a reason as one line without control characters."""
    from ...mail.render import line

    return line(reason)


def _text(data: bytes) -> str:
    return b2a_base64(data, newline=False).decode()


def _run(words: list[str], place: Path, stdin: bytes | None, width: int) -> tuple[int, bytes, bytes]:
    """Run `team-mail`, or `team` for a claim, in a process of its own; return its exit code and what it printed."""
    with tempfile.TemporaryFile() as source, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        source.write(stdin or b"")
        source.seek(0)
        if not (pid := os.fork()):
            os.chdir(place)
            os.dup2(os.open(os.devnull, os.O_RDONLY) if stdin is None else source.fileno(), 0)
            os.dup2(out.fileno(), 1)
            os.dup2(err.fileno(), 2)
            os.environ["COLUMNS"] = str(width or 80)
            sys.argv = ["team-mail", *words]
            _exit(partial(_become_team, words) if words[:1] and words[0] in OF_TEAM else entry.main)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        out.seek(0)
        err.seek(0)
        return code if code >= 0 else 1, out.read(), err.read()


def _become_team(words: list[str]) -> None:
    """Replace this process by `team`, which is a program of its own to the personas."""
    os.execv(sys.executable, [sys.executable, "-P", "-c", _TEAM, *words])  # noqa: S606


def _exit(command: Callable[[], None]) -> NoReturn:
    """Run a command and end this process, a child, without leaving the blocks that its parent has entered."""
    code = 1
    try:
        command()
        code = 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:  # noqa: BLE001 - its parent continues, this process must not
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _in_child(work: Callable[[], str]) -> tuple[str, str]:
    """Do a piece of work in a process of its own; return its result and nothing, or nothing and why it failed."""
    with tempfile.TemporaryFile() as answer:
        if not (pid := os.fork()):
            try:
                result, error = work(), ""
            except (TeamMailError, OSError, ValueError) as failure:
                result, error = "", _line(str(failure))
            answer.write(json.dumps([result, error]).encode())
            answer.flush()
            os._exit(0)
        if os.waitpid(pid, 0)[1]:
            return "", "it could not be sent: its process ended; leave it, or write it again"
        answer.seek(0)
        return tuple(json.loads(answer.read()))


def main() -> None:
    """Serve the run of the command line: workspace, persona, run, home, human."""
    workspace, persona, run, home, human = sys.argv[1:]
    os.environ |= {"TEAM_HOME": home, "TEAM_PERSONA": persona, "TEAM_RUN": run, "NO_COLOR": "1"}
    if human:
        os.environ["TEAM_TEAM_HUMAN"] = human
    os.chdir("/")
    gc.freeze()  # forked processes share what is loaded
    Postbox(RunFolder(Path(workspace)), persona, run).serve()


if __name__ == "__main__":
    main()
