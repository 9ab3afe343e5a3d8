"""The search for culprits, as a pure function: right whatever is to blame, with few runs, and not misled by chance."""

import random
from collections import Counter
from statistics import median

from hypothesis import given, settings
from hypothesis import strategies as st
from team_mail.scheduler.landing.search import NEW, Ask, Culprit, End, Search, Tally, wanted

from ...samples import examples


class Trial:
    """One search over a line of patches. `bad` fail alone, `pairs` only together, and a red base always fails."""

    def __init__(self, count, bad=(), pairs=(), *, red_base=False, known=True, chance=lambda: False, seen=(0, 0)):
        self.line = tuple(range(count))
        self.bad, self.pairs, self.red_base, self.chance, self.seen = set(bad), pairs, red_base, chance, seen
        self.tallies = {(): Tally(known=True)} if known else {}
        self.blamed, self.runs, self.rounds, self.end = [], 0, 0, None

    def fails(self, line):
        return self.red_base or bool(self.bad & {*line}) or any({*pair} <= {*line} for pair in self.pairs)

    def tally(self, line):
        return self.tallies.get(line, NEW)

    def run(self, line):
        self.runs += 1
        self.tallies[line] = self.tally(line).plus(passed=not (self.fails(line) or self.chance()))

    @property
    def luck(self):
        """How often the gate failed on trees that passed, and how often it ran on them."""
        green = [tally for tally in self.tallies.values() if tally.green]
        failed, runs = sum(each.failed for each in green), sum(each.failed + each.passed for each in green)
        return failed + self.seen[0], runs + self.seen[1]

    def search(self, width=1, suspects=lambda line: ()):
        while self.end is None:
            search = Search(self.line, self.tally, frozenset(suspects(self.line)), len(self.blamed), self.luck)
            decision = search.decide()
            if isinstance(decision, End):
                self.end = decision
            elif isinstance(decision, Culprit):
                self.blamed.append(decision)
                self.line = tuple(patch for patch in self.line if patch != decision.patch)
            else:
                asks = wanted(search, width)
                assert asks[0] == decision.line
                assert len({*asks}) == len(asks) <= width
                self.rounds += 1
                for line in asks:
                    self.run(line)
        return self


def first_culprits(trial):
    """Take out, one by one, the patch that ends the shortest beginning of the line that fails: one run for each."""
    line, culprits = list(trial.line), []
    while trial.fails(line):
        size = next(size for size in range(1, len(line) + 1) if trial.fails(line[:size]))
        patch = line.pop(size - 1)
        before = line[: size - 1]
        alone = trial.fails([patch])
        partner = None if alone else next(p for n, p in enumerate(before, 1) if trial.fails([*before[:n], patch]))
        culprits.append((patch, partner))
    return culprits


BLAME = st.integers(1, 14).flatmap(
    lambda count: st.tuples(
        st.just(count),
        st.sets(st.integers(0, count - 1), max_size=5),
        st.lists(st.tuples(st.integers(0, count - 1), st.integers(0, count - 1)).filter(lambda p: p[0] != p[1]),
                 max_size=2),
        st.booleans(),
        st.integers(1, 4),
    )
)  # fmt: skip


@given(BLAME)
@settings(max_examples=examples(30), deadline=None)
def test_the_search_blames_whom_a_try_of_every_prefix_blames(blame):
    """The same patches in the same order, and the same partners, however many trees are tried side by side."""
    count, bad, pairs, known, width = blame
    expected = first_culprits(Trial(count, bad, pairs))

    trial = Trial(count, bad, pairs, known=known).search(width)

    assert [(culprit.patch, culprit.partner) for culprit in trial.blamed] == expected
    assert trial.end == End.GREEN


@given(BLAME, st.randoms(use_true_random=False))
@settings(max_examples=examples(30), deadline=None)
def test_every_verdict_has_two_failures_with_the_patch_and_passes_without_it_twice(blame, dice):
    """So it is with a gate that fails by chance as well: green at the same base, and each once more."""
    count, bad, pairs, known, width = blame
    trial = Trial(count, bad, pairs, known=known, chance=lambda: dice.random() < 0.3)
    whole = trial.line

    trial.search(width)

    for culprit in trial.blamed:
        *before, patch = culprit.red
        alone = trial.tally((patch,))
        assert patch == culprit.patch
        assert trial.tally(culprit.red).red
        assert trial.tally(tuple(before)).green
        assert trial.tally(culprit.red).failed + (alone.failed if before and alone.red else 0) >= 2
        passes = [tally.passes for line, tally in trial.tallies.items() if patch not in line]
        assert sum(passes) >= 2
    assert trial.runs <= 60 * (len(whole) + 1)


