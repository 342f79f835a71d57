"""Millstream: a workflow engine driven by Redis Streams. Task authors import `task`; the rest is the engine's."""

from importlib.metadata import version

from millstream.tasks import task

__version__ = version("millstream")
__all__ = ["__version__", "task"]
