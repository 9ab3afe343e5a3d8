"""The figures of a sprint, each computed by hand; the report as text, Markdown and JSON; the pictures."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from team_mail.mail.clock import rfc3339
from team_mail.mail.log.event import Draft
from team_mail.scheduler.errors import NoSuchRun
from team_mail.scheduler.kinds import Kind
from team_mail.scheduler.state.facts import Fact
from team_mail.scheduler.state.fold import fold
from team_mail.scheduler.state.metrics import Link, Resolution, measure
from team_mail.scheduler.state.summary import summary
from team_mail.team.commands.scheduler import app
from team_mail.team.open import open_team
from team_mail.team.show import report
from team_mail.team.show.charts import chart, cost_chart
from typer.testing import CliRunner

START = datetime(2026, 1, 1, 9, tzinfo=UTC)
TEAM = ("ann", "bob", "cyd", "dan")
PICTURES = ["timeline.svg", "landing.svg", "timeline.png", "landing.png"]


class Tale:
    """A log told event by event, each at a second of its own since the start; a run is named `<persona>-<attempt>`."""

    def __init__(self, mode="parallel", number=1, start=0.0, personas=TEAM, base="b", *, rolling=False):
        self.facts: list[Fact] = []
        self.commits = 0
        self.begin(mode, number, start, personas, base, rolling=rolling)

    def begin(self, mode, number, start=0.0, personas=TEAM, base="b", *, rolling=False):
        self.number = number
        return self.tell(
            start, "sprint.started", sprint=number, id="s", base_branch="main", base=base * 40, mode=mode,
            branch=f"team/sprint-{number}", rule="a rule", reason="asked for", personas=list(personas),
            rolling=rolling,
        )  # fmt: skip

    def tell(self, second, kind, *, ref=None, run=None, **data):
        seq, when = len(self.facts) + 1, START + timedelta(seconds=second)
        sender = "you" if kind == "patch.approved" else Kind(kind).writer
        self.facts.append(Fact(seq, rfc3339(when), kind, sender, ref, run, data, f"{seq:032x}"))
        return self

    def launched(self, tick, name, start):
        persona, attempt = name.split("-")
        return self.tell(
            start, "run.started", run=f"{self.number} {name}", sprint=self.number, persona=persona, tick=tick,
            attempt=int(attempt), base="b" * 40, agent="shell", reason="batch", mail=[], supervisor={},
        )  # fmt: skip

    def ran(self, tick, name, start, end, *, status="ok", patch=True, usage=None):
        run = f"{self.number} {name}"
        self.launched(tick, name, start)
        if patch:
            self.tell(end, "patch.captured", run=run, patch={"sha256": "a" * 64, "size": 9}, files=["x.py"])
        more = {"usage": usage} if usage else {}
        seconds = float(end - start)
        return self.tell(end, "run.finished", run=run, status=status, seconds=seconds, detail="", **more)

    def landed(self, tick, name, second=0.0):
        self.commits += 1
        return self.tell(second, "patch.landed", ref=f"{self.number} {name}", tick=tick, commit=f"{self.commits:040x}")

    def decided(self, tick, name, verb, second=0.0):
        return self.tell(second, f"patch.{verb}", ref=f"{self.number} {name}", tick=tick, why="because")

    def woven(self, tick, *conflicts, second=0.0):
        pairs = [[f"{self.number} {run}", f"{self.number} {rival}", ["x.py"]] for run, rival in conflicts]
        return self.tell(
            second, "weave.done", sprint=self.number, tick=tick, start="b", tip="c", order=[], conflicts=pairs
        )

    def done(self, tick, second):
        return self.tell(second, "tick.done", sprint=self.number, tick=tick)

    def finished(self, second, outcome="converged"):
        return self.tell(second, "sprint.finished", sprint=self.number, outcome=outcome)

    @property
    def state(self):
        return fold(self.facts)

    def metrics(self, now=0.0, mails=None):
        state = self.state
        return measure(state, state.sprints[-1], START + timedelta(seconds=now), mails)


def whole(tale: Tale) -> Tale:
    """Three ticks in 15 s: cyd stands in ann's way and comes back, dan never ends."""
    tale.ran(1, "ann-1", 0, 4).ran(1, "bob-1", 0, 6).ran(1, "cyd-1", 1, 4)
    tale.ran(1, "dan-1", 0, 10, status="timeout", patch=False).done(1, 10)
    tale.landed(2, "bob-1", 10).landed(2, "ann-1", 10).decided(2, "cyd-1", "conflicted", 10)
    tale.woven(2, ("cyd-1", "ann-1"), second=10).ran(2, "cyd-2", 11, 13).done(2, 13)
    return tale.landed(3, "cyd-2", 13).woven(3, second=13).done(3, 15).finished(15)


