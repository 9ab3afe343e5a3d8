"""What a persona may do while it runs: which files it may write, and which commands it may start.

An agent that asks before it acts is answered by these rules, and the tools that are ours keep to them. They are for an
agent that is honest and strays: a command that is allowed can do whatever it does, and only a sandbox confines it. What
lands is judged again, by the weaver.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase

from ...mail.home import RUN_FOLDER
from ...mail.render import line
from ...mail.text.globs import is_from_top, matches

_MAIL = "team-mail"  # every run may mail, by whatever path
_OPERATORS = frozenset({"&&", "||", ";", "|"})
_SIGNS = "();<>|&\n"
# What the shell reads otherwise than `shlex`, or where one command hides in another.
_HIDING = re.compile(r"[$]['\"({]|`|(?:^|\s)#")
_SHOWN = 80  # letters of a command


@dataclass(frozen=True)
class Rules:
    """The rules of a run.

    `paths` are globs of the files that it may write, as for `Persona.paths`; `commands` are globs of whole commands:
    `npm test` that one, `git *` any of git. None stands for anything, an empty tuple for nothing.
    """

    paths: tuple[str, ...] | None = None
    commands: tuple[str, ...] | None = None

    def why_not_write(self, path: str) -> str | None:
        """Return why a file may not be written, None if it may; `path` is counted from the top of the workspace."""
        if not is_from_top(path):
            return f"{line(path)[:_SHOWN]} is no path from the top of the repository"
        folder = path.split("/", 1)[0].lower()
        if path.startswith(f"{RUN_FOLDER}/"):
            return None
        if folder in {".git", ".team"}:
            return f"{folder} is not to be written; only {RUN_FOLDER} is, for what belongs to the run"
        if self.paths is None or matches(path, self.paths):
            return None
        if not self.paths:
            return "this persona may change no file; it tells others by mail what ought to change"
        return f"{line(path)[:_SHOWN]} is not this persona's to change; it may change {', '.join(self.paths)}"

    def why_not_run(self, command: str) -> str | None:
        """Return why a command of the shell may not be run, None if it may.

        Of commands joined with `&&`, `||`, `;`, `|` or a newline, each must be allowed. Where not all commands are, one
        that redirects, that starts others by `$(…)` or that cannot be read is not.
        """
        if self.commands is None:
            return None
        try:
            simple = list(_simple(command))
        except ValueError as error:
            return f"{error}; {self._allowed()}"
        refused = next((words for words in simple if not self._allows(words)), None)
        if refused is None:
            return None
        return f"{line(' '.join(refused))[:_SHOWN]} is no command that it may run; {self._allowed()}"

    def _allows(self, words: list[str]) -> bool:
        text = " ".join(words)
        is_mail = words[0].rpartition("/")[2] == _MAIL and "=" not in words[0]  # that were a variable, and no program
        return is_mail or any(
            fnmatchcase(text, glob) or (glob.endswith(" *") and fnmatchcase(text, glob[:-2]))
            for glob in self.commands or ()
        )

    def _allowed(self) -> str:
        others = ", ".join(self.commands or ())
        return f"it may run {others and f'{others}, '}{'and ' if others else ''}{_MAIL}, without redirections"


def _simple(command: str) -> Iterator[list[str]]:
    """Yield the words of each simple command. Raises ValueError for what cannot be judged, in words that say why."""
    if _HIDING.search(command) or "\0" in command:
        raise ValueError("it has $(…), ${…}, $'…', `…` or a comment, behind which any command could stand")
    lexer = shlex.shlex(command, posix=True, punctuation_chars=_SIGNS)
    lexer.whitespace, lexer.commenters, lexer.whitespace_split = " \t", "", True
    words: list[str] = []
    try:
        tokens = list(lexer)
    except ValueError:
        raise ValueError("it has a quote that is not closed") from None
    for token in tokens:
        if token and not token.strip(_SIGNS):
            if token not in _OPERATORS and token.strip("\n"):
                raise ValueError(f"it has {token.strip()}, which is no operator that can be allowed")
            if words:
                yield words
            words = []
        else:
            words.append(token)
    if words:
        yield words
