"""Starts model servers where GPUs are free, restarts those that die, and ends them."""

from __future__ import annotations

import threading
import time
from collections import Counter
from contextlib import suppress
from itertools import count
from secrets import token_urlsafe
from typing import TYPE_CHECKING, Any

import ray
from pydantic import SecretStr
from ray.exceptions import ActorUnschedulableError, RayActorError, RayError

from one_ocr_ray.cluster.metrics import count_restart, show_servers
from one_ocr_ray.cluster.nodes import is_alive, working_nodes
from one_ocr_ray.cluster.servers.replica import Ended, start_replica
from one_ocr_ray.errors import StoppedError, UsageError
from one_ocr_ray.policy.servers.advice import pin_advice
from one_ocr_ray.policy.servers.progress import progress_sentence
from one_ocr_ray.policy.servers.restarts import Restarts, ended, ready
from one_ocr_ray.policy.servers.size import ServerState, cpus_of_server

if TYPE_CHECKING:
    from collections.abc import Callable

    from one_ocr_ray.cluster.servers.replica import Place
    from one_ocr_ray.policy.servers.command import ServerPlan
    from one_ocr_ray.policy.servers.size import FleetSize

SAY_EVERY_S = 10.0
LOOK_AGAIN_S = 0.1
WATCH_EVERY_S = 2.0
STOP_WITHIN_S = 45.0
REST_S = 60.0  # of a server that fails and is not given up
LEAVE_S = 10.0  # from the moment that a server has no name any more until it is stopped: workers have heard of it


class _Slot:
    """One server of the fleet. A thread keeps it up."""

    def __init__(self, actor: Any) -> None:
        self.actor = actor
        self.place: Place | None = None
        self.state = ServerState.STARTING
        self.given_up: Ended | None = None
        self.held_s = 0.0  # its GPUs, up to `counted_s`
        self.counted_s: float | None = None
        self.leaves_s: float | None = None

    def count_held(self, now_s: float) -> float:
        """Count the time since the last count; gives that."""
        more_s = 0.0 if self.counted_s is None else now_s - self.counted_s
        if self.place is not None:
            self.counted_s, self.held_s = now_s, self.held_s + more_s
        return more_s