@pytest.fixture
def metrics():
    return whole(Tale()).metrics(mails={"conflict": 1, "note": 2})


# -- figures


def test_names_that_are_gone_and_still_used_are_in_the_report():
    """Who removed and who uses them, and where: in the lines, on the page and in the JSON object."""
    gone = {
        "name": "total_price", "renamed": "sum_of", "defined_in": "cart.py", "removed_by": ["ann", "a" * 40, "1 ann-1"],
        "used_by": ["bob", "b" * 40, "1 bob-1"], "uses": [["bill.py", 5]],
    }  # fmt: skip
    tale = Tale().ran(1, "ann-1", 0, 4).ran(1, "bob-1", 0, 4).landed(2, "ann-1", 5).landed(2, "bob-1", 5)
    own = {"sprint": 1, "tick": 2, "start": "b", "tip": "c", "order": [], "conflicts": []}
    tale.tell(5, "weave.done", **own, dangling=[gone]).tell(5, "weave.done", **own, dangling=[{"name": "odd"}])
    metrics = tale.metrics()

    assert [row.split() for row in report.lines(metrics) if "total_price" in row] == [
        ["total_price", "sum_of", "ann", "bob", "bill.py:5"]
    ]
    page = report.markdown(metrics).replace("\\", "")
    assert "| total_price | sum_of | ann | bob | bill.py:5 |" in page, page
    assert [each["name"] for each in metrics.document()["dangling"]] == ["total_price"]


def test_ticks_mode_and_outcome_are_those_of_the_sprint(metrics):
    """They are read from it, not computed."""
    assert (metrics.sprint, metrics.ticks, metrics.mode, metrics.outcome) == (1, 3, "parallel", "converged")


def test_runs_are_counted_by_how_they_ended(metrics):
    """Four of the batch, one of which timed out, and one more by mail."""
    assert metrics.runs == {"ok": 4, "timeout": 1}


def test_the_conflict_rate_is_a_share_of_the_submitted_patches(metrics):
    """Of four patches one conflicted: a quarter."""
    assert (metrics.offered, metrics.conflict_rate) == (4, 0.25)
    assert Tale().metrics().conflict_rate is None


def test_patches_are_counted_by_status():
    """One of each; the patch of an interrupted run is dropped and was not submitted, and what waits is pending."""
    tale, verbs = Tale(), ("conflicted", "refused", "held", "rejected")
    for number, verb in enumerate(verbs, 1):
        tale.ran(1, f"ann-{number}", 0, 1).decided(2, f"ann-{number}", verb)
    tale.ran(1, "bob-1", 0, 1).landed(2, "bob-1")
    tale.ran(1, "cyd-1", 0, 1, status="timeout").ran(1, "dan-1", 0, 1)
    metrics = tale.metrics()
    assert metrics.patches == dict.fromkeys([*verbs, "landed", "dropped", "pending"], 1)
    assert metrics.offered == 5
    assert {bar.outcome for bar in metrics.bars} == {*verbs, "landed", "timeout", "pending"}