@given(st.integers(1, 20), st.sets(st.integers(0, 19)), st.integers(1, 4))
@settings(max_examples=examples(20), deadline=None)
def test_a_red_base_blames_nobody(count, bad, width):
    """It has failed twice by then; a base that is known to be red costs one run, because a patch may mend it."""
    trial = Trial(count, bad, red_base=True, known=False).search(width)

    assert (trial.end, trial.blamed) == (End.RED_BASE, [])
    assert trial.tally(()).failed >= 2

    again = Trial(count, bad, red_base=True, known=False)
    again.tallies[()] = trial.tally(())
    assert (again.search().end, again.runs) == (End.RED_BASE, 1)


def test_a_line_that_passes_costs_one_run_and_one_that_passed_none():
    """Nothing else is tried."""
    trial = Trial(20).search()

    assert (trial.runs, trial.end, trial.search().runs) == (1, End.GREEN, 1)


def costs(culprits, trials=60, **fields):
    dice = random.Random(7)
    done = [Trial(20, dice.sample(range(20), culprits), **fields) for _ in range(trials)]
    return [trial.search().runs for trial in done]


def test_twenty_patches_cost_few_runs():
    """As many as promised for a gate that has passed before, and one more where nothing is known of it.

    Plain bisection takes 10, 18 and 40.
    """
    for known, seen, most in ((True, (0, 20), (8, 14, 30)), (False, (0, 20), (8, 14, 30)), (True, (0, 0), (9, 15, 30))):
        medians = [median(costs(culprits, known=known, seen=seen)) for culprits in (1, 2, 5)]

        assert all(ours <= limit for ours, limit in zip(medians, most, strict=True)), medians
    assert max(costs(1, seen=(0, 20))) <= 9


def test_two_trees_at_once_take_three_fifths_of_the_time():
    """Counted in rounds, each as long as a run; the better half of the work is not wasted."""
    for culprits, most in ((1, 0.61), (2, 0.6), (5, 0.6)):
        alone, both = (
            [Trial(20, random.Random(seed).sample(range(20), culprits)).search(width).rounds for seed in range(60)]
            for width in (1, 2)
        )
        assert sum(both) <= most * sum(alone)


def test_a_single_suspect_is_tried_first():
    """A patch that alone changes what the output names is proved to be the culprit without a search."""
    for seed in range(20):
        culprit = random.Random(seed).randrange(20)
        trial = Trial(20, [culprit]).search(suspects=lambda line, culprit=culprit: {culprit} & {*line})

        assert [each.patch for each in trial.blamed] == [culprit]
        assert trial.runs <= 6


def test_a_suspect_that_is_innocent_costs_one_run():
    """It passes alone, and the search goes on without suspicion."""
    trial = Trial(20, [3], seen=(0, 20)).search(suspects=lambda _: {11})

    assert [each.patch for each in trial.blamed] == [3]
    assert trial.runs <= 10


def test_a_gate_that_fails_by_chance_seldom_blames_anybody():
    """What it did before counts: over 300 weaves of one team it blames in 2 of 100, as plain bisection does in 20."""
    dice, seen, outcomes = random.Random(3), (0, 0), Counter()
    for _ in range(300):
        trial = Trial(7, chance=lambda: dice.random() < 0.5, seen=seen).search()
        seen = trial.luck
        outcomes[bool(trial.blamed)] += 1

    assert outcomes[True] <= 6


def test_a_gate_that_contradicts_itself_has_to_fail_more_often():
    """Twice is enough for one that never did."""
    steady, unsteady = (Search((), lambda _: NEW, chance=chance) for chance in ((0, 20), (10, 20)))

    assert (steady.need, unsteady.need) == (2, 7)


def test_a_tree_that_cannot_be_made_is_not_asked_for():
    """A patch that does not land alone is convicted where it landed."""
    trial = Trial(8, [5])
    tally = trial.tally
    trial.tally = lambda line: None if line == (5,) else tally(line)

    trial.search()

    assert [(each.patch, each.red) for each in trial.blamed] == [(5, (0, 1, 2, 3, 4, 5))]
    assert trial.tallies[0, 1, 2, 3, 4, 5].failed >= 2
    assert isinstance(Search((1,), lambda _: NEW).decide(), Ask)
