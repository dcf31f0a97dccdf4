"""The command and the environment of a model server. Source: vLLM 0.32, `vllm serve --help`."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from one_ocr_ray.profile import ModelProfile

SHUTDOWN_S = 20  # for requests under way; without it vLLM's API server waits for its clients for ever
OURS = ("--host", "--port", "--uds", "--api-key", "--served-model-name", "--shutdown-timeout")
_IMAGES = json.dumps({"image": 1, "video": 0})
# Set by Kubernetes for a Service named `vllm`, or meant for this process and not for a server.
_NOT_THEIRS = ("VLLM_PORT", "PYTHONDONTWRITEBYTECODE", "PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")


def refused_argument(arguments: str) -> str | None:
    """The first of the user's arguments for the server that the product sets itself. None if there is none.

    Raises ValueError for a quotation without end.
    """
    return next((each for each in shlex.split(arguments) if each.partition("=")[0] in OURS), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerPlan:
    """What each server of a run is started with.

    python: the interpreter of the server's own virtual environment; None: `vllm` on PATH.
    arguments: the user's, after those of the profile, so that they win.
    template: a command of the user's own, such as SGLang's, with {model}, {host} and {port}.
    ready_within_s: a server that does not answer by then is ended; it hangs.
    """

    model: str
    profile: ModelProfile | None = None
    python: str | None = None
    gpus: int = 1
    revision: str | None = None
    arguments: str = ""
    template: str | None = None
    ready_within_s: float = 1800.0


def command_of(plan: ServerPlan, host: str, port: int) -> list[str]:
    """The command of one server that listens at `host` and `port`."""
    if plan.template is not None:
        values = {"{model}": plan.model, "{host}": host, "{port}": str(port)}
        return [re.sub("|".join(values), lambda name: values[name[0]], word) for word in shlex.split(plan.template)]
    start = [plan.python, "-m", "vllm.entrypoints.openai.api_server", "--model"] if plan.python else ["vllm", "serve"]
    own = list(plan.profile.server_args) if plan.profile else []
    command = [
        *start, plan.model, "--served-model-name", plan.model, "--host", host, "--port", str(port),
        "--limit-mm-per-prompt", _IMAGES, "--shutdown-timeout", str(SHUTDOWN_S),
        "--disable-uvicorn-access-log", "--uvicorn-log-level", "warning",
    ]  # fmt: skip
    if "--mm-processor-cache-gb" not in own:
        own += ["--mm-processor-cache-gb", "0"]  # a page never comes twice; the default takes 4 GiB a process
    if plan.gpus > 1:
        command += ["--tensor-parallel-size", str(plan.gpus)]
    if plan.revision:
        command += ["--revision", plan.revision]
    return [*command, *own, *shlex.split(plan.arguments)]


def server_environment(
    inherited: Mapping[str, str], *, key: str, gpu_ids: Sequence[str], address: str, python: str | None = None
) -> dict[str, str]:
    """The environment of a server: the node's, and the key, which commands would show.

    Programs beside `python` come first on PATH, as in an activated environment: vLLM builds kernels with its own ninja.
    """
    kept = {name: value for name, value in inherited.items() if name not in _NOT_THEIRS}
    if programs := (python or "").rpartition("/")[0]:
        kept["PATH"] = f"{programs}:{kept.get('PATH', '/usr/bin:/bin')}"
    return kept | {
        "VLLM_API_KEY": key,
        "VLLM_NO_USAGE_STATS": "1",
        "VLLM_HOST_IP": address,
        "OMP_NUM_THREADS": "1",
        **({"CUDA_VISIBLE_DEVICES": ",".join(gpu_ids)} if gpu_ids else {}),
    }