def test_a_held_patch_that_was_approved_counts_as_held_until_it_is_woven():
    """It has been before the weaver once, and has its place there."""
    tale = Tale().ran(1, "ann-1", 0, 1).decided(2, "ann-1", "held").tell(2, "patch.approved", ref="1 ann-1")
    metrics = tale.metrics()
    assert [node.status for node in metrics.nodes] == ["held"]
    assert (metrics.bars[0].outcome, metrics.offered) == ("held", 1)


def test_a_rolling_sprint_has_the_ticks_that_it_has_everywhere():
    """It takes many small steps; what is said of it is the most runs of one persona, and the landing."""
    tale = Tale(rolling=True).ran(1, "ann-1", 0, 4).ran(3, "bob-1", 1, 6).landed(5, "ann-1", 5).done(8, 6).finished(6)
    state = tale.state
    metrics = tale.metrics()
    assert metrics.ticks == summary(state, state.sprints[-1], START).ticks == 2
    assert next(iter(report.lines(metrics))).startswith("sprint 1 converged after 2 ticks")
    picture = chart.svg(chart.timeline(metrics)).decode()
    assert "2 runs in 2 ticks" in picture
    assert not re.search(r">tick \d", picture), "steps overlap: nothing begins for all at once"
    assert re.search(r">tick \d", chart.svg(chart.timeline(whole(Tale()).metrics())).decode())


def test_ticks_to_resolve_count_from_the_first_conflict_to_the_landing():
    """ann: 2 to 5, three ticks; bob: 2 to 3, one tick; cyd never; a conflict after a landing is another one."""
    tale = Tale()
    for name in ("ann-1", "bob-1", "cyd-1", "ann-2", "bob-2", "ann-3", "ann-4"):
        tale.ran(1, name, 0, 1)
    tale.decided(2, "ann-1", "conflicted").decided(2, "bob-1", "conflicted").decided(3, "cyd-1", "conflicted")
    tale.decided(3, "ann-2", "conflicted").landed(3, "bob-2").landed(5, "ann-3").decided(6, "ann-4", "conflicted")
    metrics = tale.metrics()
    assert metrics.resolved == (1, 3)
    assert Resolution("ann", 2, 5) in metrics.resolutions
    assert metrics.unresolved == ("cyd", "ann")
    assert metrics.document()["ticks_to_resolve"] == {"mean": 2.0, "max": 3, "unresolved": ["cyd", "ann"]}
    assert Tale().metrics().document()["ticks_to_resolve"] == {"mean": None, "max": None, "unresolved": []}


def test_wall_time_is_by_the_clock_and_busy_time_the_sum_of_the_runs(metrics):
    """15 s, in which 4 + 6 + 3 + 10 + 2 s of work were done."""
    assert (metrics.wall, metrics.busy) == (15.0, 25.0)


def test_the_estimated_speed_up_is_busy_time_over_wall_time(metrics):
    """25 s of work in 15 s; a sequential sprint has none, nor has one that took no time."""
    assert metrics.estimated_speedup == pytest.approx(25 / 15)
    assert whole(Tale("sequential")).metrics().estimated_speedup is None
    assert Tale().finished(-3600).metrics().estimated_speedup is None, "the clock was set back"


def test_the_measured_speed_up_needs_a_sequential_sprint_of_the_same_work():
    """45 s in sequence against 15 s: three times; from another base or with other personas there is no saying."""
    before = Tale("sequential", start=-100).finished(-55)
    measured = whole(before.begin("parallel", 2)).metrics().measured
    assert (measured.sprint, measured.seconds, measured.ratio) == (1, 45.0, 3.0)
    for different in (
        Tale("sequential", base="x").finished(1), Tale("sequential", personas=("ann",)).finished(1),
        Tale("parallel").finished(1), Tale("sequential"),
    ):  # fmt: skip
        assert whole(different.begin("parallel", 2)).metrics().measured is None


