"""Live progress of a sprint: a table on a terminal, whole lines elsewhere."""

from __future__ import annotations

import io
import threading

from rich.console import Console
from team_mail.mail.clock import ManualClock
from team_mail.personas.agent import Outcome
from team_mail.personas.spending.usage import Usage
from team_mail.scheduler.runs.launch import Launch
from team_mail.scheduler.runs.progress import RunEnded, RunStarted, run_used
from team_mail.scheduler.sprint.daemon import Daemon
from team_mail.scheduler.sprint.plan import Skip, TickPlan, planned, waiting
from team_mail.team.show.live import Show

ANN, BOB, CYD = (Launch(name, "shell", 1, 7, "batch", "first launch of the sprint") for name in ("ann", "bob", "cyd"))
PLAN = TickPlan(
    2, 7, launches=(ANN, BOB, CYD), aside=(Skip("dan", "3 attempts spent"),), starts=(ANN, BOB)
)  # fmt: skip


def drawn(show: Show, width: int) -> list[str]:
    out = io.StringIO()
    Console(file=out, width=width, color_system=None).print(show.table())
    return [text.rstrip() for text in out.getvalue().splitlines()]


def test_the_table_has_a_row_for_each_persona_with_time_and_outcome(capsys):
    """Waiting, running with the time so far, or ended with its duration; the number of ended runs is below."""
    clock = ManualClock()
    show = Show(clock=clock)
    show.on_progress(planned(PLAN))
    show.on_progress(RunStarted("ann: running", ANN))
    clock.sleep(3)
    show.on_progress(RunStarted("bob: running", BOB))
    show.on_progress(RunEnded("ann: ok", ANN, Outcome("ok", 0, 2.5, "exit 0"), files=2))
    clock.sleep(61)
    assert [row.split() for row in drawn(show, 80)] == [
        ["ann", "1", "done", "2.5", "s", "2", "files", "changed"],
        ["bob", "1", "running", "1", "min", "1", "s"],
        ["cyd", "1", "waiting", "first", "launch", "of", "the", "sprint"],
        ["1", "of", "3", "over"],
    ]
    assert capsys.readouterr().err == (
        "tick 2 of sprint 7, parallel: 2 to run\nset aside: dan, 3 attempts spent\n"
        "  ann (attempt 1): done in 2.5 s, 2 files changed\n"
    )


def test_output_of_agents_is_escaped_in_the_table(capsys):
    """Markup, escapes and endless lines stay within one row, however narrow the terminal."""
    show = Show(clock=ManualClock())
    show.on_progress(planned(PLAN))
    outcome = Outcome("failed", 1, 0.5, "exit 1: [red]\x1b[31m[/] " + "x" * 300)
    show.on_progress(RunEnded("ann: failed", ANN, outcome))
    rows = drawn(show, 40)
    assert len(rows) == 4
    assert all(len(row) <= 40 for row in rows)
    assert "[red]\\x1b" in drawn(show, 120)[0]
    assert "\x1b" not in capsys.readouterr().err


def test_lines_of_many_runs_are_never_mixed(capsys):
    """Threads report at the same moment; each line is printed whole."""
    show, together = Show(), threading.Barrier(8)

    def tell(number):
        together.wait(20)
        for _ in range(50):
            show.on_progress(RunEnded("ann: ok", ANN, Outcome("ok", 0, float(number), "exit 0")))

    threads = [threading.Thread(target=tell, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    lines = capsys.readouterr().err.split("\n")
    assert len(lines) == 401
    assert {text.partition(" in ")[0] for text in lines[:-1]} == {"  ann (attempt 1): done"}


def test_what_a_run_has_used_so_far_is_in_the_table_and_fills_no_lines(capsys):
    """It comes every second; once the run has ended, its line has the sum."""
    show = Show()
    show.on_progress(RunStarted("ann: running", ANN))
    capsys.readouterr()
    show.on_progress(run_used(ANN, Usage(2000, 0, 100, 0.25)))
    assert capsys.readouterr().err == ""
    assert drawn(show, 90)[0].endswith("$0.25, 2.1k tokens so far")
    show.on_progress(RunEnded("ann: ok", ANN, Outcome("ok", 0, 1.0, "exit 0", usage=Usage(3000, 0, 150, 0.5)), 1))
    assert capsys.readouterr().err == "  ann (attempt 1): done in 1.0 s, 1 file changed, $0.50, 3.15k tokens\n"


def test_a_pause_for_a_retry_is_shown(capsys):
    """A silent terminal would look like a hang."""
    due = ManualClock().now()
    show = Show()
    skips = (Skip("ann", "exit 1: boom; next try at 00:00:00Z"),)
    show.on_progress(waiting(TickPlan(2, 7, skips=skips, wait_until=due)))
    assert capsys.readouterr().err == "waiting until 00:00:00Z: ann (exit 1: boom; next try at 00:00:00Z)\n"
    show.on_progress(waiting(TickPlan(2, 7, wait_until=due)))
    assert capsys.readouterr().err == "waiting until 00:00:00Z\n"


def test_a_scheduled_time_during_a_sprint_is_skipped_with_a_message(team):
    """T16 within one daemon."""
    messages, left_out, go = [], threading.Event(), threading.Event()

    def hold(job):
        assert go.wait(30)

    def say(text):
        messages.append(text)
        if "skipped" in text:
            left_out.set()

    ticker = team.ticker({"ann": hold}, "[sprint]\nevery = 1\n")
    daemon = Daemon(ticker, lambda: ticker.context, say, lambda _: daemon.end())
    thread = threading.Thread(target=daemon.run)
    thread.start()
    assert left_out.wait(30)
    go.set()
    thread.join(30)
    assert not thread.is_alive()
    assert len([kind for kind in team.kinds("sprint") if kind == "sprint.started"]) == 1
