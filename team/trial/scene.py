"""The scratch repository of a trial: a team of three, a poem whose lines they change at once, and a word in a mail.

Two of the three are played by functions, which change what the third one changes, too. So the weaver lands theirs, and
writes a conflict mail to the third, whom the agent on trial plays in its next run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ...mail.letter import Letter
from ...personas.agent import Job
from ...personas.agents.function import FunctionAgent
from ...personas.git import Git
from ...scheduler.context import Context
from ...scheduler.settings.settings import (
    AgentSettings,
    PriceSettings,
    Settings,
    SprintSettings,
    TeamSettings,
    WorkspaceSettings,
)
from ..open import open_with

TRIED, OTHERS = "ann", ("bob", "cid")
POEM, NOTE = "poem.txt", "trial/word.txt"
PREPARED = "of-the-trial"
KEPT = ("one", "ten")  # lines that nobody changes
_LINES = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
_CHANGES = {TRIED: (1, 7), "bob": (1,), "cid": (7,)}  # lines: those of `ann` conflict with both others'
_PROMPT = """\
This is a trial of your tools, in a small repository made for it. Do these four things, in this order, and then end:

1. Settle the conflict that the mail from `weaver` is about, in `{poem}`: keep the words of everybody on the lines in
   conflict, and leave no mark of a conflict.
2. Read the word that is attached to the mail from `bob`: it is in a file `word.txt` below `.team/run/attachments`.
3. Write that word into a new file `{note}`, with nothing else in it.
4. Answer by mail: `team-mail send --to bob -s "The word" -b "WORD"`, with the word in the place of WORD.

Change no other file, and run no other tests than you need."""


@dataclass(frozen=True)
class Scene:
    """A scratch team. `word` stands in a mail that only a run can read, and `folder` holds all of it.

    `prices` are those of the user, by model.
    """

    folder: Path
    agent: str
    settings: AgentSettings
    word: str
    prices: Mapping[str, PriceSettings]

    @property
    def project(self) -> Path:
        """The checkout of the scratch repository."""
        return self.folder / "project"

    def make(self) -> None:
        """Make the repository and the team."""
        personas = self.project / ".team" / "personas"
        personas.mkdir(parents=True)
        (self.project / POEM).write_text("".join(f"{line}\n" for line in _LINES))
        for name in (TRIED, *OTHERS):
            agent = self.agent if name == TRIED else PREPARED
            text = _PROMPT.format(poem=POEM, note=NOTE) if name == TRIED else "Change the poem."
            (personas / f"{name}.md").write_text(f"---\nid: {name}\nagent: {agent}\n---\n{text}\n")
        git = Git(self.project / ".git").using(work_tree=self.project)
        git("init", "--quiet", "--initial-branch=main", cwd=self.project)
        git("add", "--all", cwd=self.project)
        who = ("-c", "user.name=team-mail", "-c", "user.email=trial@team-mail.invalid")
        git(*who, "commit", "--quiet", "--message=Begin", cwd=self.project)

    def open(self, *, real: bool) -> Context:
        """Open the team: played by the agent on trial, or to prepare its run by functions alone."""
        settings = Settings(
            team=TeamSettings(agent=PREPARED),
            agents={self.agent: self.settings},
            sprint=SprintSettings(max_attempts=2, retry_backoff=0.0, fallback_above=1.0, rolling="never"),
            workspace=WorkspaceSettings(root=str(self.folder / "work")),
            prices=self.prices,
        )
        played = FunctionAgent(_change)
        return open_with(
            self.project / ".team", settings, {PREPARED: played} if real else {PREPARED: played, self.agent: played}
        )

    def write_mail(self, context: Context) -> None:
        """Send the mail with the word, which is in no prompt."""
        word = ("word.txt", f"{self.word}\n".encode())
        context.mailbox.send(Letter("bob", [TRIED], "A word", "It is in the attachment.", attachments=[word]))


def _change(job: Job) -> None:
    """Change the poem as a persona of the scene does in its first run."""
    poem = job.workspace / POEM
    lines = poem.read_text().splitlines()
    if job.attempt == 1:
        for at in _CHANGES[job.persona]:
            lines[at] = f"{lines[at]}, says {job.persona}"
        poem.write_text("".join(f"{line}\n" for line in lines))
