"""`team try` with the real agents and their presets: what the presets say was seen is seen again."""

from __future__ import annotations

import json
import re
from datetime import date

import pytest

from .clis import CLIS
from .test_agents import SETTLE

pytestmark = [pytest.mark.agents, pytest.mark.timeout(300)]
SCRIPT = (
    SETTLE,
    "mkdir -p trial && cat .team/run/attachments/*/word.txt > trial/word.txt",
    'team-mail send --to bob -s "The word" -b - < trial/word.txt',  # Gemini refuses a command in a command
)
# Aider is given whole files by the words of its model; nothing tells it the word in the mail.
WHOLE = """\
poem.txt
```
one
two, says bob, says ann
three
four
five
six
seven
eight, says cid, says ann
nine
ten
```

trial/word.txt
```
unknown
```
"""


def values(document, path):
    """Every value that a document has at a dotted path."""
    for name in path.split("."):
        document = document.get(name) if isinstance(document, dict) else None
    return [] if document is None else [document]


@pytest.mark.parametrize("cli", sorted(CLIS))
def test_a_trial_sees_what_the_preset_says_was_seen(project, model, cli):
    """Each step, in the version that the preset names, and nothing is left of the scratch repository."""
    known = project.cli.preset
    if cli == "aider":
        project.team("ann", args=["--edit-format", "whole", "--no-show-model-warnings"])
    else:
        project.team("ann")
    model.scripts = {"ann": {"": SCRIPT}}
    model.words["ann"] = WHOLE if cli == "aider" else "All four things are done."

    ended = project.run("team", "try", cli, "--yes", "--json", "--timeout", "2m")

    assert ended.stdout, ended.stderr
    (trial,) = json.loads(ended.stdout)["trials"]
    print(json.dumps(trial, indent=1))
    assert known.seen
    assert trial["version"] == known.seen.version
    assert [step["step"] for step in trial["steps"] if step["seen"]] == [*known.seen.steps], trial
    assert {step["step"] for step in trial["steps"] if step["known"]} == {*known.seen.missing}
    assert (ended.returncode, trial["works"]) == (0, True)
    assert known.seen.on <= date.today()  # noqa: DTZ011 - the day on which somebody looked
    state = project.home / ".local" / "state" / "team-mail"
    assert [*state.glob("try-*")] == []


@pytest.mark.parametrize("cli", sorted(CLIS))
def test_the_output_has_the_fields_that_the_preset_names(project, model, cli):
    """What tells tokens and money stands in some event of what the agent printed."""
    known = project.cli.preset
    project.team("ann", "bob")
    model.scripts = {"ann": {"": ("echo A > a.txt",)}}
    model.words["ann"] = "poem.txt\n```\none\n```\n" if cli == "aider" else "Done."
    project.dispatch({"task_id": "try", "agent": "ann", "description": "Change poem.txt"})

    (log,) = (project.folder / ".team" / "runs").glob("*/output.log")
    events = [json.loads(row) for row in log.read_text(errors="replace").splitlines() if row.startswith("{")]
    project.record("done")
    told = (*known.tokens, *([known.money] if known.money else []))
    for field in told if known.stream == "json" else ():
        assert [value for event in events for value in values(event, field)], f"{field}: {log.read_text()[-3000:]}"
    assert bool(events) == (known.stream == "json")


@pytest.mark.parametrize("cli", sorted(CLIS))
def test_the_program_still_has_the_flags_of_its_preset(project, cli):
    """What its help does not name any more, a user would meet as an error. Codex has a help for each command."""
    known = project.cli.preset
    words = [word for word in known.words("a-model") if word.startswith("-") and word != "-"]
    commands = [word for word in known.command[1:2] if not word.startswith("-")]
    text = project.program(known.program, *commands, "--help")
    missing = [word for word in words if not re.search(rf"(?<![\w-]){re.escape(word)}\b", text)]
    assert missing == []
    if known.resume:
        assert re.search(rf"(?<![\w-]){re.escape(known.resume[0])}\b", text)


@pytest.mark.parametrize("cli", sorted(CLIS.keys() - {"aider"}))
def test_the_way_of_the_readme_lands_a_patch_and_sends_mail(project, model, cli):
    """`team init`, a commit, a sprint, `land`: nothing is edited, and no setting is made but where the model is."""
    project.only()
    project.environ |= {"GEMINI_MODEL": "gemini-2.5-flash"}  # else it asks another model which one to take
    model.scripts = {
        "forge": {
            "From: scribe": (),
            "": (
                "mkdir -p notes && echo new > notes/new.md",
                'team-mail send --to scribe -s "New" -b "Look at notes."',
            ),
        }
    }

    project.git("add", "poem.txt")
    project.git("commit", "--quiet", "-m", "Begin")
    made = project.run("team", "init")
    assert (made.returncode, f"found here: {cli}; {cli} plays" in made.stdout) == (0, True), made.stdout + made.stderr
    project.git("add", ".team")
    project.git("commit", "--quiet", "-m", "Add a team")
    dry = project.run("scheduler", "--dry-run")
    ended = project.run("scheduler", "sprint")
    landed = project.run("scheduler", "land", "1")

    assert dry.returncode == 0, dry.stderr
    assert "note: agent" not in dry.stdout, dry.stdout
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert landed.returncode == 0, landed.stderr
    assert project.git("show", "main:notes/new.md") == "new"
    sent = [(event["sender"], *event["recipients"]) for event in project.events("mail.sent") if event.get("run")]
    assert ("forge", "scribe") in sent


@pytest.mark.parametrize("cli", ["claude"])
def test_a_trial_tells_which_tools_are_denied(project, model, cli):
    """Without a list of allowed tools Claude may do nothing, says success, and exits with 0."""
    command = [*project.cli.preset.words()]
    at = command.index("--allowedTools")
    project.team("ann", command=command[:at] + command[at + 2 :])
    model.scripts = {"ann": {"": SCRIPT}}

    ended = project.run("team", "try", cli, "--yes", "--json", "--timeout", "2m")

    (trial,) = json.loads(ended.stdout)["trials"]
    assert ended.returncode == 1
    told = {step["step"]: step["repair"] for step in trial["steps"]}
    why = "denied Bash: add Bash to the list after --allowedTools in its command"
    assert told == {"write": why, "send": why, "read": why, "settle": why, "end": None}


@pytest.mark.parametrize("cli", ["codex", "qwen"])
def test_a_trial_tells_what_a_model_that_refuses_the_key_says(project, model, cli):
    """It ends, or is ended, and the answer of the model is in the repair."""
    project.team("ann")
    project.listen("denied")

    ended = project.run("team", "try", cli, "--yes", "--json", "--timeout", "20s")

    (trial,) = json.loads(ended.stdout)["trials"]
    print(json.dumps(trial, indent=1))
    assert ended.returncode == 1
    end = trial["steps"][-1]
    assert not end["seen"]
    assert re.search("401|this key is not known here", end["repair"])
