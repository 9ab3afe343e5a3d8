"""The `team-mail` that a run has: it asks the run's keeper through files, and never opens the log.

It runs as `python -I -S launcher.py RUN_FOLDER WORD…`, inside whatever sandbox the agent has: it needs to write in the
workspace and nothing else. Files that a command reads or writes are read and written here, with the agent's rights;
only their bytes cross. A request is `requests/ID.json` and its answer `answers/ID.json`, each renamed into place.
"""

import json
import os
import sys
import time
from binascii import a2b_base64, b2a_base64

VERSION = 1
PATIENCE = 30.0  # seconds until a request that nobody answers is given up
QUICK = 0.5  # seconds in which an answer is looked for often
MOST = 32 << 20  # bytes of a request
READS = ("--attach", "-a", "--body-file")  # options whose value is a file to read
WRITES = ("--out", "-o")  # and to write
VALUES = ("--payload", "--output")  # and whose value may name one by @FILE
BODIES = ("--body", "-b")  # options whose value is the text of a mail; "-" means standard input
TEXTS = (  # and those whose value may look like an option
    "--body", "-b", "--subject", "-s", "--to", "--cc", "--from", "-f", "--persona", "-p", "--type", "-t", "--key",
    "--thread", "--priority", "--due", "--tag", "--limit", "-l", "--as-of", "--budget",
    "--session", "--failed",
)  # fmt: skip


class Refused(Exception):
    """What cannot be asked, in words for the person or agent at the terminal."""


class Request:
    """The words of a command, with the bytes of each file that they name in place of the file."""

    def __init__(self, words: "list[str]") -> None:
        self.words: list[str] = []
        self.reads_input = words[:1] in (["send"], ["reply"])  # unless an option gives the text
        self.files: list[tuple[str, str]] = []
        self.out = ""
        rest = iter(words)
        for word in rest:
            option, equals, value = word.partition("=")
            if option in (*READS, *WRITES, *VALUES):
                self._take(option, value if equals else next(rest, ""))
            elif word[:2] in ("-a", "-o") and word[:2] != word and not word.startswith("--"):
                self._take(word[:2], word[2:])
            elif word == "--":
                self.words += [word, *rest]
            elif word in TEXTS:
                given = next(rest, None)
                self.words += [word, *(text for text in [given] if text is not None)]
                if word in BODIES:
                    self.reads_input = given == "-"
            else:
                self.words.append(word)
                if (option in BODIES and equals) or (word.startswith("-b") and word != "-b"):
                    self.reads_input = word in ("--body=-", "-b-")

    def _take(self, option: str, value: str) -> None:
        if option in WRITES:
            self.out = value
            self.words += [option, "out"]
        elif option in READS:
            self.words += [option, self._read(value)]
            self.reads_input = self.reads_input and option != "--body-file"
        else:
            self.words += [option, "@" + self._read(value[1:]) if value.startswith("@") else value]

    def _read(self, path: str) -> str:
        try:
            with open(path, "rb") as file:  # noqa: PTH123 - pathlib would double the start-up time
                data = file.read(MOST + 1)
        except OSError as error:
            raise Refused(f"cannot read {path}: {error.strerror}") from None
        place = f"{len(self.files)}/{os.path.basename(path)}"  # noqa: PTH119
        self.files.append((place, text(data)))
        return place

    def document(self) -> "dict[str, object]":
        """Return the request as it is written."""
        given = stdin() if self.reads_input else None  # a pipe that nobody closes is never waited for without need
        return {"v": VERSION, "words": self.words, "files": self.files, "stdin": given, "width": width()}


def text(data: bytes) -> str:
    """Return bytes as JSON can hold them."""
    return b2a_base64(data, newline=False).decode()


def stdin() -> "str | None":
    """Return what is piped in, or None for a terminal, a closed input and the null device."""
    import stat

    try:
        mode = os.fstat(0).st_mode
    except OSError:
        return None
    if not (stat.S_ISFIFO(mode) or stat.S_ISREG(mode) or stat.S_ISSOCK(mode)):
        return None
    data = b""
    while len(data) <= MOST and (more := os.read(0, 1 << 16)):
        data += more
    return text(data)


def shown(data: bytes) -> bytes:
    """Return an answer as a terminal may show it: agents can write answers, too, and people ask in their workspaces."""
    controls = (*range(9), *range(11, 32), *range(127, 160), *range(0x202A, 0x202F), *range(0x2066, 0x206A))
    escaped = {number: chr(number).encode("unicode_escape").decode() for number in controls}
    return data.decode(errors="backslashreplace").translate(escaped).encode()


def width() -> int:
    """Return the columns of the terminal, 0 for none."""
    try:
        return os.get_terminal_size(1).columns
    except OSError:
        return 0


def ask(folder: str, request: "dict[str, object]") -> "dict[str, object]":
    """Write a request, wait for its answer and return it. Raises Refused."""
    data = json.dumps(request).encode()
    if len(data) > 2 * MOST:
        raise Refused("the files and the text are over 32 MiB; leave large files in the repository and name them")
    name = os.urandom(16).hex() + ".json"
    request_path, answer_path = f"{folder}/requests/{name}", f"{folder}/answers/{name}"
    try:
        with open(request_path + ".tmp", "xb") as file:  # noqa: PTH123
            file.write(data)
        os.rename(request_path + ".tmp", request_path)  # noqa: PTH104
    except OSError as error:
        raise Refused(f"cannot write in {folder}/requests: {error.strerror}") from None
    began = time.monotonic()
    while (waited := time.monotonic() - began) < PATIENCE:
        try:
            with open(answer_path, "rb") as file:  # noqa: PTH123
                answer = json.loads(file.read())
        except FileNotFoundError:
            time.sleep(0.003 if waited < QUICK else 0.03)
            continue
        os.unlink(answer_path)  # noqa: PTH108
        return answer
    raise Refused(
        f"nobody answered within {PATIENCE:.0f} s: the keeper of this run is gone. What you write into {folder}/outbox "
        "is sent by whoever finds this run"
    )


def main() -> int:
    """Run a command through the keeper; return its exit code."""
    folder, words = sys.argv[1], sys.argv[2:]
    try:
        request = Request(words)
        answer = ask(folder, request.document())
        if request.out and answer.get("out") is not None:
            with open(request.out, "wb") as file:  # noqa: PTH123
                file.write(a2b_base64(str(answer["out"])))
        for descriptor, name in ((1, "stdout"), (2, "stderr")):
            data = a2b_base64(str(answer[name]))
            if os.isatty(descriptor):
                data = shown(data)
            while data:
                data = data[os.write(descriptor, data) :]
        return int(str(answer["exit"]))
    except BrokenPipeError:
        return 1
    except (Refused, OSError) as error:
        sys.stderr.write(f"team-mail: {error}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main())
