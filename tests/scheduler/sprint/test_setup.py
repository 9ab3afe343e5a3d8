"""The set-up of workspaces in whole sprints: what agents and gates find, and what becomes of it when it fails."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from team_mail.scheduler.errors import NotReady
from team_mail.scheduler.runs.batch import BatchRunner
from team_mail.scheduler.runs.progress import SetUpFailed
from team_mail.scheduler.sprint.decide import StartRequest
from team_mail.scheduler.sprint.loop import run_sprint
from team_mail.scheduler.sprint.preview import look_ahead
from team_mail.scheduler.sprint.tick import Ticker
from team_mail.scheduler.state.metrics import measure
from team_mail.team.show.report import lines

ONE = StartRequest("asked for", personas=("ann",))


def workspace(**settings) -> str:
    return "[workspace]\n" + "".join(f"{name} = {json.dumps(value)}\n" for name, value in settings.items())


def shell(script: str) -> list[str]:
    return ["sh", "-c", script]


def finished(team) -> list[dict]:
    return [event.data for event in team.context().mailbox.log.read() if event.kind == "run.finished"]


def judged(team) -> list[dict]:
    """List the verdicts of the team's own gates, without those that a test put on record."""
    events = (event.data for event in team.context().mailbox.log.read() if event.kind == "gate.judged")
    return [data for data in events if data["tick"]]


@pytest.fixture
def ignoring(team):
    """The team's repository ignores `.env` and `made/`, and has a `.env`."""
    (team.folder / ".gitignore").write_text(".env\nmade/\n")
    team.git("add", ".gitignore")
    team.git("commit", "-qm", "Ignore")
    (team.folder / ".env").write_text("KEY=1\n")
    return team


def test_an_agent_finds_its_files_and_what_the_setup_made(ignoring):
    """The set-up runs once, after the copies, without mail and secrets; its time and output are on record."""
    seen = {}

    def play(job):
        seen.update(env=(job.workspace / ".env").read_text(), made=(job.workspace / "made/tool").read_text())
        seen.update(slot=job.slot, port=job.port, mail=(job.workspace / ".team/run/refused").exists())
        ignoring.replaced(3, "ann")(job)

    script = 'mkdir made; cat .env > made/tool; echo "slot {slot} $TEAM_SLOT $TEAM_PERSONA"; '
    script += f"{Path(sys.executable).with_name('team-mail')} inbox || true"
    settings = workspace(copy=[".env"], setup=[shell(script), ["true"]], port=47_000)
    assert ignoring.sprint({"ann": play}, settings, ONE).converged

    (data,) = finished(ignoring)
    assert (seen["env"], seen["made"], seen["slot"], seen["mail"]) == ("KEY=1\n", "KEY=1\n", 0, False)
    assert seen["port"] >= 47_000
    assert (data["workspace"]["status"], data["workspace"]["exit"], data["workspace"]["copied"]) == ("ok", 0, [".env"])
    assert data["workspace"]["seconds"] > 0
    printed = ignoring.context().mailbox.blobs.read(data["workspace"]["output"]["sha256"]).decode()
    assert "slot 0 0 \n" in printed
    assert "$ true\n" in printed
    assert "has no mail" in printed


def test_copies_and_caches_are_never_part_of_a_patch(ignoring):
    """Not even if the agent empties the ignore file and changes the copies; it may change anything else."""

    def play(job):
        (job.workspace / ".gitignore").write_text("made/\n")
        (job.workspace / ".env").write_text("KEY=2\n")
        (job.workspace / "store").unlink()
        (job.workspace / "store").mkdir()
        (job.workspace / "store" / "big").write_text("big\n")

    assert ignoring.sprint({"ann": play}, workspace(copy=[".env", "note.txt"], cache=["store"]), ONE).converged

    assert ignoring.git("diff", "--name-only", "main", "team/sprint-1") == ".gitignore"
    (data,) = finished(ignoring)
    assert data["workspace"] == {
        "copied": [".env"], "caches": ["store"], "notes": ["copy 'note.txt' names no file of your checkout"],
    }  # fmt: skip


