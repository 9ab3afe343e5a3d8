"""The mail about what a run left: commits beside its patch, and mail that could not be sent."""

from __future__ import annotations

from collections.abc import Sequence

from ...mail.letter import Letter
from ...mail.render import line, listed
from ...mail.text.units import counted
from ...personas.capture.capture import Captured
from ...personas.running.folder import Unsent
from .launch import Launch

_SHORT = 8


def about_kept(launch: Launch, captured: Captured, human: str) -> Letter:
    """Tell the human what of a run's work is not in its patch. The bundles are attached, so they are durable first."""
    names = [f"{launch.persona}-{number}.bundle" for number in range(1, len(captured.kept) + 1)]
    short = launch.run[-_SHORT:]
    body = [
        f"{launch.persona} made commits that its patch does not have (run {launch.run}).",
        "Nothing of them lands by itself; they are attached, each repository's as a git bundle:",
        "",
    ]
    for name, kept in zip(names, captured.kept, strict=True):
        where = f" of the {line(kept.where)}" if kept.where else ""
        body += [
            f"{name}: {counted(kept.commits, 'commit')}{where}",
            *(f"- {line(head)}" for head in kept.heads),
            "",
            f"    team-mail attachment N {name} -o {name}",
            f"    git fetch {name} 'refs/heads/*:refs/heads/{launch.persona}-{short}/*'",
            "",
        ]
    body += ["N is the number of this mail. Run the second command in the repository, or in the submodule, it is of."]
    if any(kept.where for kept in captured.kept):
        body += [
            "A patch that points a submodule to such a commit waits for your approval:",
            "before you approve it, fetch the commit there and publish it, or nobody else can check it out.",
        ]
    subject = f"{launch.persona}: {listed([line(head) for kept in captured.kept for head in kept.heads])} kept"
    payload = {
        "of": launch.run,
        "kept": [{"where": kept.where, "heads": [*kept.heads], "commits": kept.commits} for kept in captured.kept],
    }
    return Letter(
        "scheduler", [human], subject[:200], "\n".join(body), type="escalate", payload=payload, priority="high",
        attachments=[(name, kept.bundle) for name, kept in zip(names, captured.kept, strict=True)],
        key=f"kept {launch.run}",
    )  # fmt: skip


def about_unsent(launch: Launch, unsent: Sequence[Unsent]) -> Letter:
    """Tell a persona which of its mails were not sent, and why. Their texts are attached."""
    body = [
        f"{counted(len(unsent), 'mail')} in the outbox of your run {launch.run} could not be sent:",
        "",
        *(f"- {line(mail.name)}: {line(mail.why)}" for mail in unsent),
        "",
        "Their texts are attached. Send again what still matters.",
    ]
    return Letter(
        "scheduler", [launch.persona], f"Not sent: {listed([line(mail.name) for mail in unsent], 3)}"[:200],
        "\n".join(body), payload={"of": launch.run, "unsent": [mail.name for mail in unsent]},
        attachments=[(mail.name, mail.text) for mail in unsent if mail.text], key=f"unsent {launch.run}",
    )  # fmt: skip
