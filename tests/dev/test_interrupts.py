"""A wish to stop is granted, whatever swallows cancellations on the way."""

import asyncio
import contextlib

from millstream.dev.interrupts import Interrupts


async def test_work_that_swallows_a_cancellation_is_cancelled_again() -> None:
    interrupts = Interrupts()

    async def work() -> None:
        with contextlib.suppress(asyncio.CancelledError):
            interrupts.stop.set()
            await asyncio.Event().wait()
        await asyncio.Event().wait()

    async with asyncio.timeout(10):
        await interrupts.cut_short(work())
