"""Readers that follow a log at different distances: each begins at a mark, and gets what it would get without one."""

from __future__ import annotations

from itertools import cycle

from hypothesis import example, given, settings
from hypothesis import strategies as some
from team_mail.mail.log.event import Draft
from team_mail.mail.log.log import EventLog

from ...samples import examples

STEPS = some.lists(
    some.one_of(
        some.integers(1, 30).map(lambda many: ("append", many)),
        some.integers(0, 400).map(lambda behind: ("read", behind)),
        some.integers(1, 5).map(lambda lines: ("undo", lines)),
    ),
    max_size=12,
)


@settings(max_examples=examples(60))
@given(STEPS)
@example([("append", 7), ("read", 0), ("undo", 3), ("append", 9), ("read", 6)])
def test_a_reader_gets_the_same_events_with_marks_as_without(tmp_path_factory, steps):
    """Also after segments were sealed, and after appends that others had read were undone."""
    log = EventLog(tmp_path_factory.mktemp("log"), segment_bytes=20_000)
    log.create()
    lengths = cycle([10, 300, 40, 170, 90])  # of five kinds, so that after an undone append no line is where one was
    for step, number in steps:
        if step == "append":
            log.append([Draft("test.happened", "ann", body="x" * next(lengths)) for _ in range(number)])
        elif step == "read":
            after = max(0, log.head().seq - number)
            assert [*log.read(after)] == [*EventLog(log.folder).read(after)]
        elif (data := log.active.read_bytes()).count(b"\n") > number:
            log.active.write_bytes(b"".join(data.splitlines(keepends=True)[:-number]))
    assert [*log.read()] == [*EventLog(log.folder).read()]