def test_time_by_persona_is_work_and_waiting(metrics):
    """cyd worked 3 + 2 s and was done at 13 s, so it waited 8 s; bob went at once and waited for nobody."""
    hostile = {share.persona: (share.runs, share.seconds, share.waiting, share.outcome) for share in metrics.personas}
    assert hostile == {
        "ann": (1, 4.0, 0.0, "landed"), "bob": (1, 6.0, 0.0, "landed"), "cyd": (2, 5.0, 8.0, "landed"),
        "dan": (1, 10.0, 0.0, "timeout"),
    }  # fmt: skip


def test_the_landing_order_is_that_of_the_commits(metrics):
    """bob landed before ann in the second tick, cyd in the third; who did not land comes behind within its tick."""
    assert [node.persona for node in metrics.landing_order] == ["bob", "ann", "cyd"]
    assert [(node.tick, node.persona, node.status) for node in metrics.nodes] == [
        (2, "bob", "landed"), (2, "ann", "landed"), (2, "cyd", "conflicted"), (3, "cyd", "landed"),
    ]  # fmt: skip


def test_links_are_the_runs_that_conflicted_with_their_files(metrics):
    """Pairs of unknown runs are ignored."""
    assert metrics.links == (Link("1 cyd-1", "1 ann-1", ("x.py",)),)
    stranger = Tale().ran(1, "ann-1", 0, 1).landed(2, "ann-1").woven(2, ("ann-1", "eve-1"))
    stranger.tell(3, "weave.done", sprint=1, tick=2, start="b", tip="c", order=[], conflicts=[["only one"]])
    assert stranger.metrics().links == ()


def test_a_tick_begins_when_the_runs_of_earlier_ticks_have_ended(metrics):
    """dan ended at 10 s, cyd's second attempt at 13 s."""
    assert metrics.boundaries == ((1, 0.0), (2, 10.0), (3, 13.0))


def test_open_runs_are_counted_until_now():
    """After 7 s, a run that began at 2 s has worked for 5 s."""
    metrics = Tale().launched(1, "ann-1", 2).metrics(now=7)
    assert (metrics.wall, metrics.busy, metrics.outcome, metrics.runs) == (7.0, 5.0, None, {"open": 1})
    assert "is still open" in report.heading(metrics)


def test_a_lost_run_has_no_duration():
    """It was given up an hour later, which says nothing about its work."""
    metrics = Tale().launched(1, "ann-1", 0).tell(3600, "run.lost", run="1 ann-1", why="gone").finished(3601).metrics()
    assert (metrics.busy, metrics.personas[0].outcome) == (0.0, "lost")
    assert "of 1 lost run nobody knows how long it worked" in "\n".join(report.lines(metrics))


def test_personas_are_in_the_order_of_the_batch():
    """Whichever thread started first; eve, who was launched only by mail, is last."""
    tale = Tale()
    for name in ("eve-1", "cyd-1", "ann-1"):
        tale.ran(1, name, 0, 1)
    assert [share.persona for share in tale.metrics().personas] == ["ann", "cyd", "eve"]


# -- words


def test_the_text_has_every_figure(metrics):
    """One aligned line each, then the landing order and the time by persona."""
    text = "\n".join(report.lines(metrics))
    for line in (
        "sprint 1 converged after 3 ticks, parallel (a rule)",
        "  runs           5: 4 ok, 1 timeout",
        "  patches        4 offered: 3 landed, 1 conflicted",
        "  conflict rate  25% (1 of 4 patches)",
        "  resolved       1 of 1 conflict, in 1.0 ticks on average, 1 at most",
        "  wall time      15.0 s",
        "  busy time      25.0 s, the sum of all runs",
        "  speed-up       1.7 times over sequential, estimated: busy time / wall time",
        "  mail           3 sent: 1 conflict, 2 note",
        "  1  bob      1        2     000000000000",
        "  money          unknown",
        "  tokens         unknown",
        "  cyd      2     5.0 s    8.0 s    unknown  unknown  landed",
    ):
        assert line in text.splitlines()


