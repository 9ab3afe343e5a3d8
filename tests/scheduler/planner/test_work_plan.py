"""The work plan: the figures of a known roadmap, each class and resolution, and what holds for every plan."""

from __future__ import annotations

import json
import random
import subprocess
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from team_mail.mail.errors import UsageError
from team_mail.personas.bundled import with_bundled
from team_mail.personas.roster import Roster
from team_mail.scheduler.errors import InvalidTasks
from team_mail.scheduler.planner.branch import branches
from team_mail.scheduler.planner.item import Item, Overlap, Phase, Roadmap
from team_mail.scheduler.planner.overlap import overlaps
from team_mail.scheduler.planner.roadmap_file import read_roadmap
from team_mail.scheduler.planner.to_tasks import given_in, without, work_order
from team_mail.scheduler.planner.work import named
from team_mail.scheduler.planner.work_plan import ASKED, ENOUGH, MEANT, draw
from team_mail.scheduler.tasks.reader import read_input
from team_mail.team.show.charts import chart
from team_mail.team.show.charts.gantt import gantt
from team_mail.team.show.plan import left_out, lines, markdown

from ...samples import examples

HOUR = 3_600.0
EXAMPLES = Path(__file__).parents[3] / "examples" / "plan"
PERSONAS = [persona.id for persona in with_bundled(Roster()).personas]


def hours(id, estimate, *after, phase=0, **more):
    """An item that takes so many hours; `files` and the like are lists."""
    fields = {key: tuple(value) if isinstance(value, list) else value for key, value in more.items()}
    return Item(id, more.pop("title", ""), phase, estimate * HOUR, dependencies=after, **fields)


def plan(*items, workers=None, most=8, phase_barriers=True):
    phases = tuple(Phase(f"Phase {number + 1}") for number in range(max(item.phase for item in items) + 1))
    roadmap = Roadmap("A plan", phases, items, phase_barriers=phase_barriers)
    return draw(roadmap, overlaps(roadmap), workers, most)


def edges(document):
    return {task["task_id"]: set(task["dependencies"]) for task in document["tasks"]}


def closure(after):
    """All that each task waits for, near or far; by the plainest way there is."""
    reached = {task: set(waits) for task, waits in after.items()}
    for _ in reached:
        for waits in reached.values():
            waits |= {far for near in waits for far in reached[near]}
    return reached


@pytest.fixture(scope="module")
def seed():
    roadmap = read_roadmap((EXAMPLES / "ai-webhook.yaml").read_bytes(), "ai-webhook.yaml", PERSONAS)
    return draw(roadmap, overlaps(roadmap))


# -- a roadmap whose figures are known


def test_the_known_roadmap_has_its_known_hours(seed):
    """Phases 2 to 4 take 20 h in sequence, 13 h on 3 workers: 35 % less; 3 h of manual work are not counted."""
    times = {phase.number: (phase.sequential / HOUR, phase.parallel / HOUR) for phase in seed.phases}
    assert times == {1: (0, 0), 2: (5, 2), 3: (8, 8), 4: (7, 3)}
    assert (seed.workers, seed.chosen) == (3, MEANT)
    assert (seed.sequential / HOUR, seed.parallel / HOUR, seed.by_hand / HOUR) == (20, 13, 3)
    assert round(100 * seed.saved) == 35


def test_the_known_roadmap_has_its_known_classes(seed):
    """Manual, parallel, sequential, partly parallel; each reason names the decisive tasks."""
    assert [phase.kind for phase in seed.phases] == ["manual", "parallel", "sequential", "parallel"]
    assert "agent-registry -> control-agent -> task-worker" in seed.phases[2].reason
    assert "notify and logging (client/client.py)" in seed.phases[3].reason
    assert seed.waves[0] == ("session-cli", "api-guide", "webhook-examples")
    assert seed.waves[1:4] == (("agent-registry",), ("control-agent",), ("task-worker",))


