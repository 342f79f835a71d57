"""`python -m runner`."""

from millstream.cli import run_service

run_service("runner")