def test_what_the_setup_leaves_is_no_part_of_a_patch(team):
    """Neither a new file nor a changed one, unless the agent changes it further."""

    def play(job):
        (job.workspace / "new.txt").write_text("ann's\n")

    def edit(job):
        (job.workspace / "kept.txt").write_text("bob's\n")

    script = "sed -i s/line.2/changed/ poem.txt; echo kept > kept.txt; echo more > more.txt"
    team.sprint({"ann": play, "bob": edit}, workspace(setup=shell(script)), StartRequest("a", personas=("ann", "bob")))

    assert team.git("diff", "--name-only", "main", "team/sprint-1").split() == ["kept.txt", "new.txt"]
    assert team.text("team/sprint-1", "kept.txt") == ["bob's"]


def test_a_setup_that_fails_is_no_attempt_and_does_not_loop(team):
    """It is tried three times, with pauses; then the persona is set aside, and the human has the output by mail."""
    played, progress = [], []
    settings = "[sprint]\nmax_attempts = 1\nretry_backoff = '0s'\n"
    settings += workspace(setup=shell("echo no network; echo it is off >&2; exit 7"))
    context = team.context({"ann": played.append}, settings)
    result = run_sprint(Ticker(context, BatchRunner(context, progress.append)), ONE)

    assert result
    assert (result.converged, result.outcome, result.runs, played) == (False, "spent", 3, [])
    assert {data["status"] for data in finished(team)} == {"setup"}
    (first, *_) = finished(team)
    assert (first["exit"], first["seconds"]) == (7, 0.0)
    metrics = measure(context.state(), context.state().sprints[0], context.clock.now())
    assert (metrics.runs, len(metrics.setups), metrics.busy) == ({"setup": 3}, 3, 0.0)
    assert any("in 3 workspaces, before their agents" in text for text in lines(metrics))
    assert first["detail"] == "set-up failed: sh -c 'echo no network; echo it is off >&2; exit 7': exit 7: it is off"
    told = [each for each in progress if isinstance(each, SetUpFailed)]
    assert len(told) == 3
    assert told[0].output[-2:] == ("no network", "it is off")
    (mail,) = (mail for mail in context.mailbox.inbox("you") if mail.type == "escalate")
    body = context.mailbox.read("you", mail.id, peek=True).body
    assert "the set-up of its workspace failed 3 times" in mail.subject
    assert "The output of the last set-up ends with:" in body
    assert "  | it is off" in body


def test_a_setup_that_fails_for_everybody_is_tried_three_times_for_each(team):
    """Its agents cannot be to blame, for none started; the mail says what to look at."""
    settings = "[sprint]\nretry_backoff = '0s'\n" + workspace(setup=["false"])
    result = team.sprint({}, settings)

    people = sorted(persona.id for persona in team.context().roster.personas if persona.scheduled)
    assert (result.converged, result.outcome, result.runs) == (False, "spent", 3 * len(people))
    assert list(result.set_aside) == people
    (mail,) = (mail for mail in team.context().mailbox.inbox("you") if mail.type == "status")
    assert "look at the set-up, not at the personas" in team.context().mailbox.read("you", mail.id, peek=True).body


def test_a_setup_that_was_killed_has_no_last_words(team):
    """What it printed before has nothing to do with it."""
    settings = "[sprint]\nretry_backoff = '0s'\n" + workspace(setup=shell("echo TEAM_PORT=20020; kill -KILL $$"))
    team.sprint({}, settings, ONE)

    assert finished(team)[0]["detail"].endswith("kill -KILL $$': killed by SIGKILL")


def test_a_setup_that_recovers_is_followed_by_the_agent(team, tmp_path):
    """All attempts of the agent are left."""
    settings = "[sprint]\nmax_attempts = 1\nretry_backoff = '0s'\n"
    settings += workspace(setup=shell(f"mkdir {tmp_path}/once && exit 1 || exit 0"))

    assert team.sprint({"ann": team.replaced(3, "ann")}, settings, ONE).converged is True
    assert [data["status"] for data in finished(team)] == ["setup", "ok"]