def test_the_known_roadmap_has_one_small_conflict(seed):
    """Two tasks of phase 4 may change one file: ordering them would take 5 h, so the weaver merges them."""
    (conflict,) = seed.conflicts
    assert {conflict.left, conflict.right} == {"notify", "logging"}
    assert (conflict.files, conflict.resolution, conflict.cost / HOUR) == (("client/client.py",), "merge", 2)
    assert (seed.phases[3].ordered / HOUR, seed.ordered / HOUR) == (5, 15)


def test_the_known_roadmap_needs_no_fourth_worker(seed):
    """20, 15 and 13 h on 1, 2 and 3 workers; 13 h is the length of the critical path."""
    assert [(step.workers, step.seconds / HOUR) for step in seed.curve] == [(1, 20), (2, 15), (3, 13)]
    assert (seed.enough, seed.final) == (3, True)
    assert seed.critical_path == ("session-cli", "agent-registry", "control-agent", "task-worker", "notify")


def test_the_known_roadmap_as_text(seed):
    """The important figures are in it, and no line is wider than necessary."""
    text = "\n".join(lines(seed))
    assert "13 h, saves 7 h (35%)" in text
    assert "3 h, 5 h in order" in text
    assert "15 h with conflicting tasks in order" in text
    assert "3        13 h  35%    as planned, more do not help" in text
    assert not [line for line in text.splitlines() if line != line.rstrip()]


# -- classes


def test_independent_tasks_are_parallel():
    """They have neither dependencies nor common files."""
    (phase,) = plan(hours("a", 1), hours("b", 2)).phases
    assert (phase.kind, phase.reason) == ("parallel", "no task waits for another, and no two change the same files")


def test_a_chain_beside_other_work_is_partly_parallel():
    """The reason names the tasks that wait."""
    (phase,) = plan(hours("a", 1), hours("b", 2, "a"), hours("c", 3)).phases
    assert phase.kind == "partly"
    assert phase.reason == "b waits for a: 6 h of work in no less than 3 h"


def test_a_chain_of_nearly_all_the_work_is_sequential():
    """A quarter of an hour beside ten hours does not count."""
    (phase,) = plan(hours("a", 5), hours("b", 5, "a"), hours("c", 0.25)).phases
    assert phase.kind == "sequential"
    assert "the chain a -> b is 10 h of its 10 h 15 min" in phase.reason


def test_tasks_that_change_mostly_the_same_files_are_sequential():
    """Merging them would repeat the whole work, so they count as a chain without an edge."""
    (phase,) = plan(*(hours(name, 2, files=["parser.py"]) for name in "abc")).phases
    assert phase.kind == "sequential"
    assert "change mostly the same files" in phase.reason
    assert phase.ordered == 6 * HOUR


def test_the_class_does_not_depend_on_the_number_of_workers():
    """It describes the work."""
    items = [hours("a", 1, files=["x.py"]), hours("b", 1, files=["x.py"]), hours("c", 2)]
    assert len({plan(*items, workers=workers).phases[0].kind for workers in (1, 2, 3, 9)}) == 1


def test_a_phase_with_one_task_is_sequential_and_one_of_manual_items_manual():
    """Nothing can run beside the one, and nothing runs in the other."""
    drawn = plan(hours("a", 1), hours("m", 1, phase=1, manual=True))
    assert [phase.kind for phase in drawn.phases] == ["sequential", "manual"]
    assert drawn.phases[1].reason == "a person does all of it"


# -- conflicts


def test_a_conflict_whose_order_costs_no_time_is_ordered():
    """The two short tasks run one after the other beside the long one."""
    drawn = plan(hours("long", 4), hours("a", 2, files=["x.py"]), hours("b", 2, files=["x.py"]), workers=3)
    (conflict,) = drawn.conflicts
    assert (conflict.resolution, conflict.cost, drawn.parallel, drawn.ordered) == ("order", 0, 4 * HOUR, 4 * HOUR)
    slots = {slot.task: slot for slot in drawn.slots}
    assert slots[conflict.first].end <= slots[conflict.second].start


def test_a_conflict_over_most_of_the_files_is_to_be_split():
    """Ordering would cost time, and merging would repeat the work."""
    (conflict,) = plan(hours("a", 2, files=["x.py"]), hours("b", 2, files=["x.py"]), workers=2).conflicts
    assert (conflict.resolution, conflict.cost) == ("split", 2 * HOUR)


