"""Three tasks of one's own: offer them with `MILLSTREAM_TASKS=examples.my_tasks make run`."""

import asyncio
import shutil

from millstream import task


@task
async def local_addresses() -> list[str]:
    """Look up what `localhost` resolves to, on the runner's event loop."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo("localhost", None)
    return sorted({str(address[0]) for *_, address in found})


@task
def disk_space() -> dict[str, int]:
    """Measure the disk that holds the current directory, in a thread."""
    usage = shutil.disk_usage(".")
    return {"total_bytes": usage.total, "free_bytes": usage.free}


@task(name="check-invoice")
def check_invoice() -> None:
    """Fail, as a task does, by raising; the error is kept with the run."""
    raise ValueError("the invoice has no address")
