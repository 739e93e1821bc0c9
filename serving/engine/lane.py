"""Requests that wait for the engine, and the batches they become.

A batch is whatever waits when the engine is free: nothing is delayed to fill it, and while it is computed the next one
gathers. BentoML's own adaptive batching was tried and is not used: it sends its first twenty requests one by one to
learn a linear model of their cost, which a mix of both modes does not follow; it keeps an unbounded queue; and one
request that cannot be answered fails all that share its batch.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

from gream.errors import RequestError

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
        self._queue: deque[tuple[Request, asyncio.Future[Answer]]] = deque()
        self._free = parallel
        self._threads = ThreadPoolExecutor(parallel, thread_name_prefix="engine")
        self._batches: set[asyncio.Task[None]] = set()

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
        self._queue.append((request, future))
        self._dispatch()
        return await future

    async def drain(self) -> None:
        """Wait until everything that was submitted is answered, and let the threads go."""
        while self._batches:
            await asyncio.wait(self._batches)
        self._threads.shutdown()

    def _dispatch(self) -> None:
        while self._free and (batch := self._take()):
            self._free -= 1
            task = asyncio.create_task(self._run(batch))
            self._batches.add(task)
            task.add_done_callback(self._batches.discard)

    def _take(self) -> list[tuple[Request, "asyncio.Future[Answer]"]]:
        batch: list[tuple[Request, asyncio.Future[Answer]]] = []
        while self._queue and len(batch) < self._max_batch:
            request, future = self._queue.popleft()
            if not future.done():  # Its caller has not given up.
                batch.append((request, future))
        return batch

    async def _run(self, batch: list[tuple[Request, "asyncio.Future[Answer]"]]) -> None:
        loop = asyncio.get_running_loop()

        async def compute(requests: list[Request]) -> list[Answer] | Exception:
            try:
                return await loop.run_in_executor(self._threads, self._compute, requests)
            except Exception as error:  # noqa: BLE001  # It is handed to those who asked.
                return error

        try:
            outcome = await compute([request for request, _ in batch])
            if isinstance(outcome, RequestError) and len(batch) > 1:
                # One of them is at fault; each is asked alone, so that the others do not pay for it.
                for request, future in batch:
                    _settle(future, await compute([request]))
                return
            for place, (_, future) in enumerate(batch):
                _settle(future, outcome if isinstance(outcome, Exception) else outcome[place : place + 1])
        finally:
            self._free += 1
            self._dispatch()


def _settle(future: "asyncio.Future[Answer]", outcome: list[Answer] | Exception) -> None:
    if future.done():
        return
    if isinstance(outcome, Exception):
        future.set_exception(outcome)
    else:
        future.set_result(outcome[0])
