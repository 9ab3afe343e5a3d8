"""Windows of history: patches that were made beside each other, as submissions to the weaver.

A window is a commit and the changes that came after it, each against the commit that its author had, in the order in
which they came. Of merges it is what a merge brought, since the merge base; of other commits what they changed. Those
who come late in a window stand on what came before them, so that the whole of it mostly conflicts.

`crowded` makes a repository with a hard window: thousands of files, hundreds of commits between bases and tip, renames
on the way, and patches that want the same few files.
"""

from __future__ import annotations

import random
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from team_mail.personas.git import Git
from team_mail.scheduler.weaver.patch import PatchSubmission

WHEN = "2026-01-01T00:00:00Z"
PATCH = ("diff-tree", "-p", "--binary", "--full-index", "--no-renames", "--no-ext-diff", "--no-textconv")
_HOT, _WANTED = 8, 0.4  # files that everybody wants, and the share of changes that are theirs
_WHO = b"bench <bench@example.org> 1767225600 +0000"


@dataclass(frozen=True)
class Window:
    """Patches and the commit to weave them onto."""

    name: str
    git: Git
    tip: str
    submissions: Sequence[PatchSubmission]


def windows(git: Git, branch: str, size: int, most: int) -> Iterator[Window]:
    """Yield windows of `size` changes on the first parents of a branch, spread evenly, the newest first."""
    rows = [row.split() for row in git.line("log", "--first-parent", "--format=%H %P", branch).splitlines()]
    usable = [row for row in rows if len(row) in {2, 3}]
    starts = range(0, len(usable) - size + 1, size)
    for start in starts[:: max(1, -(-len(starts) // most))]:
        part = usable[start : start + size][::-1]
        submissions = [_change(git, age, *row) for age, row in enumerate(part)]
        yield Window(part[0][0][:10], git, part[0][1], [each for each in submissions if each.patch.strip()])


def _change(git: Git, age: int, commit: str, first: str, second: str | None = None) -> PatchSubmission:
    base, head = (git.line("merge-base", first, second), second) if second else (first, commit)
    who, subject = git.line("show", "-s", "--format=%an%x00%s", head).split("\0")
    return PatchSubmission(
        f"{age:03}-{commit[:10]}", f"{who} {age:03}", base, git(*PATCH, base, head), age, subject, WHEN
    )


# -- a hard one


@dataclass
class _History:
    """Files by their names, each with its lines since the commits that changed it."""

    dice: random.Random
    files: dict[str, list[tuple[int, list[str] | None]]]

    def at(self, commit: int, name: str) -> list[str] | None:
        """Return a file's lines as they were after a commit; None if it was not there."""
        return next((lines for number, lines in reversed(self.files[name]) if number <= commit), None)

    def edited(self, lines: list[str], what: str, places: Sequence[int] = (1, 1, 2)) -> list[str]:
        """Rewrite one to four lines that stand together, at as many places as one of these numbers says."""
        lines = [*lines]
        for _ in range(self.dice.choice(places)):
            start, length = self.dice.randrange(len(lines)), self.dice.choice((1, 2, 4))
            new = [f"    {what} = compute_{self.dice.randrange(999)}({start})" for _ in range(self.dice.choice((1, 3)))]
            lines[start : start + length] = new
        return lines


def crowded(folder: Path, *, files: int, commits: int = 600, patches: int = 58) -> Window:
    """Make the repository and its window; the same every time."""
    dice = random.Random(58)
    names = [f"package{n % 40:02}/part{n % 200:03}/module{n:04}.py" for n in range(files)]
    lengths = {name: dice.choice((40, 120, 300)) for name in names}
    history = _History(dice, {
        name: [(0, [f"    value{line} = {name[-9:-3]}_{line}" for line in range(lengths[name])])] for name in names
    })  # fmt: skip
    hot = dice.sample(names, _HOT)
    stream = [_commit("refs/heads/main", 1, "base", [(name, history.at(0, name)) for name in names])]
    stream += [
        _commit("refs/heads/main", number + 1, f"change {number}", _step(history, hot, names, number))
        for number in range(1, commits)
    ]
    bases = [dice.randrange(commits * 4 // 5, commits) for _ in range(patches)]
    for age, base in enumerate(bases):
        wanted = {dice.choice(hot) for _ in range(dice.choice((1, 2, 3)))} | {dice.choice(names)}
        held = [(name, lines) for name in sorted(wanted) if (lines := history.at(base, name))]
        edits = [(name, history.edited(lines, f"patch{age}", (1, 2, 3))) for name, lines in held]
        stream.append(_commit(f"refs/heads/patch{age}", 1000 + age, f"patch {age}", edits, base + 1))
    run = ["git", "-C", str(folder)]
    subprocess.run(["git", "init", "-q", "-b", "main", str(folder)], check=True)
    subprocess.run([*run, "fast-import", "--quiet"], input=b"".join(stream), check=True)
    git = Git(folder / ".git")
    heads = [(git.line("rev-parse", f"patch{age}^"), git.line("rev-parse", f"patch{age}")) for age in range(patches)]
    submissions = [
        PatchSubmission(f"{age:03}", f"persona-{age:03}", base, git(*PATCH, base, head), age, f"patch {age}", WHEN)
        for age, (base, head) in enumerate(heads)
    ]
    return Window("crowded", git, git.line("rev-parse", "main"), submissions)


def _step(history: _History, hot: list[str], names: list[str], number: int) -> list[tuple[str, list[str] | None]]:
    """Change some files in a commit, hot ones oftener; move one to another folder now and then."""
    dice = history.dice
    changes: list[tuple[str, list[str] | None]] = []
    for name in sorted({dice.choice(hot if dice.random() < _WANTED else names) for _ in range(dice.choice((1, 3, 8)))}):
        if (lines := history.at(number, name)) is None:
            continue
        if dice.random() < (0.01 if name in hot else 0.1):
            moved = f"moved{number % 9}/{name}"
            history.files[moved] = [(number, lines)]
            changes += [(name, None), (moved, lines)]
            if name in hot:
                hot[hot.index(name)] = moved
        else:
            changes.append((name, history.edited(lines, f"commit{number}")))
    for name, lines in changes:
        if history.files[name][-1][0] != number:
            history.files[name].append((number, lines))
    return changes


def _commit(
    ref: str, mark: int, subject: str, changes: Sequence[tuple[str, list[str] | None]], parent: int | None = None
) -> bytes:
    """Write a commit for `git fast-import`."""
    rows = [
        f"commit {ref}\nmark :{mark}\n".encode(),
        b"committer ",
        _WHO,
        f"\ndata {len(subject)}\n{subject}\n".encode(),
    ]
    if parent is not None:
        rows.append(f"from :{parent}\n".encode())
    for name, lines in changes:
        if lines is None:
            rows.append(f"D {name}\n".encode())
            continue
        text = "".join(f"{line}\n" for line in lines).encode()
        rows += [f"M 100644 inline {name}\ndata {len(text)}\n".encode(), text, b"\n"]
    return b"".join(rows)
