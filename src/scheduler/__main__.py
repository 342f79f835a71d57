"""`python -m scheduler`."""

from millstream.cli import run_service

run_service("scheduler")
