"""`one-ocr doctor`: asks Ray, every node, the storage and the engine, and leaves the verdicts to `policy/doctor.py`.

Without a cluster the same questions are asked of this machine, so that one fault does not hide the others.
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

from one_ocr_ray.cluster.session import ray_session
from one_ocr_ray.engines.options import llm_engine
from one_ocr_ray.environment import keys_in, provider_key, submitted_runtime_env
from one_ocr_ray.errors import OneOcrError, UsageError
from one_ocr_ray.job_settings import engine_options_of, output_uri_of, page_request_of, selection_of
from one_ocr_ray.pdf.fonts import fault_of_fonts
from one_ocr_ray.policy import doctor as doctoring
from one_ocr_ray.policy.doctor import Check, ClusterFacts, NodeFacts, Verdict, Versions
from one_ocr_ray.settings import ray_address
from one_ocr_ray.storage.inputs import find_present_inputs
from one_ocr_ray.storage.store.storage_check import fault_of_reading, fault_of_seeing, marked
from one_ocr_ray.version import __version__

if TYPE_CHECKING:
    from ray import ObjectRef

    from one_ocr_ray.engines.options import EngineOptions
    from one_ocr_ray.model import Failure
    from one_ocr_ray.settings import Settings

NODE_TIMEOUT_S = 60.0
LOCAL_ENGINE_MODULES = ("rapidocr", "openvino", "cv2")


@dataclass(frozen=True, slots=True)
class Question:
    """What every node is asked; None: not to be looked at."""

    address: str
    engine: EngineOptions | None
    input_uri: str | None
    output: str | None
    mark: str | None


def examine(settings: Settings) -> list[Check]:
    """Every check of a run with `settings`, in the order in which a run would meet its fault.

    Raises UsageError for settings that no run accepts.
    """
    selection_of(settings)
    page_request_of(settings)
    choice = engine_options_of(settings)
    checks = [doctoring.runtime_env(keys_in(submitted_runtime_env()))]
    with ExitStack() as stack:
        input_uri, input_check = _first_input(settings)
        output = output_uri_of(settings) if settings.output else None
        mark, output_fault = stack.enter_context(marked(output)) if output else (None, None)
        question = Question("here", choice, input_uri, output, None if output_fault else mark)
        cluster, ray_check = _cluster(stack, settings, question)
        checks.append(ray_check)
        nodes = [node for node in cluster.nodes if not node.fault] if cluster else [_look_around(question)]
        checks.extend(_of_ray(cluster))
        checks.extend(_of_engine(choice, nodes))
        checks.append(_of_fonts(nodes))
        checks.append(input_check or _of_input(nodes))
        checks.append(_of_output(output, output_fault, nodes))
    return checks


def _first_input(settings: Settings) -> tuple[str | None, Check | None]:
    if not settings.inputs:
        return None, Check("input", Verdict.SKIP, "No INPUT is given.")
    try:
        return next(file.uri for file in find_present_inputs(settings.inputs) if file.version is not None), None
    except OneOcrError as error:
        return None, Check("input", Verdict.FAIL, str(error))


def _cluster(stack: ExitStack, settings: Settings, question: Question) -> tuple[ClusterFacts | None, Check]:
    """Join Ray for as long as `stack` is open, and ask all of its nodes."""
    try:
        stack.enter_context(ray_session(ray_address(settings)))
    except AuthenticationError:
        what = "Ray does not accept the token of this machine. Use RAY_AUTH_MODE and the token of the cluster."
        return None, Check("ray", Verdict.FAIL, what)
    except UsageError as error:
        return None, Check("ray", Verdict.FAIL, str(error))
    except RuntimeError:
        what = (
            f"Ray {ray.__version__} on Python {platform.python_version()} cannot join: the cluster has other versions."
        )
        return None, Check("ray", Verdict.FAIL, what)
    facts = _cluster_facts(question)
    return facts, Check("ray", Verdict.OK, f"Ray answers, with {len(facts.nodes)} node(s).")


def _cluster_facts(question: Question) -> ClusterFacts:
    alive = [each for each in ray.nodes() if each["Alive"]]  # type: ignore[no-untyped-call]
    head = next((each["NodeID"] for each in alive if "node:__internal_head__" in each["Resources"]), None)
    asked = {
        _at(each["NodeID"], _look_around).remote(replace(question, address=each["NodeManagerAddress"])): each
        for each in alive
    }
    answered, _ = ray.wait(list(asked), num_returns=len(asked), timeout=NODE_TIMEOUT_S)
    nodes = [_answer(ref, node["NodeManagerAddress"], in_time=ref in answered) for ref, node in asked.items()]
    exposed = None
    with suppress(RayError):
        exposed = ray.get(_at(head, _exposed).remote(_ports()), timeout=NODE_TIMEOUT_S) if head else None
    return ClusterFacts(get_authentication_mode() == AuthenticationMode.TOKEN, exposed, nodes)


def _answer(ref: ObjectRef[NodeFacts], address: str, *, in_time: bool) -> NodeFacts:
    if not in_time:
        return NodeFacts(address, fault=f"no answer within {NODE_TIMEOUT_S:g} s. See Ray's logs of that node.")
    try:
        return ray.get(ref)
    except RayError as error:
        what = (
            f"a task of this package failed ({type(error).__name__}). Install it there, or see Ray's logs of that node."
        )
        return NodeFacts(address, fault=what)


def _at(node_id: str, function: Any) -> Any:
    """`function` as a task on that node and no other; it takes no CPU, for a head may offer none."""
    where = NodeAffinitySchedulingStrategy(node_id, soft=False)
    return ray.remote(function).options(num_cpus=0, max_retries=0, name="doctor", scheduling_strategy=where)


def _ports() -> dict[str, int]:
    """Where the head of this cluster should listen, as far as Ray tells."""
    addresses = {"GCS": ray.get_runtime_context().gcs_address, "dashboard": get_dashboard_url()}  # type: ignore[no-untyped-call]
    return {name: int(address.rpartition(":")[2]) for name, address in addresses.items() if address}


def _exposed(ports: dict[str, int]) -> dict[str, int] | None:
    """Those of `ports`, and the Ray client server's, that the network reaches. Runs on the head."""
    try:
        tables = [Path(f"/proc/net/{name}").read_text(encoding="ascii") for name in ("tcp", "tcp6")]
    except OSError:
        return None
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            words = process.read_bytes().decode(errors="replace").split("\0")
            if "ray.util.client.server" in words and any(word.endswith(f":{ports['GCS']}") for word in words):
                ports["client"] = next(int(word.partition("=")[2]) for word in words if word.startswith("--port="))
    reached = doctoring.open_ports(tables)
    return {name: port for name, port in ports.items() if port in reached}