def test_the_text_names_what_is_unresolved_and_what_was_measured():
    """An open conflict by its persona, a measured ratio by its sprint."""
    tale = Tale("sequential", start=-100).done(1, -60).finished(-55).begin("parallel", 2)
    metrics = tale.ran(1, "ann-1", 0, 5).decided(2, "ann-1", "conflicted").finished(15, "spent").metrics()
    text = "\n".join(report.lines(metrics))
    assert "ended: spent" in text
    assert re.search(r"^  resolved +0 of 1 conflict$", text, re.MULTILINE)
    assert re.search(r"^  unresolved +ann$", text, re.MULTILINE)
    assert "3.0 times, measured: sprint 1 took 1 tick and 45.0 s in sequence" in text


def test_names_in_the_page_are_escaped(metrics):
    """A name neither breaks a table nor becomes a link, markup or a control sequence."""
    hostile = (replace(metrics.personas[0], persona="<b>|a\n[x](y)\x1b"),)
    page = report.markdown(replace(metrics, personas=hostile), ["timeline"])
    assert "\n| \\<b\\>\\|a\\\\n\\[x\\](y)\\\\x1b | 1 |" in page
    assert "![timeline](timeline.svg)" in page
    assert "| cyd (conflicted) | ann (landed) | x.py |" in page
    assert "\x1b" not in "\n".join(report.lines(replace(metrics, personas=hostile)))


# -- pictures


def test_each_picture_is_one_spec_for_svg_and_png(metrics, tmp_path):
    """Both are drawn, with every persona, tick and outcome by name."""
    import vl_convert

    assert chart.VEGA_LITE in vl_convert.get_vegalite_versions()
    written, trouble = report.write(metrics, tmp_path / "new" / "folder")
    assert ([path.name for path in written], trouble) == (["report.md", "report.json", *PICTURES], None)
    folder = written[0].parent
    timeline, landing = (folder / "timeline.svg").read_text(), (folder / "landing.svg").read_text()
    for word in (*TEAM, "tick 1", "tick 3", "attempt 2", "timeout", "seconds since the start", "5 runs in 3 ticks"):
        assert f">{word}<" in timeline or word in timeline
    for word in ("ann", "bob", "cyd (2)", "tick 2", "tick 3", "conflicted", "3 of 4 patches landed; an arc joins"):
        assert word in landing
    assert all((folder / name).read_bytes().startswith(b"\x89PNG") for name in PICTURES[2:])


def test_the_picture_of_costs_shows_money_else_tokens_else_nothing():
    """A bar for each run, what a persona cost behind them, and nothing where nobody knows anything."""
    tale = Tale()
    for name, usage in (("ann-1", {"usd": 0.5}), ("ann-2", {"usd": 0.25}), ("bob-1", None)):
        tale.ran(1, name, 0, 1, usage=usage).landed(2, name)
    spec = cost_chart.costs(tale.metrics(now=9))
    assert spec
    bars, ends = (layer["data"]["values"] for layer in spec["layer"])
    assert [(bar["persona"], bar["amount"], bar["outcome"]) for bar in bars] == [
        ("ann", 0.5, "landed"), ("ann", 0.25, "landed"),
    ]  # fmt: skip
    assert [end["note"] for end in ends] == ["$0.75, $0.38 for each of 2 patches", "unknown"]
    subtitle = "at least $0.75, tokens unknown; at least $0.25 for each of 3 patches that landed"
    assert subtitle in spec["title"]["subtitle"]
    tokens = Tale().ran(1, "ann-1", 0, 1, usage={"input": 1000, "output": 50}).metrics(now=9)
    spec = cost_chart.costs(tokens)
    assert spec
    assert spec["layer"][0]["encoding"]["x"]["axis"]["title"] == "tokens"
    assert spec["layer"][0]["data"]["values"][0]["amount"] == 1050
    assert cost_chart.costs(Tale().ran(1, "ann-1", 0, 1).metrics(now=9)) is None


