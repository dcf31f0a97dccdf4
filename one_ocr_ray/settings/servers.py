"""The settings of model servers that a run starts itself: `--engine vllm`."""

from __future__ import annotations

import re
from pathlib import Path

from pydantic import BaseModel, field_validator
from pydantic_core import PydanticCustomError

from one_ocr_ray.settings.declaring import flag

_REPLICAS = re.compile(r"auto|[1-9]\d{0,3}(?:-[1-9]\d{0,3})?")


class ServerSettings(BaseModel):
    """How many servers, on how many cards each, and how they are started."""

    replicas: str = flag(
        "N|A-B|auto", "Model servers", "vllm: servers of the run; auto takes all GPUs there are", "auto"
    )
    gpus_per_replica: int = flag("K", "Model servers", "vllm: GPUs of each server; 0 for one on CPUs", 1, ge=0)
    server_args: str = flag("TEXT", "Model servers", "vllm: more arguments, after those of the profile", "")
    server_python: Path | None = flag("PATH", "Model servers", "vllm: Python of the server's own environment")
    server_command: str | None = flag(
        "TEXT", "Model servers", "another server's command with {model}, {host} and {port}"
    )
    revision: str | None = flag("R", "Model servers", "vllm: revision of the weights")
    ready_timeout: float = flag("S", "Model servers", "vllm: seconds until the first server answers", 1800.0, gt=0)

    gpu_hour_usd: float | None = flag(
        "X", "Model servers", "vllm: USD of a GPU for an hour; fills cost_usd, arms --max-cost", None, ge=0
    )

    @field_validator("replicas", mode="before")
    @classmethod
    def _a_number(cls, value: object) -> object:
        if _REPLICAS.fullmatch(str(value)) is None:
            raise PydanticCustomError("replicas", "Input should be a number, a range such as 1-4, or auto")
        least, _, most = str(value).partition("-")
        if most and int(least) > int(most):
            raise PydanticCustomError("replicas", "Input should be a range from least to most, such as 1-4")
        return str(value)
