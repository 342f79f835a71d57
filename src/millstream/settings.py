"""Settings: `MILLSTREAM_*` environment variables, read once into one frozen object per process."""

from typing import Annotated, Literal

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from millstream.errors import ConfigurationError

SCHEMES = (
    "redis://",
    "rediss://",
    "redis+sentinel://",
    "rediss+sentinel://",
    "redis+cluster://",
    "rediss+cluster://",
)


class Settings(BaseSettings):
    """What a process can be told. Durations are in seconds."""

    model_config = SettingsConfigDict(env_prefix="MILLSTREAM_", frozen=True, extra="ignore")

    redis_url: str = "redis://127.0.0.1:6379/0"
    partitions: int = Field(1, ge=1, le=1024)

    api_host: str = "127.0.0.1"
    api_port: int = Field(8000, ge=0, le=65535)
    health_port: int = Field(0, ge=0, le=65535, description="0: no health server")

    tasks: Annotated[tuple[str, ...], NoDecode] = ()
    runner_slots: int = Field(100, ge=1, le=10_000)

    lease_seconds: float = Field(10.0, ge=0.5, allow_inf_nan=False)
    loop_stall_seconds: float = Field(30.0, gt=0, allow_inf_nan=False)
    grace_seconds: float = Field(20.0, ge=0, allow_inf_nan=False)
    max_lost_executions: int = Field(3, ge=1)
    unknown_task_seconds: float = Field(300.0, ge=0, allow_inf_nan=False)

    max_tasks: int = Field(10_000, ge=1, le=100_000)
    max_backlog: int = Field(100_000, ge=1)
    retention_seconds: float = Field(7 * 86_400, gt=0, allow_inf_nan=False)

    log_format: Literal["auto", "console", "json"] = "auto"

    @field_validator("redis_url")
    @classmethod
    def _known_scheme(cls, value: str) -> str:
        if not value.startswith(SCHEMES):
            raise ValueError(f"must begin with one of {', '.join(SCHEMES)}")
        return value

    @field_validator("tasks", mode="before")
    @classmethod
    def _comma_separated(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(name.strip() for name in value.split(",") if name.strip())
        return value

    @model_validator(mode="after")
    def _slots_for_every_partition(self) -> "Settings":
        if self.runner_slots < self.partitions:
            raise ValueError(
                f"RUNNER_SLOTS ({self.runner_slots}) must be at least PARTITIONS ({self.partitions}): "
                "a runner reads every partition"
            )
        return self

    @model_validator(mode="after")
    def _partitions_in_a_cluster(self) -> "Settings":
        if "+cluster://" in self.redis_url and self.partitions == 1:
            raise ValueError(
                "PARTITIONS must be 2 or more on a Redis Cluster: without hash tags its keys lie apart"
            )
        return self

    @property
    def retention_ms(self) -> int:
        """How long a finished run is kept, in milliseconds."""
        return int(self.retention_seconds * 1000)

    @property
    def lease_ms(self) -> int:
        """How long after its last beat a process is believed to live, in milliseconds."""
        return int(self.lease_seconds * 1000)

    @property
    def unknown_ms(self) -> int:
        """How long a task may wait while no live runner offers it, in milliseconds."""
        return int(self.unknown_task_seconds * 1000)

    @property
    def catalog_ms(self) -> int:
        """How long a task that no runner offers stays in the catalog, in milliseconds: an hour at least."""
        return max(self.retention_ms, 3_600_000)

    @property
    def block_ms(self) -> int:
        """How long a blocking read may wait, in milliseconds: a third of the lease (docs/architecture.md, "Batches and connections").

        Less when a loop would otherwise be taken for stalled while it waits.
        """
        return int(min(self.lease_seconds, self.loop_stall_seconds) * 1000 / 3)


def load_settings(**overrides: object) -> Settings:
    """Read the environment. Raises ConfigurationError with a line for each variable that is wrong."""
    try:
        return Settings(**overrides)  # type: ignore[arg-type]
    except ValidationError as error:
        lines = []
        for problem in error.errors():
            name = "_".join(str(part) for part in problem["loc"]).upper()
            lines.append(f"MILLSTREAM_{name}: {problem['msg']}" if name else problem["msg"])
        raise ConfigurationError("The settings are not valid.\n  " + "\n  ".join(lines)) from None
