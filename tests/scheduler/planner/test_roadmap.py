"""Roadmaps from files: what they say is planned, and all problems are reported at once, with their place."""

import json
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from team_mail.scheduler.errors import InvalidTasks
from team_mail.scheduler.planner.item import Item, Phase, Roadmap
from team_mail.scheduler.planner.overlap import overlaps
from team_mail.scheduler.planner.roadmap_file import MAX_YAML, read_roadmap

EXAMPLES = Path(__file__).parents[3] / "examples" / "plan"
PERSONAS = ("forge", "scribe", "sapper")
HOUR = 3_600.0
NO_TIME = 'must be a span of time ("90m", "2h", "1h30m") or a number of hours, above 0'
NO_NAME = "must be 1 to 100 letters (a to z), digits, '_' and '-', with a letter or a digit in front"
NO_PATH = "must be a path within the repository, from its top; write ** for all of it"


def read(text, name="plan.yaml", personas=PERSONAS) -> Roadmap:
    return read_roadmap(text if isinstance(text, bytes) else text.encode(), name, personas)


def problems(text, name="plan.yaml", personas=PERSONAS) -> tuple[str, ...]:
    with pytest.raises(InvalidTasks) as refused:
        read(text, name, personas)
    return refused.value.problems


def hours(roadmap, phase) -> float:
    return sum(item.estimate for item in roadmap.items if item.phase == phase) / HOUR


def test_every_key_of_a_roadmap_is_read():
    """Durations become seconds."""
    roadmap = read("""
        title: A  plan
        workers: 3
        phase_barriers: no
        phases:
        - title: Build
          note: The large one.
          tasks:
          - id: api
            title: An interface
            description: |
              All of it.
            estimate: 1h30m
            persona: forge
            files: [./src//api.py, docs/]
            creates: [src/new.py]
            renames: {lib/old: lib/new}
            priority: 7
        - title: Look
          tasks:
          - {id: look, manual: true, dependencies: api, estimate: 0.5, persona: Ann}
    """)

    api = Item(
        "api", "An interface", 0, 1.5 * HOUR, "forge", ("src/api.py", "docs/"), ("src/new.py",),
        (("lib/old", "lib/new"),), priority=7, description="All of it.\n",
    )  # fmt: skip
    look = Item("look", "look", 1, 0.5 * HOUR, "Ann", dependencies=("api",), manual=True)
    phases = (Phase("Build", "The large one."), Phase("Look"))
    assert roadmap == Roadmap("A plan", phases, (api, look), workers=3, phase_barriers=False)


@pytest.mark.parametrize(
    ("written", "seconds"),
    [("2", 7_200), ("1.5", 5_400), ("2h", 7_200), ("1h30m", 5_400), ("'45m'", 2_700), ("0.1", 360), ("1d", 86_400)],
)
def test_a_number_without_a_unit_is_hours(written, seconds):
    """People plan in hours."""
    assert read(f"tasks: [{{id: a, estimate: {written}}}]").items[0].estimate == seconds


def test_a_roadmap_in_json_is_the_same():
    """It is recognized by the file's name or by its first letter."""
    value = {
        "title": "T",
        "workers": 2,
        "tasks": [{"id": "a", "estimate": 2, "files": ["x"]}, {"id": "b", "manual": True}],
    }
    expected = read("{title: T, workers: 2, tasks: [{id: a, estimate: 2, files: [x]}, {id: b, manual: true}]}")

    assert read(json.dumps(value), "plan.json") == read(json.dumps(value), "-") == expected


def test_phases_and_titles_are_optional():
    """Without phases there is one without a title; without a title the file's name is used."""
    roadmap = read("tasks:\n- id: a\n  estimate: 1\n", "next/release.yml")

    assert (roadmap.title, roadmap.phases, roadmap.workers, roadmap.phase_barriers) == (
        "release",
        (Phase(""),),
        None,
        True,
    )


def test_text_stays_as_it_is_written():
    """`No` is a title, 1.10 is not a number, and a date is text."""
    roadmap = read("title: 2026-01-01\ntasks: [{id: 07, title: No, estimate: 1, description: 1.10}]")

    assert (roadmap.title, roadmap.items[0]) == ("2026-01-01", Item("07", "No", 0, HOUR, description="1.10"))


