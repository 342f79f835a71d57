"""The task that the bench runs: it does nothing, so that what is measured is the engine."""

from millstream import task


@task
async def noop() -> None:
    """Do nothing."""
