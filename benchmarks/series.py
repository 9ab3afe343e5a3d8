"""Windows of patches that people wrote: the patch series of Debian source packages, woven and applied by plain engines.

`apt-get source --download-only NAME` brings a package's sources (with a `deb-src` line for apt); versions of the same
package may lie beside each other. `python benchmarks/series.py FOLDER` reads what lies in a folder and prints a row for
each window. Exits with 1 if the weaver lands fewer patches than a plain engine somewhere, or a tree that git does not
give. Three kinds of windows, of `--size` patches each:

- beside: patches that stand one after the other in a series, each made anew against the commit before the first of
  them; those that stand on another one of them stay as they are.
- newer: patches of an older version, each against what its author had, onto the newer version without any patch.
- both: the series of both versions in turn, onto the newer version: many are there already, or others' have won.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, pairwise, zip_longest
from pathlib import Path, PurePosixPath
from typing import IO, NamedTuple

from engines import WHO, best, merge, strangers
from team_mail.personas.git import Git
from team_mail.scheduler.weaver.patch import PatchSubmission
from team_mail.scheduler.weaver.weave import weave
from windows import PATCH, WHEN, Window

_SOURCE = re.compile(r"(?P<name>[^_]+)_(?P<version>.+)\.debian\.tar\.\w+")
_LEAST = 8  # patches that are worth a window


@dataclass(frozen=True)
class Source:
    """One version of a package: the archives of its upstream, and that of its patches."""

    name: str
    version: str
    upstream: Sequence[Path]
    debian: Path

    @property
    def rank(self) -> tuple[int, ...]:
        """What sorts versions, the oldest first; by their numbers alone."""
        return tuple(map(int, re.findall(r"\d+", self.version)))


class Author(NamedTuple):
    """A patch of a series: the commit that it was made on, and the one that it made."""

    name: str
    base: str
    head: str


@dataclass
class Series:
    """The commit of an upstream version, and the patches on it that apply; `left` counts those that do not."""

    source: Source
    upstream: str
    patches: list[Author] = field(default_factory=list[Author])
    left: int = 0


def sources(folder: Path) -> dict[str, list[Source]]:
    """Return the packages in a folder, each with its upstream versions that are there, the oldest first.

    Of several revisions of one upstream version it is the last.
    """
    packages: dict[str, dict[Sequence[Path], Source]] = {}
    for debian in sorted(folder.iterdir()):
        if not (match := _SOURCE.fullmatch(debian.name)):
            continue
        begun = f"{match['name']}_{match['version'].rpartition('-')[0]}.orig"
        upstream = tuple(path for path in sorted(folder.glob(f"{begun}*")) if re.search(r"\.tar\.\w+$", path.name))
        source, known = (
            Source(match["name"], match["version"], upstream, debian),
            packages.setdefault(match["name"], {}),
        )
        if any(path.name.startswith(f"{begun}.tar.") for path in upstream):
            known[upstream] = max(source, known.get(upstream, source), key=lambda each: each.rank)
    return {name: sorted(known.values(), key=lambda each: each.rank) for name, known in packages.items()}


def read_series(git: Git, folder: Path, versions: Sequence[Source]) -> Iterator[Series]:
    """Make a commit of each upstream version, one on the other, and a line of commits of its patches."""
    marks = folder / "marks"
    argv = ["git", "-C", str(git.directory), "fast-import", "--quiet", f"--export-marks={marks}"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE) as importing:
        assert importing.stdin
        for mark, source in enumerate(versions, 1):
            _write_upstream(importing.stdin, source, mark)
    oids = dict(line.split() for line in marks.read_text().splitlines())
    for mark, source in enumerate(versions, 1):
        series = Series(source, oids[f":{mark}"])
        _apply(git.using(index=folder / "index", work_tree=folder), folder, series)
        yield series


def _write_upstream(stream: IO[bytes], source: Source, mark: int) -> None:
    """Write a commit of all files of some archives for `git fast-import`, as `dpkg-source` unpacks them."""
    name = source.version.encode()
    stream.write(b"commit refs/heads/upstream\nmark :%d\ncommitter bench <bench@example.org> %d +0000\n" % (mark, mark))
    stream.write(b"data %d\n%s\n" % (len(name), name))
    stream.write(b"from :%d\ndeleteall\n" % (mark - 1) if mark > 1 else b"deleteall\n")
    for archive in source.upstream:
        part = re.search(r"\.orig-([\w-]+)\.tar", archive.name)
        with tarfile.open(archive) as tar:
            members = [member for member in tar if member.isfile() or member.islnk() or member.issym()]
            tops = {PurePosixPath(member.name).parts[0] for member in members if PurePosixPath(member.name).parts}
            for member in members:
                parts = PurePosixPath(member.name).parts[len(tops) == 1 :]
                if not parts or ".git" in parts or parts[0] == "debian" or ".." in parts:
                    continue
                path = "/".join([*(part.groups() if part else ()), *parts])
                file = None if member.issym() else tar.extractfile(member)
                body = file.read() if file else os.fsencode(member.linkname)
                mode = b"120000" if member.issym() else b"100755" if member.mode & 0o100 else b"100644"
                stream.write(b"M %s inline %s\ndata %d\n" % (mode, _quoted(path), len(body)))
                stream.write(body + b"\n")


def _quoted(path: str) -> bytes:
    return b'"%s"' % os.fsencode(path).replace(b"\\", b"\\\\").replace(b'"', b'\\"').replace(b"\n", b"\\n")


def _apply(index: Git, folder: Path, series: Series) -> None:
    """Apply the patches of a series, each on those before it, without fuzz as `dpkg-source` does."""
    head = series.upstream
    index("read-tree", head)
    with tarfile.open(series.source.debian) as tar:
        members = {member.name.removeprefix("./"): member for member in tar}
        listed = members.get("debian/patches/series")
        rows = (tar.extractfile(listed) or sys.exit()).read().decode().splitlines() if listed else []
        for row in rows:
            name, *options = row.split("#")[0].split() or [""]
            member = members.get(f"debian/patches/{name}")
            file = tar.extractfile(member) if member and name else None
            if not file:
                continue
            words = ("apply", "--cached", *(options[:1] or ["-p1"]), "-")
            ended = index.run(*words, stdin=file.read(), cwd=folder)
            tree = "" if ended.returncode else index.line("write-tree")
            if not tree or tree == index.line("rev-parse", f"{head}^{{tree}}"):
                series.left += 1
                continue
            base, head = head, index.line(*WHO, "commit-tree", tree, "-p", head, "-m", name)
            series.patches.append(Author(name, base, head))


# -- windows


def windows_of(git: Git, folder: Path, versions: Sequence[Series], size: int, most: int) -> Iterator[Window]:
    """Yield the windows of one package, at most so many of a kind."""
    for series in versions:
        for number, part in enumerate(_parts(series.patches, size, most), 1):
            tip = part[0].base
            submissions = [_anew(git, folder, _submission(git, age, each), tip) for age, each in enumerate(part)]
            yield Window(f"{series.source.name} {series.source.version} beside {number}", git, tip, submissions)
    for old, new in pairwise(versions):
        name = f"{old.source.name} {old.source.version} {new.source.version}"
        turns = [each for each in chain(*zip_longest(old.patches, new.patches)) if each]
        for kind, queue in (("newer", old.patches), ("both", turns)):
            for number, part in enumerate(_parts(queue, size, most), 1):
                submissions = [_submission(git, age, each) for age, each in enumerate(part)]
                yield Window(f"{name} {kind} {number}", git, new.upstream, submissions)


def _parts(queue: Sequence[Author], size: int, most: int) -> list[Sequence[Author]]:
    parts = [queue[start : start + size] for start in range(0, len(queue), size)]
    return [part for part in parts if len(part) >= min(_LEAST, size)][:most]


def _submission(git: Git, age: int, each: Author) -> PatchSubmission:
    patch = git(*PATCH, each.base, each.head)
    return PatchSubmission(
        f"{age:03}-{each.name}", f"author {age:03}", each.base, patch, age, each.name, WHEN, approved=True
    )


def _anew(git: Git, folder: Path, submission: PatchSubmission, tip: str) -> PatchSubmission:
    """Make a patch anew against a commit before its base, where git can merge it there."""
    top = git.line("rev-parse", f"{tip}^{{tree}}")
    index = git.using(index=folder / "own", work_tree=folder)
    index("read-tree", submission.base)
    index("apply", "--cached", "-", stdin=submission.patch, cwd=folder)
    tree = merge(git, top, submission, index.line("write-tree"))
    patch = git(*PATCH, top, tree) if tree else b""
    if not patch:
        return submission
    return PatchSubmission(
        submission.key, submission.persona, tip, patch, submission.age, submission.subject, WHEN, approved=True
    )


# -- rows


@dataclass(frozen=True)
class Row:
    """What came of one window."""

    name: str
    patches: int
    landed: int
    present: int
    refused: int
    engines: dict[str, int]
    strangers: Sequence[str]
    keys: Sequence[str]
    tree: str
    seconds: float

    @property
    def best(self) -> int:
        """What the best plain engine lands, in whichever order."""
        return max(self.engines.values(), default=0)

    @property
    def met(self) -> bool:
        """Whether the weaver lands as many, each with a tree that git gives."""
        return self.landed + self.present >= self.best and not self.strangers


def row(window: Window, *, beside: bool) -> Row:
    """Weave a window; with `beside`, apply it by the plain engines as well, and look at the trees."""
    with tempfile.TemporaryDirectory(prefix="team-mail-bench-") as name:
        git = window.git.using(objects=Path(name))
        begun = time.perf_counter()
        woven = weave(git, window.tip, window.submissions)
        seconds = time.perf_counter() - begun
        leave = [each.submission.key for each in (*woven.refused, *woven.held)]
        counts = best(window, leave) if beside else {}
        odd = strangers(woven, git, Path(name)) if beside else []
        return Row(
            window.name, len(window.submissions), len(woven.landed), len(woven.present), len(leave),
            {", ".join(key): count for key, count in counts.items()}, odd,
            [each.submission.key for each in (*woven.landed, *woven.present)],
            git.line("rev-parse", f"{woven.tip}^{{tree}}"), round(seconds, 3),
        )  # fmt: skip


def rows(folder: Path, wanted: argparse.Namespace) -> Iterator[Row]:
    """Yield the rows of all packages in a folder."""
    for name, versions in sources(folder).items():
        if wanted.only and name not in wanted.only:
            continue
        with tempfile.TemporaryDirectory(prefix="team-mail-bench-") as place:
            directory = Path(place, "package.git")
            subprocess.run(["git", "init", "-q", "--bare", str(directory)], check=True)
            git = Git(directory)
            series = list(read_series(git, Path(place), versions))
            for each in series:
                said = f"{name} {each.source.version}: {len(each.patches)} patches apply, {each.left} do not"
                print(said, file=sys.stderr, flush=True)
            for window in windows_of(git, Path(place), series, wanted.size, wanted.most):
                yield row(window, beside=not wanted.alone)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, help="where sources of packages lie")
    parser.add_argument("--size", type=int, default=30, help="patches in a window")
    parser.add_argument("--most", type=int, default=3, help="windows of each kind and version")
    parser.add_argument("--only", action="append", metavar="NAME", help="a package; may be given again")
    parser.add_argument("--alone", action="store_true", help="weave only, without the plain engines")
    parser.add_argument("--json", type=Path, help="write the rows to this file, one in each line")
    wanted = parser.parse_args()
    if not any(_SOURCE.fullmatch(path.name) for path in wanted.folder.glob("*")):
        parser.error(f"{wanted.folder} has no sources of packages, as NAME_VERSION.debian.tar.xz")
    table: list[Row] = []
    print("window: patches, refused; ours (of them present before); best plain engine; trees that git does not give")
    for each in rows(wanted.folder, wanted):
        table.append(each)
        mark = "" if wanted.alone else f"{each.best}; {len(each.strangers)}  {'met' if each.met else 'MISSED'}"
        counts = f"{each.patches}, {each.refused}; {each.landed + each.present} ({each.present}); {mark}"
        print(f"{each.name}: {counts}", flush=True)
        if wanted.json:
            with wanted.json.open("a") as file:
                file.write(json.dumps(vars(each)) + "\n")
    patches, ours = sum(each.patches for each in table), sum(each.landed + each.present for each in table)
    plain, missed = sum(each.best for each in table), sum(not each.met for each in table)
    beside = "" if wanted.alone else f", best plain engines {plain}; {missed} missed"
    print(f"{len(table)} windows, {patches} patches; ours {ours}{beside}")
    return int(bool(missed) or not table)


if __name__ == "__main__":
    sys.exit(main())
