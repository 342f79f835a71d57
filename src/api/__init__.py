"""The api: submit, read, health. `uvicorn api:app` starts it alone."""

from api.app import app

__all__ = ["app"]
