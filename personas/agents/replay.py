"""An agent that replays recorded patches, one per persona and attempt."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from ...mail.log.disk import replacing
from ..agent import Job, Outcome
from ..errors import GitError
from ..git import Git
from ..kinds import OutcomeStatus
from ..running.folder import MERGED
from ..spending.usage import NO_MODEL


@dataclass(frozen=True)
class ReplayAgent:
    """Applies `<persona>.patch` from a folder on the first attempt, `<persona>.<n>.patch` on attempt n.

    Recorded patches are made against a commit, so the merge of an earlier one that conflicted is undone first. If no
    patch is recorded, the run ends well and changes nothing.

        >>> agent = ReplayAgent(Path("recordings"))  # which holds scribe.patch
        >>> agent.play(job).detail
        'applied scribe.patch'
    """

    folder: Path

    def trouble(self) -> str | None:
        """Return a message if the folder does not exist."""
        if self.folder.is_dir():
            return None
        return f"no folder {self.folder} to replay patches from; record them there as <persona>.patch, or correct it"

    def play(self, job: Job) -> Outcome:
        """Apply the recorded patch in the job's workspace; git's messages go to the output."""
        job.write_prompt()
        if job.stop.is_set():
            return Outcome.not_begun()
        log = job.folder / "output.log"
        number = "" if job.attempt == 1 else f".{job.attempt}"
        git = Git(job.workspace / ".git").using(work_tree=job.workspace)
        if (merged := job.workspace / MERGED).exists():
            git("apply", "-R", "--allow-empty", str(merged), cwd=job.workspace)
        patch = self.folder.absolute() / f"{job.persona}{number}.patch"
        if not patch.is_file():
            if os.path.lexists(patch):
                return Outcome(
                    OutcomeStatus.FAILED, None, 0.0, f"{patch.name} is no regular file; record a patch there"
                )
            _say(log, f"no {patch.name} is recorded\n")
            return Outcome(OutcomeStatus.OK, 0, 0.0, f"no {patch.name} is recorded: nothing changed", usage=NO_MODEL)
        try:
            git("apply", str(patch), cwd=job.workspace)
        except GitError as error:
            _say(log, error.stderr)
            return Outcome(
                OutcomeStatus.FAILED, error.exit, 0.0, f"{patch.name} does not apply: {error}", usage=NO_MODEL
            )
        _say(log, f"applied {patch.name}\n")
        return Outcome(OutcomeStatus.OK, 0, 0.0, f"applied {patch.name}", usage=NO_MODEL)


def _say(log: Path, text: str) -> None:
    with replacing(log, durable=False) as scratch:
        scratch.write_text(text)