def _look_around(question: Question) -> NodeFacts:
    """The answers of the node that this runs on."""
    key_fault, engine_fault = _faults_of_llm(question.engine) if question.engine else (None, _fault_of_local_engine())
    return NodeFacts(
        question.address,
        versions=_versions(),
        key_fault=key_fault,
        engine_fault=engine_fault,
        fonts_fault=fault_of_fonts(),
        input_fault=fault_of_reading(question.input_uri) if question.input_uri else None,
        output_fault=fault_of_seeing(question.output, question.mark) if question.output and question.mark else None,
    )


def _versions() -> Versions:
    return Versions(platform.python_version(), ray.__version__, __version__)


def _fault_of_local_engine() -> str | None:
    missing = [name for name in LOCAL_ENGINE_MODULES if find_spec(name) is None]
    return f"{', '.join(missing)} cannot be imported. Install this package with its dependencies." if missing else None


def _faults_of_llm(choice: EngineOptions) -> tuple[str | None, str | None]:
    """What is wrong with this node's key, and what the provider says of it; without a key it is not asked."""
    try:
        key = provider_key(choice.name)
        llm_engine(choice, key)
    except UsageError as error:
        return str(error), None
    failure = asyncio.run(_asked(choice))
    return None, failure.message if failure else None


async def _asked(choice: EngineOptions) -> Failure | None:
    engine = llm_engine(choice, provider_key(choice.name))
    try:
        return await engine.check()
    finally:
        await engine.close()


def _of_ray(cluster: ClusterFacts | None) -> list[Check]:
    if cluster is None:
        return [Check(name, Verdict.SKIP, "Ray does not answer.") for name in ("authentication", "ports", "versions")]
    return [
        doctoring.authentication(cluster),
        doctoring.ports(cluster),
        doctoring.versions(_versions(), cluster.nodes),
    ]


def _of_engine(choice: EngineOptions | None, nodes: list[NodeFacts]) -> list[Check]:
    if choice is None:
        return [
            Check("key", Verdict.SKIP, "The embedded engine needs no key."),
            doctoring.on_nodes("engine", nodes, lambda node: node.engine_fault, "The embedded engine is installed on"),
        ]
    key = doctoring.on_nodes("key", nodes, lambda node: node.key_fault, "Nothing is wrong with the key on")
    if key.verdict is Verdict.FAIL:
        return [key, Check("engine", Verdict.SKIP, "It is not asked without a key.")]
    reached = f"{choice.name} knows {choice.model} and lets in"
    return [key, doctoring.on_nodes("engine", nodes, lambda node: node.engine_fault, reached)]


def _of_fonts(nodes: list[NodeFacts]) -> Check:
    ok = "Noto Sans CJK draws Chinese, Japanese and Korean text whose font a PDF does not hold, on"
    return doctoring.on_nodes("fonts", nodes, lambda node: node.fonts_fault, ok)


def _of_input(nodes: list[NodeFacts]) -> Check:
    return doctoring.on_nodes("input", nodes, lambda node: node.input_fault, "Its first file can be read on")


def _of_output(output: str | None, fault: str | None, nodes: list[NodeFacts]) -> Check:
    if output is None:
        return Check("output", Verdict.SKIP, "No --output is given.")
    if fault is not None:
        return Check("output", Verdict.FAIL, fault)
    return doctoring.on_nodes("output", nodes, lambda node: node.output_fault, "Written once, and seen from")