def test_only_the_orders_without_cost_are_chosen():
    """Two of the three pairs fit into the time; the third is left to the weaver."""
    items = [
        hours("a", 3, files=["x.py", "a1", "a2", "a3"]), hours("b", 3, files=["x.py", "b1", "b2", "b3"]),
        hours("c", 1, files=["y.py", "c1", "c2", "c3"]), hours("d", 2, files=["y.py", "d1", "d2", "d3"]),
    ]  # fmt: skip
    drawn = plan(*items, workers=4)
    resolutions = {conflict.left: conflict.resolution for conflict in drawn.conflicts}
    assert resolutions == {"a": "merge", "c": "order"}
    assert (drawn.parallel, drawn.ordered) == (3 * HOUR, 6 * HOUR)


def test_a_file_is_created_before_it_is_changed_and_changed_before_it_is_moved():
    """A change of a file that does not exist yet or any more would be lost."""
    makes = plan(hours("change", 1, files=["x.py"]), hours("make", 1, creates=["x.py"]))
    moves = plan(hours("move", 1, renames=[("docs", "site")]), hours("change", 1, files=["docs/a.md"]))
    assert [conflict.first for conflict in (*makes.conflicts, *moves.conflicts)] == ["make", "change"]


def test_natural_orders_that_contradict_each_other_are_ignored():
    """Each creates what the next one changes: one of them goes first all the same."""
    pair = plan(hours("a", 1, files=["y"], creates=["x"]), hours("b", 1, files=["x"], creates=["y"]))
    ring = plan(*(hours(changed, 1, files=[changed], creates=[created]) for changed, created in ("xy", "yz", "zx")))
    assert (pair.ordered, ring.ordered) == (2 * HOUR, 3 * HOUR)


def test_an_overlap_of_ordered_tasks_is_harmless():
    """They never run at the same time."""
    drawn = plan(hours("a", 1, files=["x"]), hours("b", 1, "a", files=["x"]), hours("c", 1, phase=1, files=["x"]))
    assert (drawn.conflicts, drawn.harmless) == ((), 3)


def test_without_barriers_phases_overlap_in_time_and_may_conflict():
    """There is one schedule, and a conflict where the barrier was."""
    items = [hours("a", 3, files=["x", "p", "q", "r"]), hours("b", 3, phase=1, files=["x", "s", "t", "u"])]
    barred, open_plan = plan(*items, workers=2), plan(*items, workers=2, phase_barriers=False)
    assert (barred.parallel, barred.without_barriers, barred.conflicts) == (6 * HOUR, 6 * HOUR, ())
    assert (open_plan.parallel, open_plan.without_barriers, len(open_plan.conflicts)) == (3 * HOUR, None, 1)
    free = plan(hours("a", 3), hours("b", 3, phase=1), workers=2)
    assert (free.parallel, free.without_barriers) == (6 * HOUR, 3 * HOUR)


def test_a_plan_with_very_many_conflicts_is_resolved_within_its_budget():
    """120 tasks share six files on 16 workers: more than a thousand pairs, too many to try one by one."""
    chance = random.Random(3)
    items = [
        hours(f"t{number}", chance.randint(1, 4), *([f"t{chance.randrange(number)}"] if number % 3 == 2 else []),
              files=[f"{chance.randrange(6)}.py", f"own-{number}.py"])
        for number in range(120)
    ]  # fmt: skip
    drawn = plan(*items, workers=16)
    own = closure(edges(work_order(drawn).document))
    assert len(drawn.conflicts) > 1_000
    assert {conflict.resolution for conflict in drawn.conflicts} == {"order", "merge"}
    assert all(conflict.first in own[conflict.second] for conflict in drawn.conflicts)
    assert all(0 <= conflict.cost <= drawn.ordered - drawn.parallel for conflict in drawn.conflicts)


# -- workers


