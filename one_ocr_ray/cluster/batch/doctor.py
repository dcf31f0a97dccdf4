"""`one-ocr doctor`: collects facts of Ray, every node, the storage and the engine. `policy/doctor.py` judges them.

Without a cluster the facts are those of this machine, so that one fault does not hide the others.
"""

from __future__ import annotations

import asyncio
import platform
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ray
from ray._private.worker import get_dashboard_url  # Ray has no public way to ask for it after ray.init
from ray._raylet import AuthenticationMode, get_authentication_mode  # type: ignore[attr-defined]
from ray.exceptions import AuthenticationError, RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from one_ocr_ray.cluster.servers.fleet import places_for
from one_ocr_ray.cluster.session import ray_session
from one_ocr_ray.engines.options import llm_engine
from one_ocr_ray.environment import keys_in, provider_key, submitted_runtime_env
from one_ocr_ray.errors import OneOcrError, UsageError
from one_ocr_ray.pdf.fonts import fault_of_fonts
from one_ocr_ray.policy import doctor
from one_ocr_ray.policy.doctor import Check, CheckStatus, ClusterFacts, NodeFacts, Versions
from one_ocr_ray.policy.servers.advice import pin_advice
from one_ocr_ray.reading.batch.check import fault_of_batches
from one_ocr_ray.reading.batch.wishes import batch_wishes_of
from one_ocr_ray.settings.run import key_variables, ray_address
from one_ocr_ray.setup.job import llm_setups_of, output_uri_of, route_of, selection_of
from one_ocr_ray.setup.servers import VLLM, server_plan_of
from one_ocr_ray.storage.inputs import find_present_inputs
from one_ocr_ray.storage.store.storage_check import fault_of_reading, fault_of_sharing, probe_object
from one_ocr_ray.version import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping

    from one_ocr_ray.engines.options import EngineOptions
    from one_ocr_ray.model import Failure
    from one_ocr_ray.settings.run import Settings

NODE_TIMEOUT_S = 60.0
SILENT = f"no answer within {NODE_TIMEOUT_S:g} s. See Ray's logs of that node."
BROKEN = "a task of this package failed ({error}). Install it there, or see Ray's logs of that node."
FONTS_OK = "Noto Sans CJK draws Chinese, Japanese and Korean text whose font a PDF does not hold, on"
INPUT_OK = "Its first file can be read on"
OUTPUT_OK = "Written once, and seen from"
LOCAL_ENGINE_MODULES = ("rapidocr", "openvino", "cv2")


@dataclass(frozen=True, slots=True)
class FactsRequest:
    """What to find out on every node; None is left out."""

    address: str
    engines: Mapping[str, EngineOptions]
    input_uri: str | None
    output: str | None
    mark: str | None


def run_checks(settings: Settings) -> list[Check]:
    """Check what a run with `settings` needs, in the order in which it would fail.

    Raises UsageError for settings that no run accepts.
    """
    selection_of(settings)
    engines = {
        name if len(setup.endpoints) == 1 else f"{name} at {endpoint.name}": endpoint.options
        for name, setup in llm_setups_of(settings).items()
        for endpoint in setup.endpoints
        if name != VLLM
    }
    route = route_of(settings)
    checks = [doctor.runtime_env(keys_in(submitted_runtime_env(), key_variables(settings)))]
    with ExitStack() as stack:
        input_uri, input_check = _first_input(settings)
        output = output_uri_of(settings) if settings.output else None
        mark, output_fault = stack.enter_context(probe_object(output)) if output else (None, None)
        request = FactsRequest("here", engines, input_uri, output, None if output_fault else mark)
        cluster, ray_check = _cluster(stack, settings, request)
        checks.append(ray_check)
        nodes = [node for node in cluster.nodes if not node.fault] if cluster else [_collect_node_facts(request)]
        if cluster is None:
            skipped = ("authentication", "ports", "versions")
            checks.extend(Check(name, CheckStatus.SKIP, "Ray does not answer.") for name in skipped)
        else:
            versions = doctor.versions(_versions(), cluster.nodes)
            checks.extend((doctor.authentication(cluster), doctor.ports(cluster), versions))
        if settings.engine == VLLM:
            checks.append(_server_check(settings, has_ray=cluster is not None))
        if engines or settings.engine != VLLM:
            checks.extend(_engine_checks(engines, nodes))
        if batch_wishes_of(settings, route).submits:
            llm = engines[route.names[-1]]
            fault = fault_of_batches(replace(llm, api_key=provider_key(llm.name, llm.key_variable)))
            fine = "Batches are listed, and a file was uploaded and deleted; none was created."
            checks.append(doctor.judged("batch", fault, fine))
        checks.append(doctor.on_nodes("fonts", nodes, lambda node: node.fonts_fault, FONTS_OK))
        checks.append(input_check or doctor.on_nodes("input", nodes, lambda node: node.input_fault, INPUT_OK))
        if output is None:
            checks.append(Check("output", CheckStatus.SKIP, "No --output is given."))
        elif output_fault is not None:
            checks.append(Check("output", CheckStatus.FAIL, output_fault))
        else:
            checks.append(doctor.on_nodes("output", nodes, lambda node: node.output_fault, OUTPUT_OK))
    return checks


