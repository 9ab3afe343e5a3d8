"""The private clone in which a gate judges a commit, prepared like that of a run.

A set-up whose inputs have not changed is not run again: what it left is put in place. So the clone lies at the same
path each time, as far as gates do not run at once.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from ...mail.errors import TeamMailError
from ...mail.text.globs import matches
from ...personas.agent import Job
from ...personas.environment import filled
from ...personas.setup.caches import FOLDER as CACHES
from ...personas.setup.caches import GATES
from ...personas.setup.copies import digest_of
from ...personas.setup.preparation import NOTHING, Prepared, SetUp, furnish, set_up
from ...personas.setup.slots import Slot
from ...personas.setup.store import FOLDER as SETUPS
from ...personas.setup.store import SetUpStore, key_of, untracked
from ...personas.workspace import Workspace
from ..context import Context
from ..setup import setup_of, slots_of


@dataclass(frozen=True)
class GateClone:
    """A clone of a commit, for the team in `home`.

    `folder` is for the gate's output, and `prepare` is called with the gate's job.
    """

    path: Path
    home: Path
    folder: Path
    slot: Slot
    prepare: Callable[[Job], Prepared] = lambda _: NOTHING


@contextmanager
def checkout(context: Context, commit: str) -> Generator[GateClone]:
    """Provide a private clone of a commit, in which a gate runs. Raises GitError, NotPrepared, OSError."""
    with (
        tempfile.TemporaryDirectory(prefix="team-mail-gate-") as folder,
        slots_of(context).taken(Path(folder)) as slot,
    ):
        workspace = context.mirror.workspace(f"gate-{slot.number}", commit, "gate")
        try:
            prepare = _Preparation(context, workspace, commit).prepare
            yield GateClone(workspace.path, context.home, Path(folder), slot, prepare)
        finally:
            with suppress(OSError, TeamMailError):  # what cannot be removed costs room, not a verdict
                workspace.remove()


@dataclass(frozen=True)
class _Preparation:
    context: Context
    workspace: Workspace
    commit: str

    def prepare(self, job: Job) -> Prepared:
        """Furnish the clone, and run the set-up unless its result is kept."""
        setup, top, path = setup_of(self.context), self.context.top, self.workspace.path
        furnished = furnish(setup, top, self.context.mirror.root / CACHES / GATES, path)
        job = replace(job, folder=job.folder / "setup", timeout=setup.timeout)
        files = self._files() if setup.commands and setup.inputs else dict[str, str]()
        inputs = {name: oid for name, oid in files.items() if matches(name, setup.inputs)}
        if not inputs:  # nothing says when the set-up would do the same again
            return _joined(furnished, set_up(setup, job))
        store = SetUpStore(self.context.mirror.folder / SETUPS)
        key = self._key(setup, job, furnished, inputs)
        if (output := store.restore(key, path)) is not None:
            return replace(furnished, reused=True, output=output)
        done = set_up(setup, job)
        if not done.failed and not any(change.tracked for change in self.workspace.changes()):
            names = [*untracked(path, {*files, *furnished.copied, *furnished.caches})]
            store.keep(key, path, names, done.output)
        return _joined(furnished, done)

    def _files(self) -> Mapping[str, str]:
        """Return the files of the commit, with the ids of their contents."""
        rows = self.context.git.line("ls-tree", "-r", "-z", "--full-tree", self.commit).split("\0")
        parted = [row.partition("\t") for row in rows if row]
        return {name: entry.split(" ")[2] for entry, _, name in parted}

    def _key(self, setup: SetUp, job: Job, furnished: Prepared, inputs: Mapping[str, str]) -> str:
        values = {"workspace": str(job.workspace), "slot": str(job.slot), "port": str(job.port)}
        commands = [[filled(word, values) for word in command] for command in setup.commands]
        copied = [*digest_of(self.context.top, furnished.copied)]
        return key_of(commands, str(job.workspace), sorted(inputs.items()), copied, furnished.caches)


def _joined(furnished: Prepared, done: Prepared) -> Prepared:
    return replace(furnished, outcome=done.outcome, output=done.output)
