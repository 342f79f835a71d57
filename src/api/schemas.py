"""What the api answers, for OpenAPI and for readers."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from millstream.states import RunState, TaskState

EXAMPLE_ID = "7d0f6f0e-5d5c-4c5e-9a6b-0c9c6c0f1b55"


class Started(BaseModel):
    """A run was accepted: it is in Redis with its definition."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"run_id": EXAMPLE_ID, "status": "started"}]})

    run_id: str
    status: Literal["started"] = "started"


class Problem(BaseModel):
    """Why a request was refused."""

    detail: str


class TaskError(BaseModel):
    """What a task raised."""

    type: str
    message: str
    traceback: str


class TaskView(BaseModel):
    """A task of a run."""

    id: str
    task: str = Field(description="The task's name")
    status: TaskState
    attempts: int = Field(description="How often it was started; hand-backs do not count")
    epoch: int = Field(description="Grows with every message written for it; 1 at first")
    runner: str | None = Field(None, description="The process that ran its last attempt")
    started_at: str | None = None
    ended_at: str | None = None
    error: TaskError | None = None
    result: Any = None


class StageView(BaseModel):
    """A stage of a run."""

    type: Literal["parallel", "sequential"]
    status: TaskState
    tasks: list["TaskView | StageView"]


class RunView(BaseModel):
    """The whole run."""

    run_id: str
    state: RunState
    life: int = Field(description="1, and one more each time the run is retried")
    created_at: str
    ended_at: str | None = None
    workflow: list[StageView]


StageView.model_rebuild()