def test_a_setup_has_a_time_limit(team):
    """Its processes end with it."""
    settings = "[sprint]\nretry_backoff = '0s'\n" + workspace(setup=["sleep", "60"], setup_timeout="1s")
    team.sprint({}, settings, ONE)

    assert "sleep 60: no end within 1s" in finished(team)[0]["detail"]


def test_a_setup_that_cannot_be_found_is_told_before_anything_starts(team):
    """As for gates and agents."""
    ticker = team.ticker({}, workspace(setup=["no-such-tool", "ci"]))

    assert "'no-such-tool' is not in PATH" in look_ahead(ticker, ONE).troubles[0]
    with pytest.raises(NotReady, match="no-such-tool"):
        run_sprint(ticker, ONE)
    assert team.kinds("sprint") == []


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        (workspace(setup=[["true"], ["sh", "-c", "exit {foo}"]]), "set-up: {foo} is not a placeholder; use one of"),
        ('[gates.tests]\ncommand = ["sh", "-c", "exit {persona}"]\n', "gate tests: {persona} is not a placeholder"),
    ],
)
def test_an_unknown_placeholder_is_told_before_anything_starts(team, settings, why):
    """As in the command of an agent; other braces are left to the shell."""
    ticker = team.ticker({}, settings)

    assert look_ahead(ticker, ONE).troubles[0].startswith(why)
    with pytest.raises(NotReady, match="is not a placeholder"):
        run_sprint(ticker, ONE)
    fine = team.ticker({}, workspace(setup=["sh", "-c", "echo ${HOME} {slot} | awk '{print}' | find -exec ls {} +"]))
    assert look_ahead(fine, ONE).troubles == ()


def test_a_dry_run_notes_caches_and_inputs_that_come_to_nothing(ignoring):
    """A cache where git tracks files, and inputs that no commit has."""
    ticker = ignoring.ticker(
        {}, workspace(cache=["poem.txt", ".cache"], setup=["true"], setup_inputs=["poem.txt", "nosuch.lock"])
    )

    assert look_ahead(ticker, ONE).setup.notes == (
        "cache poem.txt is not shared: git tracks it",
        "setup_inputs 'nosuch.lock' names no file that git tracks",
    )


def test_a_dry_run_names_what_would_be_copied_and_run(ignoring):
    """Nothing is written."""
    ticker = ignoring.ticker({}, workspace(copy=[".env", "gone"], setup=["make", "ready"], cache=[".cache"]))

    setup = look_ahead(ticker, ONE).setup

    assert setup.document() == {
        "copy": [".env"], "cache": [".cache"], "run": [["make", "ready"]],
        "notes": ["copy 'gone' names no file of your checkout"],
    }  # fmt: skip
    assert not Path(ticker.context.mirror.root / "caches").exists()


def test_runs_that_live_at_once_have_slots_of_their_own(team):
    """Three runs have three slots, and three times ten ports."""
    seen = {}

    def play(job):
        seen[job.persona] = (job.slot, job.port)
        while len(seen) < 3 and not job.stop.wait(0.01):
            pass

    team.sprint(dict.fromkeys(("ann", "bob", "cyd"), play), "[workspace]\nport = 48000\n")

    slots, ports = zip(*seen.values(), strict=True)
    assert sorted(slots) == [0, 1, 2]
    assert all(abs(one - two) >= 10 for one in ports for two in ports if one is not two and one != two)
    assert len(set(ports)) == 3


def test_a_run_is_told_the_rules_and_the_model_of_its_persona(team):
    seen = {}
    file = team.folder / ".team/personas/ann.md"
    file.write_text("---\npaths: [docs/**]\ncommands: [npm test]\nmodel: small\n---\nDo your part.\n")

    def play(job):
        seen[job.persona] = (job.rules.paths, job.rules.commands, job.model)

    team.sprint(dict.fromkeys(("ann", "bob"), play))
    assert seen == {"ann": (("docs/**",), ("npm test",), "small"), "bob": (None, None, "")}


# -- gates


def gated(script: str = "cat made/tool", **settings) -> str:
    return f"[gates.tests]\ncommand = {json.dumps(shell(script))}\n" + workspace(**settings)


