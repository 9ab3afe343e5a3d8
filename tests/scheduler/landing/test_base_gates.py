"""Gates on the base of a sprint: said before anything starts, judged beside the first runs, and never silently red."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from team_mail.scheduler.moments.history import report
from team_mail.scheduler.sprint.decide import StartRequest
from team_mail.scheduler.sprint.preview import look_ahead
from team_mail.team.open import open_team

ASKED = StartRequest("asked for")
RED = '[gates.tests]\ncommand = ["false"]\n'


def events(team, kind):
    return [event.data for event in open_team(team.home, {}).mailbox.log.read() if event.kind == kind]


def until(there):
    deadline = time.monotonic() + 30
    while not there():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def waits(team, file, then):
    """Return a script that ends once a file is there."""

    def play(job):
        until(file.exists)
        then(job)

    return play


def test_the_base_is_judged_while_the_first_runs_work(team, tmp_path):
    """The run waits for the gate: neither is first for long."""
    settings = f'[gates.tests]\ncommand = ["touch", "{tmp_path}/judged"]\n'

    result = team.sprint({"ann": waits(team, tmp_path / "judged", team.replaced(3, "ann"))}, settings)

    assert (result.converged, result.unjudged) == (True, ())
    first = events(team, "gate.judged")[0]
    assert (first["commit"], first["on_base"], first["passed"]) == (team.git("rev-parse", "main"), True, True)


def test_a_base_that_passed_before_is_not_judged_again(team):
    """What is on record of its tree is enough, and the dry run says nothing of it."""
    settings = '[gates.tests]\ncommand = ["true"]\n'
    (text,) = look_ahead(team.ticker({}, settings), ASKED).gates
    assert text.startswith(f"gate tests was not tried on the base, {team.git('rev-parse', 'main')[:12]}, yet: it is,")
    team.know_green(settings)

    assert look_ahead(team.ticker({}, settings), ASKED).gates == ()
    team.sprint({"ann": team.replaced(3, "ann")}, settings)
    assert [data for data in events(team, "gate.judged") if data.get("on_base")] == []


@pytest.mark.parametrize("rolling", ["always", "never"])
def test_a_sprint_whose_gate_is_red_on_the_base_has_not_converged(team, rolling):
    """What is woven lands; outcome and mail say that nothing was judged, and so does the next dry run, unasked."""
    result = team.sprint({"ann": team.replaced(3, "ann")}, f'[sprint]\nrolling = "{rolling}"\n{RED}')

    assert (result.outcome, result.converged, result.landed) == ("unjudged", False, ("ann",))
    assert result.document()["unjudged"] == ["tests"]
    subjects = [mail.subject for mail in team.context().mailbox.inbox("you")]
    assert "Gate tests was red before the sprint's work" in subjects
    assert "Sprint 1 did not converge: unjudged, 1 landed" in subjects
    before = len(events(team, "gate.started"))
    (text,) = look_ahead(team.ticker({}, RED), ASKED).gates
    assert "is red on the base" in text
    assert len(events(team, "gate.started")) == before


def test_a_patch_that_mends_the_gate_is_judged(team):
    """The sprint converges: what landed has passed."""
    settings = '[gates.tests]\ncommand = ["grep", "-q", "mended", "poem.txt"]\n'

    result = team.sprint({"ann": team.replaced(3, "mended")}, settings)

    assert (result.outcome, result.unjudged) == ("converged", ())


def test_with_stop_nobody_is_launched_once_the_base_is_known_to_be_red(team, tmp_path):
    """The first sprint finds it out beside its runs, and launches nobody twice; the second launches nobody at all."""
    settings = f'[sprint]\nred_base = "stop"\nmax_parallel = 1\n{RED}'
    log = team.home / "mail" / "events.jsonl"

    def play(job):
        until(lambda: log.read_text().count("gate.judged") >= 2)
        team.replaced(3, "ann")(job)

    first = team.sprint(dict.fromkeys(("ann", "bob", "cyd"), play), settings)
    second = team.sprint(dict.fromkeys(("ann", "bob", "cyd"), play), settings)

    assert (first.outcome, first.runs) == ("unjudged", 1)
    assert (second.outcome, second.runs, second.unjudged) == ("unjudged", 0, ("tests",))
    context = team.context()
    assert report(context, None, context.clock.now()).unjudged == ("tests",)


def test_with_stop_a_base_that_is_mended_is_tried_again(team, tmp_path):
    """What it lacked was outside of the repository."""
    Path(tmp_path / "tool").touch()
    settings = f'[sprint]\nred_base = "stop"\n[gates.tests]\ncommand = ["test", "-e", "{tmp_path}/tool"]\n'
    (tmp_path / "tool").unlink()
    team.sprint({}, settings)
    (tmp_path / "tool").touch()

    result = team.sprint({"ann": team.replaced(3, "ann")}, settings)

    assert (result.outcome, result.landed) == ("converged", ("ann",))


def test_a_gate_of_the_base_ends_with_its_sprint(team):
    """Nobody waits for one that takes long and is of no use any more."""
    settings = '[gates.tests]\ncommand = ["sleep", "61.25"]\n'

    result = team.sprint({}, settings)

    assert (result.outcome, events(team, "gate.judged")) == ("converged", [])


def test_weaves_beside_runs_one_after_the_other_are_progress(team):
    """Each step only begins one, and what it has done is on record after it: a sprint does not give up for that."""
    log = team.home / "mail" / "events.jsonl"

    def after(landed, line, name):
        def play(job):
            until(lambda: log.read_text().count('"patch.landed"') >= landed)
            team.replaced(line, name)(job)

        return play

    plays = {name: after(turn, 3 * turn + 1, name) for turn, name in enumerate(("ann", "bob", "cyd"))}
    ends = f"until [ $(grep -c tick.done {log}) -gt $(($(grep -c weave.done {log}) + 1)) ]; do sleep 0.01; done"
    result = team.sprint(plays, f'[sprint]\ngather = "0s"\n[gates.tests]\ncommand = ["sh", "-c", "{ends}"]\n')

    assert (result.outcome, result.landed) == ("converged", ("ann", "bob", "cyd"))