def test_a_sprint_without_runs_has_pictures_too():
    """Empty ones, and no crash."""
    metrics = Tale().metrics()
    assert b"0 runs in 0 ticks" in chart.svg(chart.timeline(metrics))
    assert b"0 of 0 patches landed" in chart.svg(chart.landing(metrics))


@pytest.mark.parametrize(("seconds", "unit"), [(100, "seconds"), (600, "minutes"), (36_000, "hours")])
def test_the_time_axis_has_a_suitable_unit(seconds, unit):
    """Nobody reads 36,000 seconds; and a run without duration can still be seen."""
    spec = chart.timeline(Tale().ran(1, "ann-1", 0, 0).finished(seconds).metrics())
    bars = next(layer for layer in spec["layer"] if layer["mark"]["type"] == "bar")
    assert bars["encoding"]["x"]["axis"]["title"] == f"{unit} since the start"
    assert bars["data"]["values"][0]["end"] > 0


def test_labels_of_ticks_do_not_overlap():
    """In a sprint of sixty ticks only those with enough room are labelled."""
    tale = Tale("sequential")
    for number in range(60):
        tale.ran(number + 1, f"ann-{number + 1}", number, number + 1).landed(number + 2, f"ann-{number + 1}")
        tale.done(number + 1, number + 1)
    for spec in (chart.timeline(tale.metrics(now=60)), chart.landing(tale.metrics(now=60))):
        labels = [value for layer in spec["layer"] for value in layer["data"]["values"] if "tick" in value]
        named = [value["start"] for value in labels if "label" in value and value["label"].startswith("tick ")]
        pixel = 60 / 760 if spec["width"] == 760 else 1
        assert 5 < len(named) < 40
        assert min(b - a for a, b in pairwise(named)) >= 46 * pixel


def test_without_the_extra_the_report_is_written_without_pictures(metrics, tmp_path, monkeypatch):
    """One line says what is missing, and the page links no pictures."""
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    written, trouble = report.write(metrics, tmp_path)
    assert [path.name for path in written] == ["report.md", "report.json"]
    assert 'pip install "team-mail[charts]"' in str(trouble)
    assert "![" not in written[0].read_text()


# -- the command


def test_the_command_reports_a_sprint_that_was_run(team, tmp_path, monkeypatch):
    """A real sprint with a real conflict: figures as JSON, a folder on request; mail outside it is not counted."""
    team.context().append([Draft("mail.sent", "you", ("ann",), "Before", data={"type": "note"})])
    script = {"ann": team.replaced(1, "by ann"), "bob": team.replaced(1, "by bob"), "cyd": team.replaced(20, "by cyd")}
    team.sprint(script, "[sprint]\nparallel = 'always'\nmax_attempts = 2\n")
    open_team(team.home, {}).append([Draft("mail.sent", "you", ("ann",), "After", data={"type": "note"})])
    monkeypatch.setenv("TEAM_HOME", str(team.home))
    monkeypatch.chdir(tmp_path)
    ended = CliRunner().invoke(app, ["report", "--json", "--out", "here"])
    document = json.loads(ended.stdout)
    assert (ended.exit_code, document["sprint"], document["mode"]) == (0, 1, "parallel")
    assert document["patches"]["conflicted"] >= 1
    assert document["conflict_rate"] > 0
    assert len(document["links"]) == 1
    assert {"ann", "cyd"} <= set(document["landing_order"])
    assert document["mails"]["conflict"] >= 1
    assert "note" not in document["mails"]
    assert "wrote here/report.md, here/report.json" in ended.stderr
    assert json.loads((tmp_path / "here" / "report.json").read_text())["landing_order"] == document["landing_order"]
    assert CliRunner().invoke(app, ["report", "1"]).stdout.startswith("sprint 1 ")
    with pytest.raises(NoSuchRun):
        CliRunner().invoke(app, ["report", "2"], catch_exceptions=False)