def test_a_gate_gets_the_setup_once_for_unchanged_inputs(ignoring, tmp_path):
    """The second gate finds what the first one's set-up left, at the same path; a changed lock file sets up anew."""
    (ignoring.folder / "lock").write_text("1\n")
    ignoring.git("add", "lock")
    ignoring.git("commit", "-qm", "Lock")
    script = f"mkdir made; pwd > made/tool; chmod 500 made; cat .env; pwd >> {tmp_path}/setups"
    settings = gated(
        f"test -e made/tool && test -e .env && cat made/tool >> {tmp_path}/gates",
        setup=shell(script), setup_inputs=["lock"], copy=[".env"],
    )  # fmt: skip
    setups = tmp_path / "setups"
    ignoring.know_green(settings)

    def rows(name):
        return (tmp_path / name).read_text().splitlines()

    assert ignoring.sprint({"ann": ignoring.replaced(3, "one")}, settings, ONE).converged
    assert len(rows("setups")) == 2  # one run, one gate
    assert ignoring.sprint({"ann": ignoring.replaced(5, "two")}, settings, ONE).converged
    assert len(rows("setups")) == 3  # one run
    assert [data["workspace"].get("reused", False) for data in judged(ignoring)] == [False, True]
    assert len(set(rows("gates"))) == 1
    assert set(rows("gates")) <= set(setups.read_text().splitlines())

    def relock(job):
        (job.workspace / "lock").write_text("2\n")

    assert ignoring.sprint({"ann": relock}, settings, ONE).converged
    assert len(rows("setups")) == 5  # one run, one gate
    (ignoring.folder / ".env").write_text("KEY=2\n")
    assert ignoring.sprint({"ann": ignoring.replaced(7, "three")}, settings, ONE).converged
    assert len(rows("setups")) == 7, "a copied file that changed counts as an input"


def test_without_inputs_every_gate_sets_up(ignoring, tmp_path):
    """Nothing says when the same would come of it."""
    settings = gated("true", setup=shell(f"echo x >> {tmp_path}/setups"))
    ignoring.know_green(settings)
    for number in (1, 2):
        assert ignoring.sprint({"ann": ignoring.replaced(number, f"{number}")}, settings, ONE).converged

    assert (tmp_path / "setups").read_text() == "x\n" * 4


def test_a_patch_that_breaks_the_setup_is_rejected(team):
    """The set-up of a gate is part of what it judges; the author gets its output."""

    def break_setup(job):
        (job.workspace / "broken").write_text("yes\n")

    script = "if test -e broken; then echo cannot build; exit 3; fi"
    settings = "[sprint]\nmax_attempts = 1\n" + gated("true", setup=shell(script), setup_inputs=["poem.txt", "broken"])
    people = StartRequest("asked for", personas=("ann", "bob"))
    result = team.sprint({"ann": break_setup, "bob": team.replaced(3, "bob")}, settings, people)

    assert [*result.landed] == ["bob"]
    (mail,) = team.context().mailbox.inbox("ann")
    assert "cannot build" in team.context().mailbox.read("ann", mail.id, peek=True).body


def test_a_gate_has_caches_of_its_own(team):
    """It finds what another gate left, and nothing that a run has written."""

    def play(job):
        assert (job.workspace / "cache").is_symlink()
        (job.workspace / "cache" / "poison").write_text("from a run\n")
        team.replaced(3, "ann")(job)

    settings = gated(
        "test ! -e cache/poison && echo mine > cache/own && test {slot}:{port} = $TEAM_SLOT:$TEAM_PORT", cache=["cache"]
    )
    assert team.sprint({"ann": play}, settings, ONE).converged

    root = team.context().mirror.root
    assert [path.name for path in (root / "caches/runs/cache").iterdir()] == ["poison"]
    assert [path.name for path in (root / "caches/gates/cache").iterdir()] == ["own"]
    assert (judged(team)[0]["passed"], judged(team)[0]["workspace"]) == (True, {"caches": ["cache"]})


def test_slots_are_given_back(team):
    """Nothing is left of a sprint but caches."""
    assert team.sprint({"ann": team.replaced(3, "ann")}, gated("true"), ONE).converged

    assert [path.name for path in (team.context().mirror.root / "slots").iterdir()] == ["lock"]
