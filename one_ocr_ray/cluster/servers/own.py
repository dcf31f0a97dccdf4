"""The servers of `--engine vllm`: their endpoints and their cost."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import ray
from ray.exceptions import RayError

from one_ocr_ray.cluster.engine_setup import end_limiters
from one_ocr_ray.cluster.servers.fleet import Fleet, places_for
from one_ocr_ray.cluster.worker_scaler import ASK_EVERY_S, request_nodes
from one_ocr_ray.policy.servers.size import Load
from one_ocr_ray.setup.servers import VLLM, fleet_size_of, server_plan_of, server_usd_per_s, with_servers

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import ExitStack

    from one_ocr_ray.job import Endpoint, LlmSetup
    from one_ocr_ray.settings.run import Settings

PAID_AHEAD_S = 10.0  # of the ceiling, for every server
SPENT = (
    "The cost ceiling is reached (--max-cost): it does not pay for the model servers any longer. Raise it and run the "
    "same command to go on."
)


class OwnServers:
    """A fleet of servers, and the reader that they answer for."""

    def __init__(
        self,
        settings: Settings,
        setup: LlmSetup,
        say: Callable[[str], None],
        end: Callable[[str], None],
        *,
        gives_up: bool = True,
    ) -> None:
        """`end` is told why the run cannot go on: no server, or no money."""
        plan = server_plan_of(settings)
        self._size = fleet_size_of(settings, places_for(plan))
        self._gpus = plan.gpus
        self._reader = setup
        self._usd_per_s = server_usd_per_s(settings)
        self._say_end = end
        self.fleet = Fleet(plan, self._size, say, end, gives_up=gives_up)
        self._load = Load(self._size.first, time.monotonic())
        self._asked_s: float | None = None  # when a service's request for nodes was last made; None: there is none

    @property
    def setup(self) -> LlmSetup:
        """The reader, with the endpoints that have answered so far."""
        return with_servers(self._reader, self.fleet.addresses, self.fleet.key)

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        return self.setup.endpoints

    @property
    def usd(self) -> float:
        """What the servers have cost so far; 0.0 without a price."""
        return self.fleet.held_s * (self._usd_per_s or 0.0)

    def bundles(self, shards_open: int, *, more_planned: bool) -> list[dict[str, float]]:
        """What the autoscaler is asked for: the GPUs of each server."""
        return self._bundles_of(self._size.asked_for(shards_open, more_planned=more_planned))

    def _bundles_of(self, servers: int) -> list[dict[str, float]]:
        return [{"GPU": self._gpus, "CPU": 1}] * servers if self._gpus else []

    def end(self) -> None:
        """End all servers, and what has limited the requests to them."""
        self.fleet.close()
        with suppress(RayError):
            self._ask_for_none()
            end_limiters(self.setup)

    def look_at_load(self, *, has_work: bool) -> None:
        """Have as many servers as the work of a service is worth. Ask for nodes while there are fewer."""
        now_s = time.monotonic()
        self._load = self._load.seen(self._size, now_s, has_work=has_work)
        self.fleet.wanted = self._load.wanted
        lacks = self._size.asks and self._gpus > 0 and self.fleet.placed < self._load.wanted
        if lacks and (self._asked_s is None or now_s - self._asked_s >= ASK_EVERY_S):
            self._asked_s = now_s
            request_nodes(0, self._bundles_of(self._load.wanted))
        elif not lacks:
            self._ask_for_none()

    def _ask_for_none(self) -> None:
        if self._asked_s is not None:
            self._asked_s = None
            request_nodes(0)

    def draw_on(self, budget: Any) -> None:
        """Pay for the servers from the actor of the cost ceiling, a little ahead."""
        usd_per_s, paid_usd = self._usd_per_s or 0.0, 0.0

        def pay() -> None:
            nonlocal paid_usd
            missing_usd = self.usd + sum(self.fleet.states().values()) * PAID_AHEAD_S * usd_per_s - paid_usd
            if missing_usd <= 0:
                return
            with suppress(RayError):  # the actor ends with the run
                drawn_usd = float(ray.get(budget.allocate.remote(missing_usd)))
                paid_usd += drawn_usd
                if not drawn_usd:
                    self._say_end(SPENT)

        if usd_per_s:
            self.fleet.on_watch.append(pay)


def start_servers(
    settings: Settings,
    engines: Mapping[str, LlmSetup],
    ending: ExitStack,
    say: Callable[[str], None],
    end: Callable[[str], None],
) -> OwnServers | None:
    """Start the servers of `--engine vllm`, if `engines` has it; they end with `ending`.

    Raises UsageError when there is no place for them.
    """
    if VLLM not in engines:
        return None
    servers = OwnServers(settings, engines[VLLM], say, end)
    ending.callback(servers.end)
    return servers
