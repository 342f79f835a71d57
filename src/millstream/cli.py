"""The command line: `millstream api|scheduler|runner|dev|doctor`."""

import gc
import importlib
import json
import logging
import os
import sys
from typing import Annotated, NoReturn

import typer
import uvloop

from millstream.errors import ConfigurationError, RedisUnavailableError
from millstream.logs import configure
from millstream.process.lifecycle import Stop
from millstream.settings import Settings, load_settings

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Millstream: workflows on Redis Streams.")


def _settings() -> Settings:
    try:
        return load_settings()
    except ConfigurationError as error:
        fail(error)


def fail(error: BaseException) -> NoReturn:
    """Say what is wrong and exit with status 2."""
    typer.echo(f"millstream: {error}", err=True)
    sys.exit(2)


def run_service(name: str) -> None:
    """Run a service until SIGTERM or SIGINT: it is the package `name`, which has `service.serve`."""
    settings = _settings()
    configure(settings.log_format)
    service = importlib.import_module(f"{name}.service")

    async def main() -> NoReturn:
        stop, status = Stop(), 0
        # What is loaded stays, and what comes and goes with a task makes no cycles: looking through both in vain cost
        # a runner 3 of 21 us a task. The youngest are still looked through, because users' code may make some.
        gc.freeze()
        gc.set_threshold(1000, 20, 50)
        stop.on_signals()
        try:
            await service.serve(settings, stop)
        except* ConfigurationError as group:
            typer.echo(f"millstream: {group.exceptions[0]}", err=True)
            status = 2
        except* Exception:
            logging.getLogger(name).exception("service_crashed")
            status = 1
        sys.stderr.flush()
        # At once, before anything waits for threads: those of plain tasks, and of to_thread, cannot be joined.
        os._exit(status)

    uvloop.run(main())


@app.command()
def api() -> None:
    """Serve HTTP."""
    run_service("api")


@app.command()
def scheduler() -> None:
    """Open gates and end runs. Start as many as you like."""
    run_service("scheduler")


@app.command()
def runner() -> None:
    """Execute the tasks of the modules in MILLSTREAM_TASKS."""
    run_service("runner")


@app.command()
def dev() -> None:
    """Start the whole engine here: Redis if needed, api, scheduler, runner."""
    from millstream.dev.server import run

    try:
        code = run(_settings())
    except ConfigurationError as error:
        fail(error)
    sys.exit(code)


@app.command()
def doctor(
    *, as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False
) -> None:
    """Audit Redis from outside. Exit status: 0 healthy, 1 something is wrong, 2 it cannot be told."""
    from millstream.doctor.examination import examine

    try:
        report = uvloop.run(examine(load_settings()))
    except (ConfigurationError, RedisUnavailableError) as error:
        if as_json:
            typer.echo(json.dumps({"error": str(error)}))
        fail(error)
    typer.echo(report.json() if as_json else report.text())
    sys.exit(1 if report.wrong else 0)


def main() -> None:
    """Run the command line."""
    app()
