"""Signals as wishes: the first asks dev to stop in order, the second to stop at once."""

import asyncio
import contextlib
import signal
from collections.abc import Coroutine
from typing import Any, Final

AGAIN_SECONDS: Final = 0.2
# SIGHUP too: a terminal that is closed ends its dev server in order.
WISHES: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupts:
    """Two events that signals set, one after the other."""

    def __init__(self) -> None:
        self.stop = asyncio.Event()
        self.hurry = asyncio.Event()

    def listen(self) -> None:
        """Take SIGINT, SIGTERM and SIGHUP from now on."""
        loop = asyncio.get_running_loop()
        for number in WISHES:
            loop.add_signal_handler(number, self._take)

    def _take(self) -> None:
        (self.hurry if self.stop.is_set() else self.stop).set()

    async def cut_short(self, work: Coroutine[Any, Any, None]) -> None:
        """Run until done or asked to stop, whichever is first. Raises what the work raises."""
        working = asyncio.create_task(work)
        asked = asyncio.create_task(self.stop.wait())
        await asyncio.wait({working, asked}, return_when=asyncio.FIRST_COMPLETED)
        asked.cancel()
        while not working.done():  # again and again, because a library on its way may swallow a cancellation
            working.cancel()
            await asyncio.wait({working}, timeout=AGAIN_SECONDS)
        with contextlib.suppress(asyncio.CancelledError):
            working.result()
