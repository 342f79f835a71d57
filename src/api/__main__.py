"""`python -m api`."""

from millstream.cli import run_service

run_service("api")