def _first_input(settings: Settings) -> tuple[str | None, Check | None]:
    if not settings.inputs:
        return None, Check("input", CheckStatus.SKIP, "No INPUT is given.")
    try:
        return next(file.uri for file in find_present_inputs(settings.inputs) if file.version is not None), None
    except OneOcrError as error:
        return None, Check("input", CheckStatus.FAIL, str(error))


def _cluster(stack: ExitStack, settings: Settings, request: FactsRequest) -> tuple[ClusterFacts | None, Check]:
    """Join Ray while `stack` is open, and collect the facts of its nodes."""
    try:
        stack.enter_context(ray_session(ray_address(settings)))
    except AuthenticationError:
        what = "Ray does not accept the token of this machine. Use RAY_AUTH_MODE and the token of the cluster."
        return None, Check("ray", CheckStatus.FAIL, what)
    except UsageError as error:
        return None, Check("ray", CheckStatus.FAIL, str(error))
    except RuntimeError:
        what = (
            f"Ray {ray.__version__} on Python {platform.python_version()} cannot join: the cluster has other versions."
        )
        return None, Check("ray", CheckStatus.FAIL, what)
    facts = _cluster_facts(request)
    return facts, Check("ray", CheckStatus.OK, f"Ray answers, with {len(facts.nodes)} node(s).")


def _cluster_facts(request: FactsRequest) -> ClusterFacts:
    alive = [each for each in ray.nodes() if each["Alive"]]  # type: ignore[no-untyped-call]
    head = next((each["NodeID"] for each in alive if "node:__internal_head__" in each["Resources"]), None)
    asked = {
        _at(each["NodeID"], _collect_node_facts).remote(replace(request, address=each["NodeManagerAddress"])): each
        for each in alive
    }
    answered, _ = ray.wait(list(asked), num_returns=len(asked), timeout=NODE_TIMEOUT_S)
    nodes = []
    for ref, node in asked.items():
        address = node["NodeManagerAddress"]
        try:
            facts = ray.get(ref) if ref in answered else NodeFacts(address, fault=SILENT)
        except RayError as error:
            facts = NodeFacts(address, fault=BROKEN.format(error=type(error).__name__))
        nodes.append(facts)
    addresses = {"GCS": ray.get_runtime_context().gcs_address, "dashboard": get_dashboard_url()}  # type: ignore[no-untyped-call]
    ports = {name: int(address.rpartition(":")[2]) for name, address in addresses.items() if address}
    exposed = None
    with suppress(RayError):
        exposed = ray.get(_at(head, _exposed).remote(ports), timeout=NODE_TIMEOUT_S) if head else None
    return ClusterFacts(get_authentication_mode() == AuthenticationMode.TOKEN, exposed, nodes)


def _at(node_id: str, function: Any) -> Any:
    """`function` as a task on that node only. It takes no CPU: a head may offer none."""
    where = NodeAffinitySchedulingStrategy(node_id, soft=False)
    return ray.remote(function).options(num_cpus=0, max_retries=0, name="doctor", scheduling_strategy=where)


