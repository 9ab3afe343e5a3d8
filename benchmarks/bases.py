"""The commits that runs start from, brought to another host, beside making a workspace of them, in one run.

`make bench BENCH=bases`. A repository of 2,000 files and 200 commits, of which each further one changes four files, as
a weave does. Exits with 1 if a row misses its target.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from random import Random
from statistics import median

from table import Row, markdown, seconds, show
from team_mail.scheduler.context import Context
from team_mail.scheduler.hosts.bases import fetch_base, offer_base
from team_mail.team.open import open_on_host, open_team

FILES, COMMITS, WEAVES = 2_000, 200, 9
TARGET = 0.1
WHO = {f"GIT_{who}_{what}": "ada@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
WORDS = [f"word{number:04}" for number in range(4_000)]


def git(folder: Path, *words: str) -> str:
    ended = subprocess.run(
        ["git", *words], cwd=folder, env=os.environ | WHO, check=True, capture_output=True, text=True
    )
    return ended.stdout.strip()


def text(random: Random) -> str:
    return "".join(" ".join(random.choices(WORDS, k=9)) + "\n" for _ in range(30))


def change(folder: Path, random: Random, files: int = 4) -> str:
    """Change some lines of some files; return the commit."""
    for number in random.sample(range(FILES), files):
        file = folder / f"part{number % 40}/file{number}.txt"
        lines = file.read_text().splitlines(keepends=True)
        lines[random.randrange(len(lines))] = " ".join(random.choices(WORDS, k=9)) + "\n"
        file.write_text("".join(lines))
    git(folder, "commit", "--quiet", "-am", f"Change {random.random()}")
    return git(folder, "rev-parse", "HEAD")


def repository(folder: Path, random: Random) -> None:
    folder.mkdir()
    git(folder, "init", "--quiet", "-b", "main")
    for number in range(FILES):
        file = folder / f"part{number % 40}/file{number}.txt"
        file.parent.mkdir(exist_ok=True)
        file.write_text(text(random))
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "-m", "Begin")
    for _ in range(COMMITS):
        change(folder, random)
    git(folder, "gc", "--quiet")


def host(leader: Context, folder: Path, remote: str = "") -> Context:
    """Return a host without a clone, with the leader's mail."""
    home = folder / ".team"
    home.mkdir(parents=True)
    table = f'[workspace]\nroot = "{folder.parent}/work"\n' + (f'remote = "{remote}"\n' if remote else "")
    (home / "team.toml").write_text(table)
    return replace(open_on_host(home, {}), mailbox=leader.mailbox)


def measured(folder: Path) -> Iterator[Row]:
    random, source = Random(1), folder / "leader"
    repository(source, random)
    (source / ".team").mkdir()
    (source / ".team/team.toml").write_text(f'[workspace]\nroot = "{folder}/work"\n')
    leader = open_team(source / ".team", {})
    by_remote, by_bundle = host(leader, folder / "b", f"file://{source}"), host(leader, folder / "c")
    first = git(source, "rev-parse", "HEAD")
    whole = offer_base(leader, first)
    mirror = seconds(lambda: fetch_base(by_remote, first, ""))
    taken = seconds(lambda: fetch_base(by_bundle, first, whole))
    local, fetched, offered, bundled, sizes = [], [], [], [], []
    for number in range(WEAVES):
        base, blobs = change(source, random), list[str]()
        fetched.append(seconds(lambda base=base: fetch_base(by_remote, base, "")))
        offered.append(seconds(lambda base=base, blobs=blobs: blobs.append(offer_base(leader, base))))
        bundled.append(seconds(lambda base=base, blobs=blobs: fetch_base(by_bundle, base, blobs[0])))
        sizes.append(size(leader, blobs[0]))
        with ExitStack() as done:
            place = f"run-{number}"
            local.append(seconds(lambda base=base, place=place: by_bundle.mirror.workspace(place, base)))
            done.callback(by_bundle.mirror.remove, place)
    workspace = median(local)
    yield Row("make a workspace of 2,000 files", f"{workspace * 1e3:.0f} ms", "", "", "", None)
    for what, times in (("a remote", fetched), ("a bundle", bundled)):
        ratio = median(times) / workspace
        yield Row(
            f"base to a host by {what}", f"{median(times) * 1e3:.0f} ms", f"workspace: {workspace * 1e3:.0f} ms",
            f"{ratio:.2f}", f"≤ {TARGET:g}", ratio <= TARGET,
        )  # fmt: skip
    ratio = median(offered) / workspace
    yield Row("offer a bundle, once for all hosts", f"{median(offered) * 1e3:.0f} ms", "", f"{ratio:.2f}", "", None)
    all_of_it = f"whole: {size(leader, whole):,}"
    yield Row("bytes of a bundle of one weave", f"{median(sizes):,.0f}", all_of_it, "", "", None)
    yield Row("the first time, by a remote", f"{mirror * 1e3:.0f} ms", "", f"{mirror / workspace:.2f}", "", None)
    yield Row("the first time, by a bundle", f"{taken * 1e3:.0f} ms", "", f"{taken / workspace:.2f}", "", None)


def size(context: Context, blob: str) -> int:
    """Return how many bytes are sent to a host that has what was before."""
    parts = json.loads(context.mailbox.blobs.read(blob))["parts"]
    return sum(len(context.mailbox.blobs.read(part)) for part in parts)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--markdown", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        rows = [*measured(Path(scratch))]
    show(rows)
    if arguments.markdown:
        arguments.markdown.write_text(markdown(rows))
    sys.exit(any(row.met is False for row in rows))
