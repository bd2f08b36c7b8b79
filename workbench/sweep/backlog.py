"""Which run may be handed out next: never more than there are workers for, and the most demanding ones first."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence

from workbench.sweep.plan import PlannedRun

Demand = tuple[tuple[str, float], ...]


def demand_of(run: PlannedRun) -> Demand:
    """What the worker of ``run`` has to have, as a key."""
    return tuple(sorted(run.resources.items()))


def meets(has: Mapping[str, float], demand: Demand) -> bool:
    """Whether a worker that ``has`` these resources can take such a run."""
    return all(has.get(name, 0) >= amount for name, amount in demand)


class Backlog:
    """Runs that wait, and runs that are out.

    A worker does one run at a time, and a run is handed out only when a worker for it may be free: so a worker that
    dies takes one run with it, and what is pinned to a rare worker does not keep others from theirs.

    Args:
        runs: to be done, in this order among those of one demand.
    """

    def __init__(self, runs: Iterable[PlannedRun]) -> None:
        self._waiting: dict[Demand, deque[PlannedRun]] = {}
        self._out: Counter[Demand] = Counter()
        for run in runs:
            self._waiting.setdefault(demand_of(run), deque()).append(run)

    def __len__(self) -> int:
        """Runs that wait or are out."""
        return sum(map(len, self._waiting.values())) + self._out.total()

    def take(self, workers: Sequence[Mapping[str, float]], patient: bool = False) -> list[PlannedRun]:
        """The runs to hand out now, which are out from now on.

        Args:
            workers: what each has.
            patient: also hand out one run of each kind that no worker can take, to wait for a worker that comes.
        """
        room = {demand: sum(meets(has, demand) for has in workers) for demand in self._waiting}
        found = []
        for demand in sorted(self._waiting, key=lambda demand: room[demand]):
            waiting, alone = self._waiting[demand], patient and not room[demand]
            while waiting and self._out[demand] < max(room[demand], int(alone)):
                if not alone and self._busy(room) >= len(workers):
                    break
                found.append(waiting.popleft())
                self._out[demand] += 1
        return found

    def _busy(self, room: Mapping[Demand, int]) -> int:
        """Workers that are taken by the runs that are out."""
        return sum(count for demand, count in self._out.items() if room.get(demand, 0))

    def done(self, run: PlannedRun) -> None:
        """``run`` is out no more."""
        self._out[demand_of(run)] -= 1

    def again(self, run: PlannedRun) -> None:
        """``run`` is out no more, and waits again, before all others."""
        self.done(run)
        self._waiting[demand_of(run)].appendleft(run)

    def missing(self, workers: Sequence[Mapping[str, float]]) -> list[Demand]:
        """Demands of runs that wait or are out which no worker meets."""
        open_ = [demand for demand, waiting in self._waiting.items() if waiting or self._out[demand]]
        return [demand for demand in open_ if not any(meets(has, demand) for has in workers)]