def test_a_tasks_json_is_a_roadmap():
    """There, a number is seconds, and the config has the number of workers."""
    task = {
        "task_id": "look", "agent": "sapper", "description": "Look around.\nEverywhere.", "estimate": 90,
        "files": ["src/**"], "creates": ["x.md"], "priority": 2,
    }  # fmt: skip
    after = {"task_id": "mend", "agent": "forge", "estimate": "2h", "dependencies": ["look"]}

    roadmap = read(json.dumps({"tasks": [task, after], "config": {"max_workers": 2}}), "tasks.json")
    free = read(json.dumps({"tasks": [task], "config": {}}), "-", personas=None)

    look = Item(
        "look", "Look around.", 0, 90.0, "sapper", ("src/**",), ("x.md",), priority=2,
        description="Look around.\nEverywhere.",
    )  # fmt: skip
    mend = Item("mend", "mend", 0, 2 * HOUR, "forge", dependencies=("look",))
    assert roadmap == Roadmap("tasks", (Phase(""),), (look, mend), workers=2)
    assert (free.items, free.workers) == ((look,), None)


def test_a_tasks_json_needs_estimates_and_must_be_valid():
    """Each task without an estimate is named; whatever a dispatch refuses is refused here, too."""
    tasks = [{"task_id": name, "agent": "forge"} for name in ("a", "b")]
    assert problems(json.dumps({"tasks": tasks}), "tasks.json") == tuple(
        f"tasks[{at}].estimate: '{name}' has no estimate, and a plan needs the time of every task; "
        'write "30m" or seconds'
        for at, name in enumerate("ab")
    )
    tasks = [{"task_id": "a", "agent": "smith", "estimate": 9, "dependencies": ["b"]}]
    assert "Task 'a' depends on unknown task 'b'" in str(problems(json.dumps({"tasks": tasks}), "tasks.json"))
    assert "those of a dispatch" in problems("tasks: [{task_id: a, agent: forge, estimate: 9}]")[0]


def test_the_webhook_roadmap_is_as_its_authors_planned():
    """Four phases of 3, 5, 8 and 7 hours: the first is manual, the third one path."""
    roadmap = read((EXAMPLES / "ai-webhook.yaml").read_bytes(), "ai-webhook.yaml")

    assert [hours(roadmap, phase) for phase in range(4)] == [3, 5, 8, 7]
    assert [item.manual for item in roadmap.items] == [True] * 4 + [False] * 9
    assert [item.estimate / HOUR for item in roadmap.items[4:]] == [2, 2, 1, 1, 4, 3, 2, 3, 2]
    assert [item.dependencies for item in roadmap.items[7:]] == [
        (),
        ("agent-registry",),
        ("control-agent",),
        (),
        (),
        (),
    ]
    assert (roadmap.workers, roadmap.phase_barriers) == (3, True)


def test_the_small_roadmap_has_two_overlaps():
    """A glob meets a renamed folder, and two items change the same page; there are no phases."""
    roadmap = read((EXAMPLES / "search.yaml").read_bytes(), "search.yaml", personas=None)

    assert len(roadmap.phases) == 1
    assert [(overlap.left, overlap.right, overlap.files) for overlap in overlaps(roadmap)] == [
        ("move-pages", "spelling", ("docs/pages/**/*.md",)),
        ("search-box", "dark-mode", ("site/templates/base.html",)),
    ]


def test_all_problems_are_reported_at_once():
    """Each has file, line and path; a mistake in one task neither hides nor causes one in another."""
    listed = problems("""title: x
workers: 0
phase_barriers: perhaps
colour: red
phases:
- title: one
  tasks:
  - id: a
    estimate: soon
  - id: b
    estimate: 1
    dependencies: [a, c, bb, b]
  - id: a b
    estimat: 2
- tilte: two
  tasks:
  - id: B
    estimate: 1
    persona: forg
    files: [../x, src]
  - id: late
    estimate: 1
    renames: {src/*: lib}
    dependencies: [last]
- title: three
  tasks:
  - {id: last, estimate: 1, files: [src/**], dependencies: [late]}
""")

    assert listed == tuple(f"plan.yaml:{problem}" for problem in WRONG)


