"""The table of what programs may have run by a command in JSON, and the words of git that only read.

Only words of lists are let through, never all but some: git takes any unambiguous beginning of an option, and among
its options are some that run programs (`--ext-diff`, `--open-files-in-pager`), write files (`--output`) or read files
outside of the repository (`--no-index`, `--contents`). A value is part of its option's word, so that no option takes
the word behind it for its own.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated

from pydantic import AfterValidator, Field

from ...mail.text.nearest import suggestion
from .supervision import Table
from .values import Commands, Limit

_MOST_WORDS = 100
_FORMAT = "--format= --pretty --pretty= --oneline --abbrev-commit --date= --decorate --decorate= --no-decorate"
_DIFF = (
    "-p --patch -s --no-patch --stat --stat= --shortstat --numstat --summary --name-only --name-status --raw "
    "--unified= --minimal --patience --histogram -w -b --ignore-all-space --ignore-space-change --ignore-blank-lines "
    "-M -C -R --find-renames --find-renames= --no-renames --word-diff --word-diff= --diff-filter= --check --full-index "
    "--abbrev --abbrev= --no-color --cc -c"
)
_LOG = (
    "--max-count= --skip= --since= --after= --until= --before= --author= --committer= --grep= -i --all --branches "
    "--branches= --tags --tags= --remotes --remotes= --graph --merges --no-merges --first-parent --reverse --follow "
    "--topo-order --date-order --left-right --cherry-pick --full-history"
)
_FILES = "--cached --modified -m --others -o --deleted -d --stage -s --exclude-standard --abbrev= --full-name"
# By command: its options, those with a value ending in `=`.
READING = {
    "blame": f"-w -M -C -e -s -l -t --since= --date= --porcelain --line-porcelain {_DIFF}",
    "branch": "-a --all -r --remotes -v -vv --list --show-current --contains= --merged= --no-merged= --sort= --format=",
    "describe": "--all --tags --long --always --abbrev= --match= --exclude= --exact-match --first-parent",
    "diff": f"--cached --staged --merge-base {_DIFF}",
    "grep": "-n -i -w -l -L -c -F -E -P -G -h -H -v -p -W --line-number --ignore-case --word-regexp --cached --heading "
    "--break --max-count= --count --fixed-strings --extended-regexp --perl-regexp --files-with-matches",
    "log": f"{_LOG} {_FORMAT} {_DIFF}",
    "ls-files": _FILES,
    "ls-tree": "-r -d -t -l --long --name-only --full-tree --full-name --abbrev=",
    "merge-base": "-a --all --is-ancestor --octopus --independent",
    "rev-parse": "--short --short= --abbrev-ref --verify -q --quiet --symbolic-full-name",
    "show": f"{_FORMAT} {_DIFF}",
    "status": "-s --short -b --branch --porcelain --porcelain= --long --ignored --untracked-files= --no-renames "
    "--ahead-behind --no-ahead-behind --show-stash",
    "tag": "-l --list --contains= --merged= --no-merged= --points-at= --sort= --format=",
}
_NUMBERED = {
    "blame": r"-L\d+,\+?\d+",
    "diff": r"-U\d+|-[SG].+",
    "grep": r"-[ABCm]\d+",
    "log": r"-n?\d+|-U\d+|-[SG].+",
    "show": r"-U\d+|-[SG].+",
    "status": r"-u(no|normal|all)",
    "tag": r"-n\d*",
}
_ONLY_LISTED = {"branch", "tag"}  # they make what they are given a name of
_NO_PROGRAMS = dict.fromkeys(("diff", "log", "show"), ("--no-ext-diff", "--no-textconv")) | {
    "blame": ("--no-textconv",), "grep": ("--no-textconv",),
}  # fmt: skip
_DISTANT = re.compile(r"^[/~]|(^|[/:])\.\.(/|$)")


def wrong_git_words(words: Sequence[str]) -> str:
    """Say why the words of a git command, the first of which is in `READING`, are not let through; "" if they are."""
    name, *rest = words
    options = READING[name].split()
    end = rest.index("--") if "--" in rest else len(rest)
    if len(words) > _MOST_WORDS:
        return f"git {name} has more than {_MOST_WORDS} words"
    for word in rest[:end]:
        if word.startswith("-") and not _is_option(name, word, options):
            return f"git {name} is not run with {word!r}{suggestion(word, options)}; a value follows = in the same word"
    names = [word for word in rest[:end] if not word.startswith("-")] + rest[end + 1 :]
    if names and name in _ONLY_LISTED:
        return f"git {name} is run to list, with options alone: {names[0]!r} is none"
    if outside := next((word for word in names if not word.isprintable() or _DISTANT.search(word)), None):
        return f"{outside!r} is no path in the repository, and no revision"
    return ""


def git_words(words: Sequence[str]) -> tuple[str, ...]:
    """Return the words with which git runs a command that `wrong_git_words` lets through: no program of others."""
    return words[0], *_NO_PROGRAMS.get(words[0], ()), *words[1:]


def _is_option(name: str, word: str, options: Sequence[str]) -> bool:
    option, equals, value = word.partition("=")
    if not word.isprintable():
        return False
    if option + equals in options:
        return bool(value) or not equals
    if re.fullmatch(_NUMBERED.get(name, r"(?!)"), word):
        return True
    return len(word) > 2 and word[1:].isalpha() and all(f"-{letter}" in options for letter in word[1:])  # noqa: PLR2004


def _reading(name: str) -> str:
    if name not in READING:
        raise ValueError(f"is {name!r}, and must be a command of git that only reads{suggestion(name, READING)}")
    return name


def _programs(commands: tuple[tuple[str, ...], ...]) -> tuple[tuple[str, ...], ...]:
    for command in commands:
        if re.search(r"\s", command[0]):
            raise ValueError(
                f"has {command[0]!r}, which no program is called: write each command as the list of its words, as in "
                '[["make", "test"]]'
            )
    return commands


class WebhookSettings(Table):
    """`[webhooks]`: what a program may have run in the checkout by `task_command`; by default nothing.

    `git` are commands of git that only read. `shell` are whole commands, each a list of its words, which are run as
    they stand there and without a shell. `timeout` is for each, in seconds.
    """

    git: tuple[Annotated[str, AfterValidator(_reading)], ...] = ()
    shell: Annotated[Commands, AfterValidator(_programs)] = ()
    timeout: Annotated[Limit, Field(le=3_600)] = 60.0
