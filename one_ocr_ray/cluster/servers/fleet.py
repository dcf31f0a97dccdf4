"""The model servers of one run: started on the cluster's GPUs, started again when they die, ended with the run."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager, suppress
from secrets import token_urlsafe
from typing import TYPE_CHECKING, Any

import ray
from pydantic import SecretStr
from ray.exceptions import RayActorError, RayError

from one_ocr_ray.cluster.nodes import working_nodes
from one_ocr_ray.cluster.servers.replica import Ended, start_replica
from one_ocr_ray.errors import StoppedError, UsageError
from one_ocr_ray.policy.servers.advice import pin_advice
from one_ocr_ray.policy.servers.progress import progress_sentence
from one_ocr_ray.policy.servers.restarts import Restarts, ended, ready
from one_ocr_ray.setup.servers import VLLM, replicas_of, server_plan_of, with_servers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from contextlib import ExitStack

    from one_ocr_ray.cluster.servers.replica import Place
    from one_ocr_ray.job import LlmSetup
    from one_ocr_ray.policy.servers.command import ServerPlan
    from one_ocr_ray.settings.run import Settings

SAY_EVERY_S = 10.0
LOOK_AGAIN_S = 0.1
STOP_WITHIN_S = 45.0


class _Slot:
    """One server of the fleet. A thread keeps it up."""

    def __init__(self, plan: ServerPlan, key: SecretStr, cpus: int) -> None:
        self.actor: Any = start_replica(plan, key, cpus)
        self.placed = self.actor.place.remote()
        self.place: Place | None = None
        self.is_ready = False
        self.given_up: Ended | None = None


class Fleet:
    """The servers of a run. `key` is theirs alone, and lives as long as they do."""

    def __init__(
        self, plan: ServerPlan, replicas: int, say: Callable[[str], None], on_lost: Callable[[str], None]
    ) -> None:
        """`on_lost` is told in one sentence when no server is left that could be started again."""
        self.key = SecretStr(token_urlsafe(24))
        self._plan = plan
        self._say = say
        self._on_lost = on_lost
        self._ending = threading.Event()
        self._replacing = threading.Lock()
        # A CPU for each server, unless that leaves none to draw pages.
        self._cpus = 1 if sum(node.cpus for node in working_nodes()) > replicas else 0
        self._slots = [_Slot(plan, self.key, self._cpus) for _ in range(replicas)]

    @property
    def places(self) -> list[Place]:
        """Where the servers are that have got their cards."""
        return [slot.place for slot in self._slots if slot.place is not None]

    def wait_for_first(self, timeout_s: float, placed: int = 1) -> None:
        """Wait until one server answers and `placed` have their cards, with a sentence now and then.

        Raises UsageError when no server can be started, with what the last one said, and StoppedError after
        `timeout_s`. Servers that have no cards by then are left out.
        """
        began_s = told_s = time.monotonic()
        if (advice := pin_advice(self._plan)) is not None:
            self._say(advice)
        while len(self.places) < placed or not any(slot.is_ready for slot in self._slots):
            now_s = time.monotonic()
            for slot in self._slots:
                if slot.place is None and ray.wait([slot.placed], timeout=0)[0]:
                    slot.place = ray.get(slot.placed)
                    threading.Thread(target=self._keep_up, args=(slot,), name="model-server", daemon=True).start()
            if (fault := self._fault()) is not None:
                raise UsageError(fault)
            if now_s - began_s > timeout_s:
                raise StoppedError(f"No model server was ready after {timeout_s:g} s: {self._progress(began_s)}.")
            if now_s - told_s > SAY_EVERY_S:
                told_s = now_s
                self._say(self._progress(began_s))
            time.sleep(LOOK_AGAIN_S)
        for slot in [each for each in self._slots if each.place is None]:
            ray.kill(slot.actor)
            self._slots.remove(slot)
        self._say(self._progress(began_s))

    def stop(self) -> None:
        """End all servers, and wait for them."""
        with self._replacing:  # from here on no actor takes another's place
            self._ending.set()
        stopping = [slot.actor.stop.remote() for slot in self._slots if slot.place is not None]
        ray.wait(stopping, num_returns=len(stopping), timeout=STOP_WITHIN_S) if stopping else None
        for slot in self._slots:
            ray.kill(slot.actor)  # a guard ends what its replica has not ended

    def _progress(self, began_s: float) -> str:
        starting = [slot for slot in self._slots if slot.place is not None and not slot.is_ready]
        stages: list[str] = []
        for slot in starting:
            with suppress(RayError):
                stages.append(ray.get(slot.actor.stage.remote(), timeout=2.0))
        waiting = sum(slot.place is None for slot in self._slots)
        ready_now = sum(slot.is_ready for slot in self._slots)
        said = progress_sentence(stages, ready_now, len(self._slots), time.monotonic() - began_s)
        return f"{said}; {waiting} wait for GPUs" if waiting else said

    def _keep_up(self, slot: _Slot) -> None:
        """Bring one server up, again and again, until the policy gives it up or the run ends."""
        state = Restarts()
        while not self._ending.is_set():
            try:
                how = ray.get(slot.actor.bring_up.remote())
                if how is None:
                    state, slot.is_ready = ready(state, time.monotonic()), True
                    how = ray.get(slot.actor.wait_for_end.remote())
            except RayActorError:  # its guard has ended the server
                how = Ended(-1, "its actor died", "")
                with self._replacing:
                    if self._ending.is_set():
                        return
                    slot.actor = start_replica(self._plan, self.key, self._cpus, slot.place)
            slot.is_ready = False
            state, wait_s = ended(state, time.monotonic())
            if self._ending.is_set():
                return
            if wait_s is None:
                slot.given_up = how
                if (fault := self._fault()) is not None:
                    self._on_lost(fault)
                return
            self._say(f"A model server ended ({how.last_line or how.exit_code}); it is started again in {wait_s:g} s.")
            self._ending.wait(wait_s)

    def _fault(self) -> str | None:
        """One sentence when every server is given up."""
        given_up = [slot.given_up for slot in self._slots]
        if not all(given_up) or given_up[0] is None:
            return None
        last = given_up[0]
        return f"The model server does not run: {last.last_line} (exit code {last.exit_code}; log: {last.log})."


def places_for(plan: ServerPlan) -> int:
    """For how many servers the cluster has free GPUs now; a server on CPUs has one place on each node."""
    if plan.gpus == 0:
        return len(working_nodes())
    free = ray.available_resources().get("GPU", 0.0)  # type: ignore[no-untyped-call]
    return int(free // plan.gpus)


def start_servers(
    settings: Settings,
    engines: Mapping[str, LlmSetup],
    ending: ExitStack,
    say: Callable[[str], None],
    on_lost: Callable[[str], None],
) -> dict[str, LlmSetup]:
    """Start the servers of `--engine vllm`, if `engines` has it, and wait for the first. Gives the engines with them.

    They end with `ending`. Raises UsageError when no server can be started, StoppedError when none is ready in time.
    """
    if VLLM not in engines:
        return dict(engines)
    plan = server_plan_of(settings)
    places = places_for(plan)
    replicas = replicas_of(settings, places)
    fleet = Fleet(plan, replicas, say, on_lost)
    have_cards = min(replicas, places) if plan.gpus else replicas
    ending.enter_context(running_fleet(fleet)).wait_for_first(settings.ready_timeout, have_cards)
    addresses = [(place.host, place.port) for place in fleet.places]
    return {**engines, VLLM: with_servers(engines[VLLM], addresses, fleet.key)}


@contextmanager
def running_fleet(fleet: Fleet) -> Iterator[Fleet]:
    """The fleet for the block; its servers end with it."""
    try:
        yield fleet
    finally:
        fleet.stop()