def _exposed(ports: dict[str, int]) -> dict[str, int] | None:
    """Those of `ports` and of the Ray client server that the network reaches. Runs on the head."""
    try:
        tables = [Path(f"/proc/net/{name}").read_text(encoding="ascii") for name in ("tcp", "tcp6")]
    except OSError:
        return None
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            words = process.read_bytes().decode(errors="replace").split("\0")
            if "ray.util.client.server" in words and any(word.endswith(f":{ports['GCS']}") for word in words):
                ports["client"] = next(int(word.partition("=")[2]) for word in words if word.startswith("--port="))
    reached = doctor.open_ports(tables)
    return {name: port for name, port in ports.items() if port in reached}


def _collect_node_facts(request: FactsRequest) -> NodeFacts:
    """The facts of the node that this runs on."""
    of_llms = {name: _faults_of_llm(options) for name, options in request.engines.items()}
    engine_fault = None
    if not of_llms and (missing := [name for name in LOCAL_ENGINE_MODULES if find_spec(name) is None]):
        engine_fault = f"{', '.join(missing)} cannot be imported. Install this package with its dependencies."
    return NodeFacts(
        request.address,
        versions=_versions(),
        key_faults={name: key for name, (key, _) in of_llms.items()},
        engine_faults={name: engine for name, (_, engine) in of_llms.items()},
        engine_fault=engine_fault,
        fonts_fault=fault_of_fonts(),
        input_fault=fault_of_reading(request.input_uri) if request.input_uri else None,
        output_fault=fault_of_sharing(request.output, request.mark) if request.output and request.mark else None,
    )


def _versions() -> Versions:
    return Versions(platform.python_version(), ray.__version__, __version__)


def _faults_of_llm(llm: EngineOptions) -> tuple[str | None, str | None]:
    """What is wrong with this node's key, and what the provider answers to it."""

    async def failure() -> Failure | None:
        engine = llm_engine(llm, provider_key(llm.name, llm.key_variable))
        try:
            return await engine.check()
        finally:
            await engine.close()

    try:
        found = asyncio.run(failure())
    except UsageError as error:
        return str(error), None
    return None, found.message if found else None


def _engine_checks(engines: Mapping[str, EngineOptions], nodes: list[NodeFacts]) -> list[Check]:
    if not engines:
        return [
            Check("key", CheckStatus.SKIP, "The embedded engine needs no key."),
            doctor.on_nodes("engine", nodes, lambda node: node.engine_fault, "The embedded engine is installed on"),
        ]
    return [
        check
        for name, llm in engines.items()
        for check in _llm_checks(name, llm, nodes, of="" if len(engines) == 1 else f" {name}")
    ]


def _server_check(settings: Settings, *, has_ray: bool) -> Check:
    """Room for the run's own model servers. Nothing is started."""
    if not has_ray:
        return Check("servers", CheckStatus.SKIP, "Ray does not answer.")
    plan = server_plan_of(settings)
    places = places_for(plan)
    known = "no profile: the general prompt"
    if plan.profile:
        known = f"profile {plan.profile.name}; licence of the weights: {plan.profile.licence}"
        if plan.profile.least_vllm and plan.template is None:
            known = f"{known}; vLLM {plan.profile.least_vllm} or later"
    advice = f" {pinned}" if (pinned := pin_advice(plan)) else ""
    fault = None if places else f"No free GPU for {plan.model} ({known}).{advice}"
    return doctor.judged("servers", fault, f"Room for {places} of {plan.model} ({known}).{advice}")


def _llm_checks(name: str, llm: EngineOptions, nodes: list[NodeFacts], *, of: str) -> list[Check]:
    """`of`: what the names of the checks end in, to tell engines apart."""
    key = doctor.on_nodes(f"key{of}", nodes, lambda node: node.key_faults.get(name), "Nothing is wrong with the key on")
    if key.status is CheckStatus.FAIL:
        return [key, Check(f"engine{of}", CheckStatus.SKIP, "It is not asked without a key.")]
    reached = f"{llm.name} knows {llm.model} and lets in"
    return [key, doctor.on_nodes(f"engine{of}", nodes, lambda node: node.engine_faults.get(name), reached)]
