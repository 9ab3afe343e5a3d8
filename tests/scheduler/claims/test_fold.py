"""The fold of claims against a naive reading of the same events, and overlaps of globs against paths tried in turn."""

from __future__ import annotations

from itertools import product

from hypothesis import given, settings
from hypothesis import strategies as st
from team_mail.mail.text.globs import matches
from team_mail.scheduler.claims.fold import ClaimFold
from team_mail.scheduler.claims.overlap import overlapping
from team_mail.scheduler.state.facts import Fact

from ...samples import examples

OPENED = {"title": "", "to": "", "priority": "normal", "after": [], "paths": []}
EVENTS = st.one_of(
    st.tuples(st.just("claim.taken"), st.sampled_from("ab"), st.integers(1, 4)),
    st.tuples(
        st.sampled_from(["claim.renewed", "claim.released", "claim.expired", "task.finished"]),
        st.sampled_from("ab"),
        st.integers(0, 5),
    ),
)


def facts(steps):
    """Write events: of those that are about a claim, `number` chooses one of the claims so far, counted or not."""
    for seq, name in enumerate("ab", start=1):
        yield Fact(seq, f"2026-01-01T00:00:{seq:02}Z", "task.opened", "you", None, None, {"task": name, **OPENED}, "")
    takings = []
    for seq, (kind, name, number) in enumerate(steps, start=3):
        data = {"task": name, "lease": 60.0, "paths": [], "names": [], "why": "", "status": "success", "error": ""}
        if kind == "claim.taken":
            takings.append(seq)
            data["epoch"] = number
        else:
            data["token"] = data["renewed"] = takings[-number - 1] if number < len(takings) else seq
        yield Fact(seq, f"2026-01-01T00:00:{seq:02}Z", kind, f"p{seq}", None, None, data, "")


def naive(events):
    """Return of each task the tokens that counted, the one that goes on, the one that ended it, and the late ones."""
    out = {}
    for task in "ab":
        own = [fact for fact in events if fact.data["task"] == task]
        used, counted, going, given_back, renewed, end, late = 0, [], None, None, None, None, []
        for fact in own:
            token = fact.data.get("token")
            if fact.kind == "claim.taken" and fact.data["epoch"] == used + 1:
                used += 1
                if going is None and end is None:
                    counted.append(fact.seq)
                    going = renewed = fact.seq
            elif fact.kind == "claim.renewed" and token == going and end is None:
                renewed = fact.seq
            elif fact.kind == "claim.released" and token == going and end is None:
                going, given_back = None, token
            elif fact.kind == "claim.expired" and token == going and end is None and fact.data["renewed"] == renewed:
                going = None
            elif fact.kind == "task.finished" and token in counted:
                if end is None and token == counted[-1] and token != given_back:
                    end, going = token, None
                elif token != end:
                    late.append(token)
        out[task] = counted, going, end, late
    return out


@settings(max_examples=examples(50))
@given(st.lists(EVENTS, max_size=30))
def test_the_fold_is_what_a_naive_reading_finds(steps):
    """One owner at a time, ends by the newest token alone, everything else late or for nothing."""
    events, fold = [*facts(steps)], ClaimFold()
    for fact in events:
        fold.add(fact)
    found = {
        name: (
            [claim.token for claim in task.claims],
            task.current.token if task.current else None,
            task.end.token if task.end else None,
            [end.token for end in task.late],
        )
        for name, task in fold.tasks.items()
    }
    assert found == naive(events)


KINDS = ("task.opened", "claim.taken", "claim.renewed", "claim.released", "claim.expired", "task.finished")
KEYS = ("task", "token", "epoch", "lease", "paths", "names", "why", "status", "error", "process")
JUNK = st.one_of(st.none(), st.integers(), st.text(max_size=3), st.lists(st.integers(), max_size=2), st.just({}))


@settings(max_examples=examples(25))
@given(
    st.sampled_from(
        ["task.opened", "claim.taken", "claim.renewed", "claim.released", "claim.expired", "task.finished"]
    ),
    st.dictionaries(
        st.sampled_from(["task", "token", "epoch", "lease", "paths", "names", "why", "status", "error", "process"]),
        JUNK,
    ),
)
def test_an_event_of_another_form_changes_nothing(kind, data):
    """Whoever can write the log can write anything into it: no command fails over that."""
    fold = ClaimFold()
    for fact in facts([("claim.taken", "a", 1)]):
        fold.add(fact)
    before = dict(fold.tasks)
    fold.add(Fact(9, "2026-01-01T00:00:09Z", kind, "eve", None, None, data | {"task": None}, ""))
    assert fold.tasks == before
    fold.add(Fact(10, "2026-01-01T00:00:10Z", kind, "eve", None, None, data, ""))  # whatever it does, it raises nothing
    assert {*before} <= {*fold.tasks}


PARTS = st.sampled_from(["a", "b", "*", "**", "a*", "*b", "?", "[ab]", "[!a]", "ab"])
GLOBS = st.lists(PARTS, min_size=1, max_size=3).map("/".join)
NAMES = ["a", "b", "ab"]
PATHS = ["/".join(names) for depth in (1, 2, 3, 4) for names in product(NAMES, repeat=depth)]


@settings(max_examples=examples(50))
@given(GLOBS, GLOBS)
def test_globs_overlap_exactly_where_a_path_matches_both(left, right):
    """Sound: two globs that a path matches are never taken for apart. And exact, within paths of four short names."""
    both = next((path for path in PATHS if matches(path, [left]) and matches(path, [right])), None)
    assert bool(overlapping([left], [right])) == bool(both)
    assert bool(overlapping([right], [left])) == bool(both)
