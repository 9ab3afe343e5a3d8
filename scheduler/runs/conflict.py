"""The files of a run whose earlier patch conflicted: that patch merged into its workspace, and all versions beside.

The weaver's mail tells the author to go on from there. Everything is written before the agent starts, by a git that
no agent can have changed; so the agent needs no git for it, and may have a `.git` that it cannot write.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, cast

from ...mail.home import RUN_FOLDER
from ...mail.log.blobs import BlobMissing
from ...mail.message import Message
from ...mail.render import line
from ...personas.agent import Outcome
from ...personas.capture.capture import patch_between
from ...personas.capture.confined import check_filters
from ...personas.git import Git
from ...personas.kinds import OutcomeStatus
from ...personas.persona import Persona
from ...personas.running.folder import CONFLICT, MERGED
from ...personas.workspace import Captured, Workspace
from ..context import Context
from ..payload import as_bytes, as_text
from ..weaver.applying import apply_all
from ..weaver.commit import WEAVER, changed_by
from ..weaver.index import write_index
from ..weaver.merging import Merging
from ..weaver.patch import Entry, PatchSubmission, WeaveLimits, text
from ..weaver.scratch import Quarantine, quarantine
from ..weaver.three_way import ConflictFile, Labels, ThreeWay, labelled, three_way
from ..weaver.tree import Applied, Tree, read_tree

_TYPE = "conflict"
_LONGEST = 600.0  # seconds for the files, in case one of the user's filters hangs
_MOST_AUTHORS = 3
_MOST_NAME = 80  # characters
_SHORT = 12


@dataclass
class ConflictFiles:
    """What one run is given of a conflict, and what it leaves of it. Without a repository, `workspace` is None.

    `patch` is how its workspace was changed before it began. `laid` tells that anything was written for it.
    """

    context: Context
    workspace: Workspace | None
    patch: bytes = b""
    laid: bool = False
    _marks: dict[bytes, frozenset[bytes]] = field(default_factory=dict[bytes, "frozenset[bytes]"])

    def lay(self, persona: Persona, messages: Sequence[Message]) -> None:
        """Merge the patch of the newest conflict mail into the workspace, in which no agent has begun.

        Its files are those of the merge then, and `.team/run/conflict` has the versions of those in conflict. A patch
        that is lost, or cannot be read any more, is left to its mail. Raises GitError, and OSError.
        """
        mails = [mail for mail in messages if _promises_merge(mail)]
        if self.workspace is None or not mails:
            return
        with suppress(BlobMissing), quarantine(self.context.git, self.workspace.base) as scratch:
            submission = self._submission(persona, max(mails, key=lambda mail: mail.seq))
            tree = read_tree(scratch, self.workspace.base)
            for each in apply_all(scratch, tree, [submission], WeaveLimits())[0]:
                self._write(self.workspace, scratch, tree, _merge(scratch, tree, each))

    def saved(self) -> dict[str, Any]:
        """Return what is known of the conflict, as JSON can hold it."""
        marks = [[as_text(file), [as_text(mark) for mark in marks]] for file, marks in self._marks.items()]
        return {"patch": as_text(self.patch), "laid": self.laid, "marks": marks}

    def restore(self, saved: Mapping[str, Any]) -> None:
        """Take back what `saved` returned for the same run. Raises KeyError, TypeError, ValueError."""
        self.patch, self.laid = as_bytes(saved["patch"]), bool(saved["laid"])
        self._marks = {as_bytes(file): frozenset(map(as_bytes, marks)) for file, marks in saved["marks"]}

    def untouched(self, captured: Captured | None) -> bool:
        """Tell whether a run left all files as it found them."""
        return captured is not None and captured.patch == self.patch

    def own(self, outcome: Outcome, captured: Captured) -> Captured:
        """Return what a run changed: nothing if it did not end well, and all files are as it was given them."""
        if outcome.status == OutcomeStatus.OK or not self.patch or not self.untouched(captured):
            return captured
        return captured._replace(patch=b"", files=(), insertions=0, deletions=0)

    def unsettled(self, captured: Captured | None) -> tuple[str, ...]:
        """Return the files in which a run left marks of a conflict."""
        if captured is None or not self._marks:
            return ()
        labels = {mark for marks in self._marks.values() for mark in marks if not mark.startswith(b"=")}
        return tuple(dict.fromkeys(text(file) for file, row in _added(captured.patch)
                                   if row in labels or row in self._marks.get(file, ())))  # fmt: skip

    def _submission(self, persona: Persona, mail: Message) -> PatchSubmission:
        """Return the patch as it was sent to the weaver. It may hold what a person approved: it lands only later."""
        payload = cast("dict[str, Any]", mail.payload) if isinstance(mail.payload, dict) else {}
        return PatchSubmission(
            str(payload.get("run", "")), persona.id, str(payload.get("base", "")),
            self.context.mailbox.blobs.read(mail.attachments[0]["sha256"]) if mail.attachments else b"",
            mail.seq, "", mail.ts, paths=persona.paths, approved=True,
        )  # fmt: skip

    def _write(self, workspace: Workspace, scratch: Quarantine, tree: Tree, merge: ThreeWay) -> None:
        goal = tree.changed(merge.changes).oid
        git = workspace.fresh_git(scratch.objects)
        _checked(git, "read-tree", "-m", "-u", workspace.base, goal)
        self.patch = patch_between(git, workspace.base, goal)
        self._marks = {file.path: frozenset(mark.rstrip(b"\r") for mark in file.marks) for file in merge.files}
        (workspace.path / RUN_FOLDER / CONFLICT).mkdir(parents=True, exist_ok=True)
        (workspace.path / MERGED).write_bytes(self.patch)
        self.laid = True
        for name, entries in _versions(merge.files):
            index = scratch.folder / f"{name}.index"
            write_index(index, entries, len(workspace.base))
            prefix = f"--prefix={RUN_FOLDER}/{CONFLICT}/{name}/"
            _checked(git.using(index=index), "checkout-index", "--all", "--force", prefix)


def _promises_merge(mail: Message) -> bool:
    """Tell whether a mail is the weaver's and says that the next workspace holds a merge; early ones did not."""
    payload = cast("dict[str, Any]", mail.payload) if isinstance(mail.payload, dict) else {}
    return mail.sender == WEAVER and mail.run is None and mail.type == _TYPE and payload.get("merged") is True