def test_by_default_the_fewest_workers_with_the_shortest_duration_are_chosen():
    """Five hours of work take two on three workers, and no less on more."""
    drawn = plan(hours("a", 2), hours("b", 2), hours("c", 1))
    assert (drawn.workers, drawn.chosen, drawn.enough, drawn.final) == (3, ENOUGH, 3, True)


def test_a_number_of_workers_beyond_the_curve_has_its_own_step():
    """The curve ends at `most`, says that it may fall further, and has the requested number."""
    items = [hours(f"t{number}", 1) for number in range(12)]
    drawn = plan(*items, workers=12, most=4)
    assert [(step.workers, step.seconds / HOUR) for step in drawn.curve] == [(1, 12), (2, 6), (3, 4), (4, 3), (12, 1)]
    assert (drawn.chosen, drawn.final) == (ASKED, True)
    assert not plan(*items, most=4).final


def test_dependents_of_a_manual_item_wait_for_its_dependencies():
    """The person takes no worker and no time, but the order is kept."""
    drawn = plan(hours("a", 1), hours("look", 5, "a", manual=True), hours("b", 1, "look"))
    assert (drawn.parallel, drawn.sequential, drawn.by_hand) == (2 * HOUR, 2 * HOUR, 5 * HOUR)


# -- branches


def test_branch_names_are_valid_and_unique():
    """For any ids: with invalid letters, different only in case, or empty after cleaning."""
    ids = ["a", "A", "a b", "..", "x.lock", "@{", "päckchen", "日本", "-", "a/b", "~^:?*[\\", "l" * 300]
    roadmap = Roadmap("", (Phase("one"), Phase("two")), tuple(Item(text, "", 1, 1.0) for text in ids))
    names = branches(roadmap)
    assert len({name.lower() for name in names.values()}) == len(ids)
    assert names["a"] == "team/phase2-a"
    for name in names.values():
        subprocess.run(["git", "check-ref-format", "--branch", name], check=True, capture_output=True)


# -- tasks


def test_the_known_roadmap_can_be_dispatched(seed):
    """Barriers and the conflict are dependencies, and none is redundant."""
    document = work_order(seed).document
    given = read_input(json.dumps(document).encode(), PERSONAS)
    assert given.config.max_workers == 3
    assert edges(document) == {
        "session-cli": set(), "api-guide": set(), "webhook-examples": set(),
        "agent-registry": {"session-cli", "api-guide", "webhook-examples"}, "control-agent": {"agent-registry"},
        "task-worker": {"control-agent"}, "heartbeat": {"task-worker"}, "notify": {"task-worker"},
        "logging": {"notify"},
    }  # fmt: skip
    tasks = {task.task_id: task for task in given.tasks}
    assert (tasks["notify"].estimate, tasks["notify"].files) == (3 * HOUR, ("client/client.py",))
    assert (tasks["notify"].agent, tasks["api-guide"].agent) == ("forge", "scribe")
    assert tasks["notify"].timeout_seconds == 6 * HOUR


def test_manual_items_at_the_start_are_named_and_the_rest_is_dispatched(seed):
    """Phase 1 has to be done first; nothing is left out because of it."""
    order = work_order(seed)
    assert [item.id for item in order.first] == ["try-tools", "migrate-data", "switch-database", "walk-through"]
    assert (order.later, order.left) == ((), ())
    assert next(left_out(order)).startswith("do these first: try-tools (Try every tool of the MCP server), ")


def test_tasks_behind_a_later_manual_item_are_left_out_until_it_is_done():
    """`c` waits for `look`, which waits for `a`; once `look` is done, the rest can be planned."""
    items = hours("a", 1), hours("b", 1), hours("look", 1, "a", manual=True), hours("c", 1, "look"), hours("d", 1, "c")
    drawn = plan(*items)
    order = work_order(drawn)
    assert [*edges(order.document)] == ["a", "b"]
    assert [(item.id, cause.id) for item, cause in order.left] == [("c", "look"), ("d", "look")]
    assert "left out: c, d; do look by hand when its turn has come" in " ".join(left_out(order))
    rest = without(drawn.roadmap, ["look"])
    assert edges(work_order(draw(rest, overlaps(rest))).document) == {"a": set(), "b": set(), "c": {"a"}, "d": {"c"}}