WRONG = [
    "2: workers: must be 1 or more, not 0",
    '3: phase_barriers: must be true or false, not "perhaps"',
    "4: colour: is no field of a roadmap; there are phase_barriers, phases, tasks, title, workers",
    f'9: phases[0].tasks[0].estimate: {NO_TIME}, not "soon"',
    "12: phases[0].tasks[1].dependencies[1]: Task 'b' depends on unknown task 'c'; there are B, a, a b, b, last, late",
    "12: phases[0].tasks[1].dependencies[2]: Task 'b' depends on unknown task 'bb'; did you mean b?",
    "12: phases[0].tasks[1].dependencies: Circular dependency detected involving task 'b': b -> b",
    f'13: phases[0].tasks[2].id: {NO_NAME}, not "a b"',
    "14: phases[0].tasks[2].estimat: is no field of a task; did you mean estimate?",
    "15: phases[1].tilte: is no field of a phase; did you mean title?",
    f'20: phases[1].tasks[0].files[0]: {NO_PATH}, not "../x"',
    '23: phases[1].tasks[1].renames["src/*"]: must be the path of one file or folder, without wildcards, not "src/*"',
]


def test_fifty_problems_are_listed_and_the_others_counted():
    """A file that is no roadmap does not fill the screen."""
    listed = problems("tasks:\n" + "- {id: a b}\n" * 60)

    assert len(listed) == 51
    assert listed[-1] == "and 10 more"


HEAD = "tasks:\n- {id: ok, estimate: 1}\n"


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        (HEAD + "- {id: ok, estimate: 1}", 3, "tasks[1].id: 'ok' is the name of tasks[0] too"),
        (HEAD + "- {id: OK, estimate: 1}", 3, "tasks[1].id: 'OK' is the name of tasks[0] too"),
        (HEAD + "- {id: a}", 3, "tasks[1]: 'a' has no estimate, and a plan needs the time of every task"),
        (HEAD + "- id: a\n  estimate:", 3, "tasks[1]: 'a' has no estimate"),
        (HEAD + "- id: a\n  estimate: 0", 4, "tasks[1].estimate: must be a span of time"),
        (HEAD + "- id: a\n  estimate: -1", 4, "tasks[1].estimate: must be a span of time"),
        (HEAD + "- id: a\n  estimate: 1e3", 4, "tasks[1].estimate: must be a span of time"),
        (HEAD + "- id: a\n  estimate: 9999999", 4, "tasks[1].estimate: must be a span of time"),
        (HEAD + "- id: a\n  estimate: [1]", 4, "tasks[1].estimate: must be a span of time"),
        (HEAD + "- {estimate: 1}", 3, "tasks[1].id: is missing"),
        (HEAD + "- {id: ../x, estimate: 1}", 3, "tasks[1].id: must be 1 to 100 letters"),
        (HEAD + "- {id: dispatch-20260101_1, estimate: 1}", 3, "tasks[1].id: must be"),
        (HEAD + "- {id: a, estimate: 1, manual: 2}", 3, "tasks[1].manual: must be true or false"),
        (
            HEAD + "- {id: a, estimate: 1, depends: [ok]}",
            3,
            "tasks[1].depends: is no field of a task; did you mean dep",
        ),
        (HEAD + "- {id: a, estimate: 1, files: {x: y}}", 3, "tasks[1].files: must be a list"),
        (HEAD + "- {id: a, estimate: 1, files: ['[z-a]']}", 3, "tasks[1].files[0]: must be a glob"),
        (HEAD + "- id: a\n  estimate: 1\n  renames: {a: 'b*'}", 5, "tasks[1].renames.a: must be the path of one file"),
        (HEAD + "- id: a\n  estimate: 1\n  dependencies: [okk]", 5, "depends on unknown task 'okk'; did you mean ok?"),
        (HEAD + "- id: a\n  estimate: 1\n  dependencies: [a]", 5, "involving task 'a': a -> a"),
        (HEAD + "- id: a\n  estimate: 1\n  persona: forg", 5, "no persona 'forg'; did you mean forge?"),
        (HEAD + "- just text", 3, "tasks[1]: must be an object"),
        (HEAD + "phases: [{title: x, tasks: [{id: a, estimate: 1}]}]", 1, "tasks: stand beside phases"),
        ("title: x", 1, "tasks: there are none"),
        ("phases:\n- title: x\n  tasks: []", 3, "phases[0].tasks: must be a list of at least one"),
        ("phases:\n- title: x", 2, "phases[0].tasks: is missing"),
        ("workers: many\n" + HEAD, 1, "workers: must be a whole number"),
        ("- a\n- b", 0, "must be a roadmap"),
        ("", 0, "must be a roadmap"),
        ("title: [", 1, "not YAML"),
        ("title: a\ntitle: b\n" + HEAD, 2, "'title' is given twice"),
        ("a: &x 1\nb: *x", 1, "anchors and aliases are not supported"),
        ("title: !!python/object/apply:os.system [ls]", 1, "the tag 'tag:yaml.org,2002:python/object"),
        ("title: !mine x", 1, "the tag '!mine' is not supported"),
        ('title: "a\\e[31m"', 1, "control character"),
        ("a: 1\n---\nb: 2", 2, "not YAML"),
        ("[" * 100_000, 1, "nested more than 16 levels deep"),
        ("-\n" * 100_001, 100_000, "more than 100,000 values"),
    ],
)
def test_a_problem_begins_with_its_place(text, line, says):
    """Its line begins with the file and the line number, and says what is wrong."""
    listed = problems(text)

    assert len(listed) == 1
    assert says in listed[0]
    assert listed[0].startswith(f"plan.yaml:{line}: " if line else "plan.yaml: ")


