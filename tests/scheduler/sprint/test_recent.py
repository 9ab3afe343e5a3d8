"""What a tick reads of a long history: enough to decide by, and no more."""

from __future__ import annotations

from team_mail.scheduler.sprint.control import approve_patch

WORKFLOW = ".github/workflows/test.yml"


def played(team, number):
    """One persona's change is held, as all of workflows are; the others change a line each."""

    def automate(job):
        path = job.workspace / WORKFLOW
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"name: sprint {number}\n")

    return {"ann": automate, "bob": team.replaced(number, "bob"), "cyd": team.replaced(20 + number, "cyd")}


def test_a_tick_reads_the_last_sprint_and_what_was_held_before(team):
    """Of the first sprint's runs that one is left whose patch may still be approved; what the last did is all there."""
    team.sprint(played(team, 0))
    team.sprint(played(team, 1) | {"ann": team.replaced(10, "ann")})
    context = team.context()

    whole, recent = context.state(), context.state(whole=False)

    assert [(patch.persona, patch.sprint) for patch in recent.of("held")] == [("ann", 1)]
    assert [patch for patch in recent.patches if patch.sprint == 2] == [p for p in whole.patches if p.sprint == 2]
    assert len(recent.patches) == 4
    assert recent.sprints[-1] == whole.sprints[-1]
    assert [sprint.number for sprint in recent.sprints] == [1, 2]
    assert recent.unread == whole.unread


def test_a_patch_held_two_sprints_ago_still_lands(team):
    """An approval is acted on by the next sprint, however old the patch is."""
    team.sprint(played(team, 0))
    team.sprint({"bob": team.replaced(5, "bob")})
    approve_patch(team.context(), "ann", "you")

    result = team.sprint({})

    assert team.text(result.branch, WORKFLOW) == ["name: sprint 0"]


def test_questions_in_turn_see_a_log_that_grows(team):
    """The table that a question of several parts reads its lines from is made anew when there are new lines."""
    context = team.context()
    for number in range(1, 4):
        team.sprint({"ann": team.replaced(number, "ann")})
        assert [sprint.number for sprint in context.state(whole=False).sprints] == [*range(1, number + 1)]
        assert context.state().number == number