def test_a_barrier_after_a_manual_phase_leaves_out_all_later_phases():
    """Phase 2 is manual, and phase 3 waits for it."""
    order = work_order(plan(hours("a", 1), hours("m", 1, phase=1, manual=True), hours("c", 1, phase=2)))
    assert [*edges(order.document)] == ["a"]
    assert [item.id for item in order.later] == ["m"]
    assert [item.id for item, _ in order.left] == ["c"]


def test_a_manual_item_at_the_end_leaves_out_nothing():
    """It is named, so that it is not forgotten."""
    order = work_order(plan(hours("a", 1), hours("m", 1, "a", manual=True)))
    assert [*edges(order.document)] == ["a"]
    assert [*left_out(order)] == ["do this last, by hand: m"]


def test_dependents_of_done_tasks_inherit_their_dependencies():
    """An unknown name is refused."""
    roadmap = plan(hours("a", 1), hours("b", 1, "a"), hours("c", 1, "b")).roadmap
    assert [(item.id, item.dependencies) for item in without(roadmap, ["b"]).items] == [("a", ()), ("c", ("a",))]
    with pytest.raises(UsageError, match="no task 'cc' to be done; did you mean c"):
        without(roadmap, ["cc"])
    with pytest.raises(UsageError, match="every task is done"):
        without(roadmap, ["a", "b", "c"])


def test_tasks_of_a_tasks_json_keep_their_fields():
    """Input, retries and config are kept; only the dependencies are new."""
    given = {
        "tasks": [
            {"task_id": "find", "agent": "debug", "estimate": "1h", "files": ["x.py"],
             "input_data": {"problem_description": "It hangs.", "affected_files": ["x.py"]}},
            {"task_id": "mend", "agent": "forge", "estimate": 60, "files": ["x.py"], "retries": 2, "priority": 3},
        ],
        "config": {"trace_dir": "./here"},
    }  # fmt: skip
    data = json.dumps(given).encode()
    roadmap = read_roadmap(data, "tasks.json", PERSONAS)
    document = work_order(draw(roadmap, overlaps(roadmap), 2), given_in(data)).document
    tasks = {task["task_id"]: task for task in document["tasks"]}
    assert document["config"] == {"trace_dir": "./here", "max_workers": 2}
    assert tasks["find"]["input_data"] == given["tasks"][0]["input_data"]
    assert (tasks["mend"]["retries"], tasks["mend"]["priority"]) == (2, 3)
    assert sorted(map(len, edges(document).values())) == [0, 1]
    assert read_input(json.dumps(document).encode(), PERSONAS).tasks[1].retries == 2


def test_a_reference_to_a_done_task_is_refused():
    """Its output is in an earlier dispatch; the message says so before a dispatch would refuse the tasks."""
    given = {
        "tasks": [
            {"task_id": "find", "agent": "forge", "estimate": 60},
            {"task_id": "mend", "agent": "forge", "estimate": 60, "dependencies": ["find"],
             "input_data": {"cause": "{{ tasks.find.output.cause }}"}},
        ],
    }  # fmt: skip
    data = json.dumps(given).encode()
    left = without(read_roadmap(data, "tasks.json", PERSONAS), ["find"])
    with pytest.raises(InvalidTasks, match="task 'mend': its input refers to the output of 'find', which is left out"):
        work_order(draw(left, ()), given_in(data))


def test_a_roadmap_cannot_have_tasks_for_personas_with_typed_input():
    """The message names the task before a dispatch would refuse it."""
    with pytest.raises(InvalidTasks, match="task 'a': coder takes input of its own form"):
        work_order(plan(hours("a", 1, persona="coder")))


def test_invalid_task_ids_are_replaced_by_valid_ones():
    """A roadmap may number its tasks as 2.1; dependencies use the new ids."""
    document = work_order(plan(hours("2.1", 1), hours("2-1", 1, "2.1"), hours("...", 1, "2.1"))).document
    assert edges(document) == {"2-1": set(), "2-1-2": {"2-1"}, "task-3": {"2-1"}}
    read_input(json.dumps(document).encode(), PERSONAS)


