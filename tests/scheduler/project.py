"""A small real repository, patches against any of its commits, and what naive contenders make of them."""

import atexit
import functools
import shutil
import subprocess
import tempfile
from pathlib import Path

from team_mail.personas.git import Git
from team_mail.scheduler.weaver.patch import PatchSubmission

WHEN = "2026-11-20T12:00:00.000000Z"
EMPTY = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"


def lines(*changed: tuple[int, str], count: int = 20) -> str:
    """Return the text of a file of numbered lines, some of them changed."""
    texts = dict(changed)
    return "".join(f"{texts.get(number, f'line {number}')}\n" for number in range(1, count + 1))


def new_file(path: str, *rows: str, mode: str = "100644") -> bytes:
    """Write a patch that adds a file by hand, so that nothing of it is in the repository."""
    head = (
        f"diff --git a/{path} b/{path}\nnew file mode {mode}\n--- /dev/null\n+++ b/{path}\n@@ -0,0 +1,{len(rows)} @@\n"
    )
    return (head + "".join(f"+{row}\n" for row in rows)).encode()


@functools.cache
def _empty() -> tempfile.TemporaryDirectory[str]:
    """Make an empty repository once, to be copied; it is gone with this process."""
    folder = tempfile.TemporaryDirectory(prefix="team-mail-empty-")
    atexit.register(folder.cleanup)
    subprocess.run(["git", "init", "-q", "-b", "main", folder.name], check=True)
    return folder


class Project:
    """A repository without a checkout; `edits` are contents by path, None to delete."""

    def __init__(self, folder: Path, files: dict) -> None:
        self.folder = folder
        shutil.copytree(Path(_empty().name, ".git"), folder / ".git")
        self.git = Git(folder / ".git")
        self.base = self.commit(files, None)
        self._age = 0

    def tree(self, edits: dict, start: str | None) -> str:
        index = self.git.using(index=self.folder / "scratch")
        index("read-tree", start or EMPTY) if start else (self.folder / "scratch").unlink(missing_ok=True)
        pairs = {
            path: content if isinstance(content, tuple) else ("100644", content) for path, content in edits.items()
        }
        given = {path: data.encode() if isinstance(data, str) else data for path, (_, data) in pairs.items()}
        blobs = self.written([data for path, data in given.items() if data is not None and pairs[path][0] != "160000"])
        rows = b""
        for path, data in given.items():
            mode = pairs[path][0]
            if data is None:
                mode, oid = "0", "0" * 40
            else:
                oid = data.decode() if mode == "160000" else blobs[data]
            rows += f"{mode} {oid}\t".encode() + path.encode(errors="surrogateescape") + b"\0"
        index("update-index", "-z", "--index-info", stdin=rows)
        return index.line("write-tree")

    def written(self, contents: list[bytes]) -> dict[bytes, str]:
        """Write blobs, all of them by one process of git; return their names."""
        if len(contents) < 2:
            return {data: self.git.line("hash-object", "-w", "--stdin", stdin=data) for data in contents}
        with tempfile.TemporaryDirectory() as folder:
            files = [Path(folder, str(number)) for number in range(len(contents))]
            for file, data in zip(files, contents, strict=True):
                file.write_bytes(data)
            rows = "".join(f"{file}\n" for file in files).encode()
            names = self.git.line("hash-object", "-w", "--no-filters", "--stdin-paths", stdin=rows).splitlines()
        return dict(zip(contents, names, strict=True))

    def commit(self, edits: dict, parent: str | None, message: str = "work", author: str = "Ada") -> str:
        tree = self.tree(edits, parent)
        who = ("-c", f"user.name={author}", "-c", "user.email=a@example.org")
        return self.git.line(*who, "commit-tree", tree, *(["-p", parent] if parent else []), "-m", message)

    def patch(self, edits: dict, base: str | None = None) -> bytes:
        base = base or self.base
        return self.git("diff-tree", "-p", "--binary", "--full-index", "--no-renames", base, self.tree(edits, base))

    def submission(self, persona: str, edits: dict | bytes, **fields) -> PatchSubmission:
        self._age += 1
        base = fields.pop("base", self.base)
        patch = edits if isinstance(edits, bytes) else self.patch(edits, base)
        return PatchSubmission(
            **{
                "key": f"run-{persona}",
                "persona": persona,
                "base": base,
                "patch": patch,
                "age": self._age,
                "subject": f"{persona}'s work",
                "when": WHEN,
                "trailers": (("Team-Mail-Run", f"run-{persona}"), ("Team-Mail-Head", f"{self._age}:abc")),
            }
            | fields
        )

    def read(self, commit: str, path: str) -> str | None:
        shown = self.git.run("cat-file", "blob", f"{commit}:{path}")
        return None if shown.returncode else shown.stdout.decode()

    def files(self, commit: str) -> list[str]:
        return self.git.line("ls-tree", "-r", "--name-only", commit).splitlines()

    # -- contenders: first come, first served

    def by_three_way(self, submissions: list[PatchSubmission], tip: str) -> list[str]:
        """Apply patches one after the other with `git apply --3way`, without those that conflict."""
        index, landed = self.git.using(index=self.folder / "naive"), []
        index("read-tree", tip)
        for submission in submissions:
            before = (self.folder / "naive").read_bytes()
            if index.run("apply", "--cached", "--3way", "-", stdin=submission.patch).returncode:
                (self.folder / "naive").write_bytes(before)
            else:
                landed.append(submission.key)
        return landed

    def by_merge_tree(self, submissions: list[PatchSubmission], tip: str) -> list[str]:
        """Merge one after the other with `git merge-tree`, renames followed."""
        landed, who = [], ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "merge.renames=true")
        for submission in submissions:
            index = self.git.using(index=self.folder / "naive")
            index("read-tree", submission.base)
            index("apply", "--cached", "-", stdin=submission.patch)
            own = self.git.line(*who, "commit-tree", index.line("write-tree"), "-p", submission.base, "-m", "own")
            merged = self.git.run(*who, "merge-tree", "--write-tree", "--no-messages", tip, own)
            if merged.returncode == 0:
                tree = merged.stdout.decode().split()[0]
                tip = self.git.line(*who, "commit-tree", tree, "-p", tip, "-m", "landed")
                landed.append(submission.key)
        return landed
