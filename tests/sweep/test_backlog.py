"""Runs are handed out to workers that may take them, never more than there are workers, and each exactly once."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from workbench.sweep.backlog import Backlog, demand_of, meets
from workbench.sweep.plan import PlannedRun

NAMES = ("device:a", "device:b", "gpu")
HAS = st.lists(st.sets(st.sampled_from(NAMES)).map(lambda names: dict.fromkeys(names, 1.0)), min_size=1, max_size=4)


def planned(number: int, needs: set[str] | frozenset[str] = frozenset()) -> PlannedRun:
    return PlannedRun(number, f"{number:016x}", {}, None, {}, {}, dict.fromkeys(sorted(needs), 1.0), {})


@given(needs=st.lists(st.sets(st.sampled_from(NAMES), max_size=2), max_size=12), workers=HAS, pick=st.randoms())
def test_every_run_that_somebody_can_take_is_done_once(needs, workers, pick):
    runs = [planned(number, names) for number, names in enumerate(needs)]
    backlog, out, done = Backlog(runs), [], []
    while True:
        out += backlog.take(workers)
        assert len(out) <= len(workers)
        for demand in {demand_of(run) for run in out}:
            able = sum(meets(has, demand) for has in workers)
            assert sum(demand_of(run) == demand for run in out) <= able
        if not out:
            break
        run = out.pop(pick.randrange(len(out)))
        if pick.random() < 0.2:
            backlog.again(run)
        else:
            backlog.done(run)
            done.append(run.number)
    possible = [run.number for run in runs if any(meets(has, demand_of(run)) for has in workers)]
    assert sorted(done) == possible
    assert len(backlog) == len(runs) - len(possible)
    assert bool(backlog.missing(workers)) == (len(possible) < len(runs))


def test_what_needs_the_rarest_worker_goes_first():
    backlog = Backlog([planned(0), planned(1), planned(2, {"gpu"})])
    assert [run.number for run in backlog.take([{}, {"gpu": 1.0}])] == [2, 0]


def test_pinned_runs_do_not_keep_others_waiting():
    backlog = Backlog([*(planned(n, {"gpu"}) for n in range(5)), planned(9)])
    assert [run.number for run in backlog.take([{}, {"gpu": 1.0}])] == [0, 9]


def test_one_that_nobody_can_take_waits_only_if_it_is_asked_to():
    backlog = Backlog([planned(0, {"gpu"}), planned(1, {"gpu"}), planned(2)])
    assert [run.number for run in backlog.take([{}])] == [2]
    assert [run.number for run in backlog.take([{}], patient=True)] == [0]
    assert backlog.take([{}], patient=True) == []
    assert backlog.missing([{}]) == [(("gpu", 1.0),)]


def test_what_is_tried_again_comes_first():
    backlog = Backlog([planned(0), planned(1), planned(2)])
    (first,) = backlog.take([{}])
    backlog.again(first)
    assert backlog.take([{}]) == [first]