def earlier(number):
    """Up to two of the items before this one."""
    places = st.sets(st.integers(0, number - 1), max_size=2) if number else st.just(set())
    return places.map(lambda chosen: tuple(f"t{place}" for place in sorted(chosen)))


@st.composite
def roadmaps(draw_one):
    """Draw up to three phases of items with edges to earlier ones, some by hand, over a handful of files."""
    phases = draw_one(st.integers(1, 3))
    count = draw_one(st.integers(1, 12))
    places = sorted(draw_one(st.lists(st.integers(0, phases - 1), min_size=count, max_size=count)))
    files = st.lists(st.sampled_from(["a.py", "b.py", "src/*.py", "src/c.py", "docs"]), max_size=2, unique=True)
    items = [
        Item(
            f"t{number}", "", place, draw_one(st.integers(1, 5)) * HOUR, files=tuple(draw_one(files)),
            dependencies=draw_one(earlier(number)), manual=draw_one(st.integers(0, 5)) == 0,
        )
        for number, place in enumerate(places)
    ]  # fmt: skip
    names = tuple(Phase(f"Phase {number}") for number in range(phases))
    return Roadmap("Drawn", names, tuple(items), phase_barriers=draw_one(st.booleans()))


@given(roadmaps(), st.integers(1, 4))
@settings(max_examples=examples(20), deadline=None)
def test_every_plan_is_valid_and_can_be_shown(roadmap, workers):
    """Dependencies, barriers and free orders are kept, the figures agree, and it can be written and drawn."""
    shared = overlaps(roadmap)
    drawn = draw(roadmap, shared, workers)
    slots, items = {slot.task: slot for slot in drawn.slots}, drawn.items
    assert set(slots) == {item.id for item in roadmap.items if not item.manual}
    for task, slot in slots.items():
        for dependency in items[task].dependencies:
            assert items[dependency].manual or slots[dependency].end <= slot.start + 1e-6
        for earlier, before in slots.items():
            barred = roadmap.phase_barriers and items[earlier].phase < items[task].phase
            assert not barred or before.end <= slot.start + 1e-6
    for number in range(1, workers + 1):
        own = [slot for slot in drawn.slots if slot.worker == number]
        assert all(before.end <= behind.start + 1e-6 for before, behind in pairwise(own))
    assert {(overlap.left, overlap.right) for overlap in shared if not overlap.ordered} == {
        (c.left, c.right) for c in drawn.conflicts
    }
    for conflict in drawn.conflicts:
        in_order = slots[conflict.first].end <= slots[conflict.second].start + 1e-6
        assert in_order if conflict.resolution == "order" else conflict.cost > 0
    assert drawn.parallel <= drawn.ordered + 1e-6 <= drawn.sequential + 2e-6
    assert all(later.seconds <= earlier.seconds + 1e-6 for earlier, later in pairwise(drawn.curve))
    assert drawn.without_barriers is None or drawn.without_barriers <= drawn.parallel
    assert json.loads(json.dumps(drawn.document()))["parallel_seconds"] == drawn.parallel
    assert markdown(drawn, "plan.svg").endswith("\n")
    assert [*lines(drawn)]
    assert gantt(drawn)["layer"]


@given(roadmaps(), st.integers(1, 4))
@settings(max_examples=examples(20), deadline=None)
def test_the_dependencies_of_dispatch_tasks_are_complete_and_minimal(roadmap, workers):
    """They contain order, barriers and conflicts, each is needed, and tasks that wait for people are left out."""
    drawn = draw(roadmap, overlaps(roadmap), workers)
    order, items = work_order(drawn), drawn.items
    own, manual = edges(order.document), {item.id for item in roadmap.items if item.manual}
    must = {task: set(item.dependencies) for task, item in items.items()}
    for task, item in items.items():
        must[task] |= {before.id for before in roadmap.items if roadmap.phase_barriers and before.phase < item.phase}
    for conflict in drawn.conflicts:
        must[conflict.second].add(conflict.first)
    must, agents = closure(must), items.keys() - manual
    first = {task for task in manual if not must[task] & agents}
    assert {item.id for item in order.first} == first
    assert own.keys() == {task for task in agents if not must[task] & manual - first}
    assert closure(own) == {task: must[task] & agents for task in own}
    for waits in own.values():
        assert not any(name in closure(own)[near] for near in waits for name in waits)
    if own:
        read_input(json.dumps(order.document).encode(), PERSONAS)


