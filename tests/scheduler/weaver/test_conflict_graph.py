"""Which patches conflict, asked again and again about the same runs: what is known of earlier answers changes none."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from team_mail.personas.git import Git
from team_mail.scheduler.weaver.conflict_graph import Survey
from team_mail.scheduler.weaver.merging import Merging
from team_mail.scheduler.weaver.patch import WeaveLimits
from team_mail.scheduler.weaver.scratch import quarantine
from team_mail.scheduler.weaver.tree import Applied, Tree, read_tree

from ...samples import examples
from ..project import Project, lines

FILES = {"a": lines(count=9), "b": lines(count=9)}
EDITS = st.lists(st.tuples(st.sampled_from(["a", "b"]), st.integers(1, 3)), max_size=3)
ROUNDS = st.lists(st.lists(EDITS, min_size=3, max_size=3), min_size=2, max_size=4)


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return Project(tmp_path_factory.mktemp("graph") / "project", FILES)


def edited(edits, mark: str) -> dict[str, str]:
    """Return what some edits make of the files: each changes a line, and no two of the lines merge into each other."""
    now = dict(FILES)
    for name, line in edits:
        now[name] = now[name].replace(f"line {3 * line}\n", f"line {3 * line} by {mark}\n")
    return now


def run(project, scratch, name: str, edits) -> Applied:
    """Return what a run has changed by now; its key is always the same."""
    base = read_tree(scratch, project.base)
    now = Tree(project.tree(edited(edits, name), project.base), scratch)
    return Applied(project.submission(name, b""), base, tuple(base.changes_to(now)))


def answer(graph):
    return {pair: merge.files for pair, merge in graph.pairs.items()}, {
        number: {(stage.path, stage.number, stage.entry) for stage in merge.stages}
        for number, merge in graph.late.items()
    }


def naive(edits, tip):
    """Tell by the lines alone which runs conflict: with each other, and with the tip."""
    wanted = [{*places} for places in edits]
    late = {number for number, places in enumerate(wanted) if places & {*tip}}
    numbers = [number for number in range(len(wanted)) if number not in late]
    return {(a, b) for a in numbers for b in numbers if a < b and wanted[a] & wanted[b]}, late


@given(ROUNDS, st.lists(EDITS, min_size=1, max_size=2))
@settings(max_examples=examples(5), deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_runs_whose_contents_change_get_the_answers_of_one_who_knows_nothing(project, rounds, tips):
    """The key of a run stays the same from round to round; only what it has changed is asked for."""
    with quarantine(project.git, project.base) as scratch:
        survey = Survey(Merging(scratch, WeaveLimits()))
        for number, edits in enumerate(rounds):
            landed = tips[number % len(tips)]
            tip = project.commit(edited(landed, "tip"), project.base)
            runs = [run(project, scratch, f"p{at}", each) for at, each in enumerate(edits)]
            tree = read_tree(scratch, tip)

            known = answer(survey.graph(tree, tip, runs))

            assert known == answer(Survey(Merging(scratch, WeaveLimits())).graph(tree, tip, runs))
            pairs, late = known
            assert ({*pairs}, {*late}) == naive(edits, landed)


def test_only_what_is_new_is_merged_and_only_the_last_answer_is_kept(project, monkeypatch):
    """The same question starts no process; a question of before is asked of git anew."""
    git, merges = Git.run, list[str]()

    def counted(self, *words, **more):
        if words[0] == "merge-tree":
            merges.extend(more["stdin"].decode().splitlines())
        return git(self, *words, **more)

    monkeypatch.setattr(Git, "run", counted)
    tip = project.commit(edited([("a", 1)], "tip"), project.base)
    with quarantine(project.git, tip) as scratch:
        survey, tree = Survey(Merging(scratch, WeaveLimits())), read_tree(scratch, tip)
        ann, bob, cyd = (run(project, scratch, name, [("b", 1)]) for name in ("ann", "bob", "cyd"))
        late, later = (run(project, scratch, "dan", [("a", number)]) for number in (1, 2))

        def asked(*runs) -> int:
            before = len(merges)
            survey.graph(tree, tip, runs)
            return len(merges) - before

        assert asked(ann, bob, late) == 2
        assert asked(ann, bob, late) == 0
        assert asked(ann, bob, cyd, late) == 2
        assert asked(ann, bob, later) == 1
        assert asked(ann, bob, late) == 1
        assert asked(ann, late) == 0
        assert asked(ann, bob, late) == 1
