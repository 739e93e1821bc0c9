"""What lanes are tried with."""

import asyncio
import threading

from gream.errors import RequestError


class Machine:
    """Doubles numbers; waits for `go` before each batch, refuses 13 and breaks at 666."""

    def __init__(self):
        self.batches = []
        self.go = threading.Semaphore(0)

    def compute(self, numbers):
        self.go.acquire()
        self.batches.append(list(numbers))
        if 13 in numbers:
            raise RequestError("thirteen is not asked here")
        if 666 in numbers:
            raise ValueError("broken")
        return [2 * number for number in numbers]

    def let(self, batches):
        for _ in range(batches):
            self.go.release()


def ask(lane, numbers):
    return [asyncio.ensure_future(lane.submit(number)) for number in numbers]


def run(scenario):
    async def limited():
        async with asyncio.timeout(20):
            return await scenario()

    return asyncio.run(limited())
