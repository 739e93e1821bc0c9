"""Requests that wait for the engine, and the batches they become.

A free engine takes a request at once. While it computes, others gather, and they are the next batch. An engine that
computes several batches at the same time gets them of equal size: each takes its share of all that wait or are computed
just then. Those who were just answered often ask again, so a batch that would be smaller waits for them a moment, a
twentieth of what the last one took: without it, clients that ask one thing after the other fall into two groups that
take turns with half-full batches.

BentoML's own adaptive batching was tried: under 1, 8 and 32 clients its throughput is the same. It is not used because
its queue has no bound, because it fails a whole batch for one request that cannot be answered, and because it drops
requests by an estimate of their cost that is linear in the batch, which a mix of histories and widths is not.
"""

import asyncio
import math
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, Generic, TypeVar

from gream.errors import RequestError

COURTESY: Final = 0.05
"""Share of a batch's time for which the next one may be held open."""

Request = TypeVar("Request")
Answer = TypeVar("Answer")


class OverloadedError(Exception):
    """Too many requests wait already; ask again later."""


class Lane(Generic[Request, Answer]):
    """A queue with a limit in front of a function that answers batches; to be used from one event loop.

    Attributes:
        waiting: requests that no batch has taken yet.
    """

    def __init__(
        self, compute: Callable[[Sequence[Request]], list[Answer]], max_batch: int, max_waiting: int, parallel: int = 1
    ) -> None:
        """Args:
        compute: answers a batch, in a thread of its own.
        max_batch: requests in one batch at most.
        max_waiting: requests that may wait; more are refused.
        parallel: batches under way at once.
        """
        self._compute = compute
        self._max_batch = max_batch
        self._max_waiting = max_waiting
        self._queue: OrderedDict[asyncio.Future[Answer], Request] = OrderedDict()
        self._parallel = self._free = parallel
        self._computing = 0
        self._threads = ThreadPoolExecutor(parallel, thread_name_prefix="engine")
        self._batches: set[asyncio.Task[None]] = set()
        self._expected = 0
        self._hold: asyncio.TimerHandle | None = None

    @property
    def waiting(self) -> int:
        """Requests that no batch has taken yet."""
        return len(self._queue)

    async def submit(self, request: Request) -> Answer:
        """The answer to one request; a caller that is cancelled leaves the queue.

        Raises:
            OverloadedError: the queue is full.
            RequestError: this request cannot be answered; others of its batch are not concerned.
        """
        if len(self._queue) >= self._max_waiting:
            raise OverloadedError(f"{len(self._queue)} requests are waiting for the engine already.")
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._queue[future] = request
        self._dispatch()
        try:
            return await future
        finally:
            self._queue.pop(future, None)  # A caller that gave up before a batch took it makes room for others.

    async def drain(self) -> None:
        """Wait until everything that was submitted is answered, and let the threads go."""
        while self._queue or self._batches:
            self._start()
            if self._batches:
                await asyncio.wait(self._batches)
        self._threads.shutdown()

    def _dispatch(self) -> None:
        """Start what may start now, unless the next batch is held open."""
        if self._hold is None or len(self._queue) >= self._expected:
            self._start()

    def _start(self) -> None:
        self._end_hold()
        while self._free and (batch := self._take()):
            self._free -= 1
            self._computing += len(batch)
            task = asyncio.create_task(self._run(batch))
            self._batches.add(task)
            task.add_done_callback(self._batches.discard)

    def _end_hold(self) -> None:
        if self._hold is not None:
            self._hold.cancel()
            self._hold = None

    def _take(self) -> list[tuple[Request, "asyncio.Future[Answer]"]]:
        batch: list[tuple[Request, asyncio.Future[Answer]]] = []
        share = self._share(len(self._queue))
        while self._queue and len(batch) < share:
            future, request = self._queue.popitem(last=False)
            if not future.done():  # Its caller has not given up.
                batch.append((request, future))
        return batch

    def _share(self, waiting: int) -> int:
        """Size of the next batch, so that all that are under way at once are of equal size."""
        return min(math.ceil((waiting + self._computing) / self._parallel), self._max_batch)

    async def _run(self, batch: list[tuple[Request, "asyncio.Future[Answer]"]]) -> None:
        loop = asyncio.get_running_loop()

        async def compute(requests: list[Request]) -> list[Answer] | Exception:
            try:
                return await loop.run_in_executor(self._threads, self._compute, requests)
            except Exception as error:  # noqa: BLE001  # It is handed to those who asked.
                return error

        started = time.monotonic()
        try:
            outcome = await compute([request for request, _ in batch])
            if isinstance(outcome, RequestError) and len(batch) > 1:
                # One of them is at fault; each is asked alone, so that the others do not pay for it.
                for request, future in batch:
                    if not future.done():  # Nobody is computed for who has gone meanwhile.
                        _settle(future, await compute([request]))
                return
            for place, (_, future) in enumerate(batch):
                _settle(future, outcome if isinstance(outcome, Exception) else outcome[place : place + 1])
        finally:
            self._free += 1
            self._computing -= len(batch)
            self._expected = self._share(len(batch) + len(self._queue))
            self._end_hold()  # Another batch may have begun one; its timer would cut this one short.
            self._hold = loop.call_later(COURTESY * (time.monotonic() - started), self._start)
            self._dispatch()


def _settle(future: "asyncio.Future[Answer]", outcome: list[Answer] | Exception) -> None:
    if future.done():
        return
    if isinstance(outcome, Exception):
        future.set_exception(outcome)
    else:
        future.set_result(outcome[0])