def _merge(scratch: Quarantine, tree: Tree, each: Applied) -> ThreeWay:
    (merge,) = Merging(scratch, WeaveLimits()).merge(tree, [each])
    conflict = three_way(scratch, tree, each, merge)
    return labelled(scratch, conflict, _labels(scratch, tree, each, conflict.files))


def _labels(scratch: Quarantine, tree: Tree, each: Applied, files: Sequence[ConflictFile]) -> Mapping[bytes, Labels]:
    """Say for each file who landed what the patch conflicts with."""
    names = [file.path.decode(errors="surrogateescape") for file in files if file.marked]
    authors: dict[str, list[str]] = {}
    base = each.submission.base
    for file, (persona, commit, run) in changed_by(scratch.git, [base], tree.commit, names)[base]:
        by = f"{line(persona)[:_MOST_NAME]} in {commit[:_SHORT]}{f' (run {line(run)[:_MOST_NAME]})' if run else ''}"
        authors.setdefault(file, []).append(by)
    return {
        file.path: (
            f"base: {each.submission.base[:_SHORT]}",
            f"ours: {'; '.join(authors.get(text(file.path), [])[:_MOST_AUTHORS]) or tree.commit[:_SHORT]}",
            f"theirs: your patch (run {line(each.submission.key)[:_MOST_NAME]})",
        )
        for file in files
    }


def _versions(files: Sequence[ConflictFile]) -> Iterator[tuple[str, dict[bytes, Entry]]]:
    """Yield the versions of all files in conflict, as one tree for each side."""
    for name in ("base", "ours", "theirs"):
        entries = {file.path: entry for file in files if (entry := getattr(file, name))}
        if entries:
            yield name, entries


def _added(patch: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the lines that a patch adds, each with its file."""
    file = b""
    for row in patch.split(b"\n"):
        if row.startswith(b"+++ b/"):
            file = row.removeprefix(b"+++ b/").rstrip(b"\t")
        elif row.startswith(b"+"):
            yield file, row[1:].rstrip(b"\r")


def _checked(git: Git, *words: str) -> None:
    ended = git.run(*words, timeout=_LONGEST)
    check_filters(ended)
    Git.output(words, ended)
