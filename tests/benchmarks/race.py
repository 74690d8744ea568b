"""Runs that alternate, so that noise on the machine meets all of them alike."""

import gc
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import nan
from statistics import median
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
BUDGET = 30.0
"""Whoever has used so many seconds for one piece of work takes part in no further round."""


@dataclass
class Outcome:
    """Seconds and CPU seconds by name, one a round, NaN where someone took no part."""

    times: dict[str, list[float]]
    cpu: dict[str, list[float]]
    wrong: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)

    def median(self, name: str) -> float:
        """Return the median of the times."""
        return median(self._took(name) or [nan])

    def best(self, name: str) -> float:
        """Return the shortest time."""
        return min(self._took(name) or [nan])

    def ratio(self, name: str, other: str, of: Literal["times", "cpu"] = "times") -> float:
        """Return how many times longer `name` takes than `other`: the median over rounds."""
        found = self.times if of == "times" else self.cpu
        pairs = zip(found.get(name, []), found.get(other, []), strict=False)
        ratios = [first / second for first, second in pairs if first > 0 and second > 0]
        return median(ratios or [nan])

    def _took(self, name: str) -> list[float]:
        return [value for value in self.times.get(name, []) if value > 0]


def race(
    jobs: Mapping[str, Callable[[], Any]],
    rounds: int,
    check: Callable[[Array], bool] = lambda result: True,
) -> Outcome:
    """Return what it took to run A B C, A B C, ...; the results of the first round are checked."""
    outcome = Outcome({name: [] for name in jobs}, {name: [] for name in jobs})
    for turn in range(rounds):
        for name, job in jobs.items():
            took, cpu = _lap(outcome, name, job, check if turn == 0 else None)
            outcome.times[name].append(took)
            outcome.cpu[name].append(cpu)
    return outcome


def _lap(
    outcome: Outcome,
    name: str,
    job: Callable[[], Any],
    check: Callable[[Array], bool] | None,
) -> tuple[float, float]:
    """Return the seconds of one run, and of CPU; what `job` returns is freed outside of them."""
    if name in outcome.failed or sum(outcome._took(name)) > BUDGET:
        return nan, nan
    gc.collect()
    begin, begin_cpu = time.perf_counter(), time.process_time()
    try:
        result = job()
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # Rust's panics are no Exception
        outcome.failed[name] = f"{type(error).__name__}: {error}"
        return nan, nan
    took, cpu = time.perf_counter() - begin, time.process_time() - begin_cpu
    if check is not None and not check(np.asarray(result)):
        outcome.wrong.append(name)
    return took, cpu


def say(text: str) -> None:
    """Tell what is going on, beside the tables."""
    print(text, file=sys.stderr, flush=True)
