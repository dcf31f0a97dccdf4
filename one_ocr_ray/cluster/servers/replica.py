"""`Replica`: the actor that holds a server's GPUs. It starts, watches and ends the server on its node."""

from __future__ import annotations

import os
import socket
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ray

from one_ocr_ray.cluster.nodes import Node
from one_ocr_ray.environment import for_child_programs
from one_ocr_ray.policy.servers.advice import version_fault
from one_ocr_ray.policy.servers.command import SHUTDOWN_S, command_of, server_environment
from one_ocr_ray.policy.servers.hang import HANGS_S, EngineProgress
from one_ocr_ray.policy.servers.progress import stage_of
from one_ocr_ray.policy.servers.queue import work_of
from one_ocr_ray.servers.health import is_healthy, metrics_of
from one_ocr_ray.servers.installed import installed_vllm
from one_ocr_ray.servers.process import ServerProcess

if TYPE_CHECKING:
    from pydantic import SecretStr

    from one_ocr_ray.policy.servers.command import ServerPlan

LOOK_AGAIN_S = 0.2
HEALTH_EVERY_S = 2.0
SILENT_S = 30.0  # without health: the engine hangs, or the kernel has no memory for it


@dataclass(frozen=True, slots=True)
class Place:
    """The node of a replica and the address of its server. The address stays after it has answered."""

    node_id: str
    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Ended:
    """How a server ended by itself. `log` is the file whose last line is `last_line`."""

    exit_code: int
    last_line: str
    log: str
    reason: str = "start"  # or died, silent, actor, node


class Replica:
    """Actor body. Its methods block, each in a thread of its own."""

    def __init__(self, plan: ServerPlan, key: SecretStr, port: int | None = None) -> None:
        self._plan = plan
        self._key = key
        self._port = port
        self._server: ServerProcess | None = None
        self._starting = threading.Lock()
        self._is_over = False
        self._log = Path(tempfile.gettempdir()) / f"one-ocr-server-{os.getpid()}.log"

    def place(self) -> Place:
        """Where the server will listen. Answered as soon as the actor has its GPUs."""
        context = ray.get_runtime_context()
        host: str = ray.util.get_node_ip_address()  # type: ignore[no-untyped-call]
        if self._port is None:
            with socket.create_server((host, 0)) as listener:
                self._port = int(listener.getsockname()[1])
        return Place(context.get_node_id(), host, self._port)

    def bring_up(self) -> Ended | None:
        """Start the server and wait until it answers; None then, else how it ended. After `stop` none is started."""
        place = self.place()
        with self._starting:
            if self._is_over:
                return Ended(127, "the server is stopped", str(self._log))
            if self._server is not None:
                self._server.stop()
            gpu_ids = ray.get_runtime_context().get_accelerator_ids().get("GPU", [])
            environment = server_environment(
                for_child_programs(),
                key=self._key.get_secret_value(),
                gpu_ids=gpu_ids,
                address=place.host,
                python=self._plan.python,
            )
            command = command_of(self._plan, place.host, place.port)
            try:
                server = ServerProcess.start(command, environment, self._log, grace_s=SHUTDOWN_S + 5)
            except OSError as error:
                return Ended(127, str(error), str(self._log))
            self._server = server
        deadline_s = time.monotonic() + self._plan.ready_within_s
        while not is_healthy(place.host, place.port):
            if time.monotonic() > deadline_s:
                server.stop()
                return Ended(-1, f"the server was not ready after {self._plan.ready_within_s:g} s", str(self._log))
            if (code := server.exit_code) is not None:
                self._port = None  # perhaps somebody else listens there
                too_old = version_fault(self._plan, installed_vllm(self._plan.python))
                return Ended(code, too_old or server.last_line(), str(self._log))
            time.sleep(LOOK_AGAIN_S)
        return None

    def stage(self) -> str:
        """What the server does while it starts, by its log."""
        return stage_of(self._server.log_tail()) if self._server else "starting"

    def wait_for_end(self) -> Ended:
        """Wait until the server has ended by itself. One that is silent for long is ended."""
        server, place = self._server, self.place()
        if server is None:
            return Ended(127, "the server was not started", str(self._log))
        healthy_s = looked_s = time.monotonic()
        progress = EngineProgress(since_s=looked_s)
        while (code := server.exit_code) is None:
            now_s = time.monotonic()
            if now_s - looked_s >= HEALTH_EVERY_S:
                looked_s = now_s
                healthy_s = now_s if is_healthy(place.host, place.port) else healthy_s
                if now_s - healthy_s > SILENT_S:
                    server.stop()
                    return Ended(-1, f"the server did not answer for {SILENT_S:g} s", str(self._log), "silent")
                progress = progress.seen(*(work_of(metrics_of(place.host, place.port)) or (0, 0.0)), now_s)
                if progress.hangs(now_s):
                    server.stop()
                    return Ended(-1, f"the engine did nothing for {HANGS_S:g} s", str(self._log), "silent")
            time.sleep(LOOK_AGAIN_S)
        return Ended(code, server.last_line(), str(self._log), "died")

    def stop(self) -> None:
        """End the server for good; requests under way have SHUTDOWN_S. Its log goes with it."""
        self._is_over = True
        with self._starting:  # what is being started is ended, too
            server = self._server
        if server is not None:
            server.stop()
        self._log.unlink(missing_ok=True)


def start_replica(plan: ServerPlan, key: SecretStr, cpus: int, place: Place | None = None) -> Any:
    """A replica wherever the cards are free, or again at `place`. `cpus` are for decoding images in the server."""
    where: Any = Node(place.node_id, 0, 0).only_here if place else "SPREAD"
    options = {"num_gpus": plan.gpus, "num_cpus": cpus, "max_concurrency": 8, "scheduling_strategy": where}
    return ray.remote(Replica).options(**options).remote(plan, key, place and place.port)