def test_a_task_cannot_depend_on_a_later_phase():
    """A phase barrier forbids it; without barriers any order is valid."""
    text = """
        phases:
        - {title: one, tasks: [{id: a, estimate: 1, dependencies: [b]}]}
        - {title: two, tasks: [{id: b, estimate: 1}]}
    """
    place, problem = "plan.yaml:3: phases[0].tasks[0].dependencies[0]", "Task 'a' depends on 'b' of a later phase, two"

    assert problems(text) == (f"{place}: {problem}; move one of them, or write phase_barriers: false at the top",)
    assert read(f"{text}\n        phase_barriers: false").items[0].dependencies == ("b",)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b'{"tasks": [{"id": "a", "id": "b"}]}', "has the key 'id' twice"),
        (b'{"tasks": [{"id": "a", "estimate": NaN}]}', "NaN"),
        (b'{"tasks": [{"id": "a", "estimate": 1, "title": "\\ud800"}]}', "half of a surrogate pair"),
        (b'{"tasks": [{"id": "a", "estimate": true}]}', "must be a span of time"),
        (b'{"tasks": [{"id": 7, "estimate": 1}]}', "tasks[0].id: must be text"),
        (b"[" * 1_000_000, "nested deeper than 24"),
        (b"[1, 2]", "must be a roadmap"),
        (b'{"tasks": [%b0]}' % (b"0," * 10_000), "tasks: has 10,001 entries, and the cap is 10,000"),
        (b"#" * (MAX_YAML + 1), "has more than 1,048,576 bytes"),
        (b"title: \xff", "is not UTF-8"),
    ],
)
def test_hostile_files_are_refused_quickly_with_one_problem(data, says):
    """Input that is too deep, too large or no text is not parsed further than necessary."""
    before = time.monotonic()
    listed = problems(data, "-")

    assert says in listed[0]
    assert time.monotonic() - before < 5


WORDS = st.sampled_from(["a", "1h", "src/**", "forge"])
KEYS = st.sampled_from(["tasks", "phases", "id", "estimate", "files", "dependencies", "renames", "task_id", "x"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=3) | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)


@given(VALUES)
def test_any_json_is_a_roadmap_or_a_list_of_problems(value):
    """A roadmap that was read can be planned."""
    try:
        shared = overlaps(read(json.dumps(value), "plan.json"))
    except InvalidTasks as wrong:
        shared = wrong.problems

    assert not [line for line in shared if isinstance(line, str) and "\n" in line]
