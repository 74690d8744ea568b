"""The only places of lazyusid's inside that benchmarks know; adapt them here when they move."""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch

from lazyusid.hdf5 import chunks, disk, filters


@dataclass
class Clock:
    """Seconds and calls by what they were spent on; adds up over threads."""

    seconds: dict[str, float] = field(default_factory=dict)
    calls: dict[str, int] = field(default_factory=dict)
    _guard: Any = field(default_factory=threading.Lock)

    def around(self, label: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return `function`, timed."""

        def timed(*args: Any) -> Any:
            begin = time.perf_counter()
            try:
                return function(*args)
            finally:
                self.add(label, time.perf_counter() - begin)

        return timed

    def add(self, label: str, seconds: float) -> None:
        """Add one call."""
        with self._guard:
            self.seconds[label] = self.seconds.get(label, 0.0) + seconds
            self.calls[label] = self.calls.get(label, 0) + 1


@contextmanager
def clocked() -> Iterator[Clock]:
    """Time requests for stored bytes, decoding, and looking up where chunks lie."""
    clock = Clock()
    with ExitStack() as stack:
        for label, owner, name in (
            ("read", chunks.RawChunks, "_ask"),
            ("decode", filters.Decoder, "decode"),
            ("look up", chunks.RawChunks, "_addresses"),
        ):
            timed = clock.around(label, getattr(owner, name))
            stack.enter_context(patch.object(owner, name, timed))
        _replace(stack, disk.read_bytes, clock.around("read", disk.read_bytes))
        yield clock


@dataclass
class Requests:
    """How many requests for stored bytes there were, and the bytes they asked for."""

    count: int = 0
    nbytes: int = 0
    _guard: Any = field(default_factory=threading.Lock)

    def add(self, nbytes: int) -> None:
        """Add one request."""
        with self._guard:
            self.count += 1
            self.nbytes += nbytes


@contextmanager
def slowed(latency: float) -> Iterator[Requests]:
    """Make every request for stored bytes wait `latency` seconds, and count them."""
    requests = Requests()
    read_bytes, ask = disk.read_bytes, chunks.RawChunks._ask

    def slow_read(fd: int, offset: int, out: Any) -> None:
        requests.add(len(out))
        time.sleep(latency)
        read_bytes(fd, offset, out)

    def slow_ask(self: Any, start: tuple[int, ...]) -> Any:
        time.sleep(latency)
        found = ask(self, start)
        requests.add(0 if found[0] is None else len(found[0]))
        return found

    with ExitStack() as stack:
        stack.enter_context(patch.object(chunks.RawChunks, "_ask", slow_ask))
        _replace(stack, read_bytes, slow_read)
        yield requests


def _replace(stack: ExitStack, function: Any, other: Any) -> None:
    """Put `other` wherever a module of lazyusid knows `function` by a name."""
    for module in [module for name, module in sys.modules.items() if name.startswith("lazyusid")]:
        for name in [name for name, value in vars(module).items() if value is function]:
            stack.enter_context(patch.object(module, name, other))