# -- how it looks


def test_markdown_in_titles_and_ids_is_escaped(seed):
    """No mark has a meaning, and no letter controls a terminal."""
    hostile = replace(seed.roadmap.items[4], title="<b>|`x`*\x1b[31m")
    roadmap = replace(seed.roadmap, title="# | <script>\u202e", items=(hostile, *seed.roadmap.items[5:]))
    page = markdown(draw(roadmap, ()), "plan.svg")
    assert "<script>" not in page
    assert "\u202e" not in page
    assert "![Schedule](plan.svg)" in page
    rows = [line for line in page.splitlines() if line.startswith("|")]
    assert all(line.endswith("|") for line in rows)


def test_the_most_expensive_conflicts_are_listed_first_and_the_others_counted():
    """Sixty pairs are too many to read."""
    items = [hours(f"t{number}", 1, files=["x.py", f"{number}.py"]) for number in range(12)]
    drawn = plan(*items, workers=2)
    text = "\n".join(lines(drawn))
    assert len(drawn.conflicts) == 66
    assert "and 26 more pairs, which --json tells" in text


def test_the_picture_has_a_bar_for_each_task_and_outlines_the_critical_path(seed):
    """Nine bars, five of them critical, each with its worker; the conflict has a line and a note."""
    values = [layer["data"]["values"] for layer in gantt(seed)["layer"]]
    bars = [value for some in values for value in some if "worker" in value and "x2" in value]
    assert {bar["task"] for bar in bars} == {slot.task for slot in seed.slots}
    assert {bar["task"] for bar in bars if bar["critical"]} == set(seed.critical_path)
    assert [value["text"] for some in values for value in some if "merge" in value.get("text", "")][-1] == (
        "merge with notify: client/client.py"
    )


@pytest.mark.parametrize("count", [1, 300])
def test_small_and_large_plans_can_be_drawn(count):
    """With one bar and with three hundred."""
    pytest.importorskip("vl_convert")
    spec = gantt(plan(*(hours(f"t{number}", 1 + number % 3) for number in range(count)), workers=4))
    assert chart.svg(spec).startswith(b"<svg")
    assert chart.png(spec).startswith(b"\x89PNG")


def test_a_long_title_is_cut_at_the_width_of_the_picture():
    """The picture is no wider than with a short one."""
    pytest.importorskip("vl_convert")
    short = plan(hours("a", 1))
    long = replace(short, roadmap=replace(short.roadmap, title="A title " * 60))
    widths = [chart.svg(gantt(drawn)).partition(b'width="')[2].partition(b'"')[0] for drawn in (short, long)]
    assert widths[0] == widths[1]


def test_a_plan_of_manual_items_only_is_valid():
    """It has no schedule, saves no time, and has nothing to dispatch."""
    drawn = plan(hours("m", 1, manual=True))
    assert (drawn.parallel, drawn.saved, drawn.slots, drawn.workers) == (0, 0, (), 1)
    assert work_order(drawn).document["tasks"] == []
    assert "by hand" in "\n".join(lines(drawn))
    assert gantt(drawn)["layer"]


def test_names_are_joined_as_in_a_sentence():
    """Of many, the first ones and the number of the rest."""
    assert [named([]), named("a"), named("ab"), named("abc"), named("abcdef", 2)] == [
        "", "a", "a and b", "a, b and c", "a, b and 4 more",
    ]  # fmt: skip


def test_overlaps_of_unknown_tasks_are_ignored():
    """They may be those of a larger roadmap."""
    roadmap = plan(hours("a", 1), hours("b", 1)).roadmap
    assert draw(roadmap, [Overlap("a", "gone", ("x",))]).conflicts == ()