class Fleet:
    """Servers of one model. `key` is theirs alone, and lives as long as they do."""

    def __init__(
        self,
        plan: ServerPlan,
        size: FleetSize,
        say: Callable[[str], None],
        on_lost: Callable[[str], None],
        *,
        gives_up: bool = True,
    ) -> None:
        """`on_lost` is told in one sentence when no server is left that is started again.

        Without `gives_up` each is started again after a while, however often it fails.
        """
        self.key = SecretStr(token_urlsafe(24))
        self.on_watch: list[Callable[[], None]] = []  # called every `WATCH_EVERY_S`
        self.wanted = size.most  # what the load is worth
        self._plan = plan
        self._size = size
        self._say = say
        self._on_lost = on_lost
        self._gives_up = gives_up
        self._began_s = time.monotonic()
        self._ending = threading.Event()
        self._changing = threading.Lock()  # actors that come and go
        self._names: dict[tuple[str, int], str] = {}  # of every address that has answered
        self._numbers = count()
        self._held_s = 0.0  # of servers that are lost
        self._had_room = False
        self._slots: list[_Slot] = []
        for _ in range(size.first):
            self._add()
        self._watcher = threading.Thread(target=self._watch, name="model-servers", daemon=True)
        self._watcher.start()

    @property
    def addresses(self) -> dict[str, tuple[str, int]]:
        """Host and port by name of every server that has answered so far. An address keeps its name."""
        return {name: address for address, name in list(self._names.items())}

    @property
    def held_s(self) -> float:
        """For how long servers have had their GPUs, in all."""
        return self._held_s + sum(slot.held_s for slot in self._slots)

    @property
    def placed(self) -> int:
        """How many servers have their GPUs."""
        return sum(slot.place is not None for slot in self._slots)

    def states(self) -> Counter[ServerState]:
        """How many servers are in each state."""
        return Counter(slot.state for slot in self._slots)

    def wait_for_first(self, timeout_s: float) -> None:
        """Wait until one server answers, with a sentence now and then.

        Raises UsageError when no server can be started, with what the last one said, and StoppedError after
        `timeout_s`.
        """
        began_s = told_s = time.monotonic()
        if (advice := pin_advice(self._plan)) is not None:
            self._say(advice)
        while not self._names:
            now_s = time.monotonic()
            if (fault := self._fault()) is not None:
                raise UsageError(fault)
            if now_s - began_s > timeout_s:
                raise StoppedError(f"No model server was ready after {timeout_s:g} s: {self._progress()}.")
            if now_s - told_s > SAY_EVERY_S:
                told_s = now_s
                self._say(self._progress())
            time.sleep(LOOK_AGAIN_S)

    def close(self) -> None:
        """End all servers, and wait for them."""
        with self._changing:  # from here on no actor is started
            self._ending.set()
            slots = list(self._slots)
        stopping = [slot.actor.stop.remote() for slot in slots if slot.place is not None]
        for slot in slots:
            slot.state = ServerState.DRAINING
        self._show()
        ray.wait(stopping, num_returns=len(stopping), timeout=STOP_WITHIN_S) if stopping else None
        for slot in slots:
            ray.kill(slot.actor)  # a guard ends what its replica has not ended
        self._show()
        show_servers(self._plan.model, Counter(), 0.0)

    def _add(self) -> None:
        with self._changing:
            if not self._ending.is_set():
                nodes = [(node.cpus, node.gpus) for node in working_nodes()]
                cpus = cpus_of_server(nodes, self._plan.gpus, len(self._slots) + 1)
                slot = _Slot(start_replica(self._plan, self.key, cpus))
                self._slots.append(slot)
                threading.Thread(target=self._keep_up, args=(slot, cpus), name="model-server", daemon=True).start()

    def _watch(self) -> None:
        while not self._ending.wait(WATCH_EVERY_S):
            with suppress(RayError):  # the cluster's head is being replaced
                self._grow()
                self._shrink()
            self._show()
            for hear in self.on_watch:
                hear()

    def _grow(self) -> None:
        """Start another server where there is room for it. Room counts when it is seen twice."""
        unplaced = sum(slot.place is None and slot.given_up is None for slot in self._slots)
        has_room = not unplaced and places_for(self._plan, len(self._slots)) > 0
        is_worth_it = has_room and self._had_room and len(self._slots) < self.wanted
        if self._size.wants_more(len(self._slots), has_room=is_worth_it):
            self._add()
        self._had_room = has_room

    def _shrink(self) -> None:
        """Let the newest server go where there is one more than wanted. It finishes what is under way."""
        now_s = time.monotonic()
        leaving = [slot for slot in self._slots if slot.leaves_s is not None]
        for slot in [each for each in leaving if each.leaves_s is not None and each.leaves_s <= now_s]:
            ray.wait([slot.actor.stop.remote()], timeout=STOP_WITHIN_S)
            ray.kill(slot.actor)
            self._drop(slot)
        newest = self._slots[-1] if self._slots else None
        if newest is None or leaving or newest.place is None:
            return
        if len(self._slots) > max(self._size.least, self.wanted):
            newest.state, newest.leaves_s = ServerState.DRAINING, now_s + LEAVE_S
            self._names.pop((newest.place.host, newest.place.port), None)

    def _drop(self, slot: _Slot) -> None:
        slot.count_held(time.monotonic())
        self._held_s += slot.held_s
        self._slots.remove(slot)
        if slot.place is not None:
            self._names.pop((slot.place.host, slot.place.port), None)

    def _show(self) -> None:
        now_s = time.monotonic()
        held_s = sum(slot.count_held(now_s) for slot in self._slots)
        show_servers(self._plan.model, self.states(), held_s * self._plan.gpus)

    def _progress(self) -> str:
        stages: list[str] = []
        for slot in [each for each in self._slots if each.place and each.state is ServerState.STARTING]:
            with suppress(RayError):
                stages.append(ray.get(slot.actor.stage.remote(), timeout=2.0))
        waiting = sum(slot.place is None for slot in self._slots)
        ready_now = self.states()[ServerState.READY]
        sentence = progress_sentence(stages, ready_now, len(self._slots), time.monotonic() - self._began_s)
        return f"{sentence}; {waiting} wait for GPUs" if waiting else sentence

    def _keep_up(self, slot: _Slot, cpus: int) -> None:
        """Start one server again whenever it ends. The policy may give it up; its node may be lost."""
        state = Restarts()
        while not self._ending.is_set():
            try:
                slot.place = place = ray.get(slot.actor.place.remote())
                how = ray.get(slot.actor.bring_up.remote())
                if how is None:
                    state = ready(state, time.monotonic())
                    slot.state = ServerState.READY
                    if (place.host, place.port) not in self._names:
                        self._names[place.host, place.port] = f"r{next(self._numbers)}"
                    self._say(self._progress())
                    how = ray.get(slot.actor.wait_for_end.remote())
            except (RayActorError, ActorUnschedulableError):  # its guard has ended the server
                how = Ended(-1, "its actor died", "", reason="actor")
                if not self._replace_actor(slot, cpus):
                    return
            if self._ending.is_set() or slot.leaves_s is not None:
                return
            slot.state = ServerState.DOWN
            count_restart(self._plan.model, how.reason)
            state, wait_s = ended(state, time.monotonic())
            if wait_s is None:
                slot.given_up = how
                if (fault := self._fault()) is not None:
                    self._on_lost(fault)
                if self._gives_up:
                    return
                state, wait_s, slot.given_up = Restarts(), REST_S, None
            self._say(f"A model server ended ({how.last_line or how.exit_code}); it is started again in {wait_s:g} s.")
            self._ending.wait(wait_s)
            slot.state = ServerState.STARTING

    def _replace_actor(self, slot: _Slot, cpus: int) -> bool:
        """Start another actor in the place of one that died. False where its node is gone, or all ends."""
        with self._changing:
            if self._ending.is_set() or slot.leaves_s is not None:
                return False
            if slot.place is None or is_alive(slot.place.node_id):
                slot.actor = start_replica(self._plan, self.key, cpus, slot.place)
                return True
            self._drop(slot)
        count_restart(self._plan.model, "node")
        self._say("The node of a model server is gone; another one is started where GPUs are free.")
        return False

    def _fault(self) -> str | None:
        """One sentence when every server is given up."""
        given_up = [slot.given_up for slot in self._slots]
        if not given_up or not all(given_up) or given_up[0] is None:
            return None
        last = given_up[0]
        return f"The model server does not run: {last.last_line} (exit code {last.exit_code}; log: {last.log})."


def places_for(plan: ServerPlan, servers: int = 0) -> int:
    """For how many servers the cluster has free GPUs now. One on CPUs takes a node, of which `servers` are taken."""
    if plan.gpus == 0:
        return len(working_nodes()) - servers
    free = ray.available_resources().get("GPU", 0.0)  # type: ignore[no-untyped-call]
    return int(free // plan.gpus)
