"""Several nodes: an LLM job over three of them, one of which leaves while another joins; and where OCR engines go."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
import ray

from one_ocr_ray.cluster.engine_pool import EnginePool
from one_ocr_ray.errors import StoppedError
from one_ocr_ray.model import Answer, PageImage, PageRequest
from tests.cluster.lean_nodes import ENVIRONMENT
from tests.faults.death_costs import Death, costs_of, safe_pages, wrong_in
from tests.provider import Identity, Latency, ProviderProcess, write_identity_pdfs
from tests.provider.questions import fingerprint
from tests.waiting import until

if TYPE_CHECKING:
    from tests.provider import Row

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS, PAGES = 30, 6
KEYS = tuple(f"key-of-node-{number}" for number in range(4))  # each node has its own, so the ledger tells nodes apart

# Reads on three nodes; after a line on standard input the third node dies, which it tells, and another one joins.
JOB = """
import sys, threading, time, ray
from ray.cluster_utils import Cluster
from tests.cluster.lean_nodes import NO_HELPERS
from tests.cluster.outputs import read
source, output, url, *keys = sys.argv[1:]
cluster = Cluster()
def node(key):
    of_the_node = {"env_vars": {"OPENAI_API_KEY": key}, **NO_HELPERS}
    return cluster.add_node(num_cpus=1, object_store_memory=100 << 20, **of_the_node)
nodes = [node(key) for key in keys[:3]]
time.sleep(3)  # until each node knows the others
ray.init(address=cluster.address, namespace="one-ocr", log_to_driver=False)
options = {"engine": "openai", "model": "any", "base_url": url, "rpm": 60000, "max_in_flight": 6, "shard_pages": 6,
           "longest_side": 600}
codes = []
job = threading.Thread(target=lambda: codes.append(read(output, source, **options).exit_code))
job.start()
if sys.stdin.readline():
    killed_s = time.monotonic()
    cluster.remove_node(nodes[2], allow_graceful=False)
    print("gone", killed_s, time.monotonic(), flush=True)
    node(keys[3])
job.join()
limiters = [each for each in ray._private.state.actors().values() if each["Name"].startswith("limiter:")]
assert {each["Address"]["NodeID"] for each in limiters} == {cluster.head_node.node_id}, limiters
sys.exit(codes[0])
"""


@pytest.mark.timeout(300)
def test_a_node_leaves_and_another_joins_while_an_llm_job_runs(tmp_path: Path) -> None:
    """Every node sends pages, also the one that came late; each page stands once; what was paid again is a handful.

    Worker, renderers and whatever else was on the node that died come back on the others, and what was safe is not
    asked for again.
    """
    (tmp_path / "in").mkdir()
    write_identity_pdfs(tmp_path / "in", range(DOCUMENTS), PAGES)
    environment = os.environ | ENVIRONMENT
    with ProviderProcess(keys=KEYS, latency=Latency(seconds=3.0)) as provider:
        arguments = [str(tmp_path / "in"), str(tmp_path / "out"), provider.openai_url, *KEYS]
        command = [sys.executable, "-c", JOB, *arguments]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        with subprocess.Popen(command, cwd=ROOT, env=environment, text=True, **pipes) as job:
            assert job.stdout is not None
            try:

                def read_by(*keys: str) -> bool:
                    assert job.poll() is None, "the job ended too early"
                    return nodes_that_read(provider.rows()).issuperset(keys)

                until(lambda: read_by(*KEYS[:3]), "pages on the first three nodes")
                print("change", file=job.stdin, flush=True)
                _, killed_s, gone_s = next(line for line in job.stdout if line.startswith("gone")).split()
                death = Death(float(killed_s), float(gone_s), safe_pages(str(tmp_path / "out"), float(gone_s)))
                until(lambda: read_by(KEYS[3]), "pages on the node that joined")
                provider.change(latency=Latency(seconds=0.02))
                assert job.wait(120) == 0
            finally:
                job.kill()
        ledger, sent = provider.summary(), provider.rows()
    everything = {str(Identity(number, page)) for number in range(DOCUMENTS) for page in range(1, PAGES + 1)}
    assert wrong_in(str(tmp_path / "out"), everything) == []
    (cost,) = costs_of([death], sent)
    assert cost.is_within_the_promise(workers=3), cost
    assert ledger["pages_answered"] == DOCUMENTS * PAGES
    assert ledger["pages_answered_again"] <= 16  # under way on the lost node, or not in the journal yet


# Serves tasks on one node; then another one joins. Uploads go on until a line on standard input.
SERVICE = """
import asyncio, sys, threading, time, ray
from itertools import count
from pathlib import Path
from ray.cluster_utils import Cluster
from tests.cluster.lean_nodes import NO_HELPERS
from tests.cluster.service.task_managers import task_manager_site
from tests.provider import identity_pdf
folder, url, *keys = sys.argv[1:]
cluster = Cluster()
def node(key):
    of_the_node = {"env_vars": {"OPENAI_API_KEY": key}, **NO_HELPERS}
    return cluster.add_node(num_cpus=1, object_store_memory=100 << 20, **of_the_node)
node(keys[0])
ray.init(address=cluster.address, namespace="one-ocr", log_to_driver=False)
told = threading.Event()
threading.Thread(target=lambda: (sys.stdin.readline(), told.set()), daemon=True).start()
async def main():
    flags = {"engine": "openai", "model": "any", "base_url": url, "rpm": 60000, "max_in_flight": 4, "longest_side": 600}
    with task_manager_site(Path(folder), **flags) as site:
        numbers = count()
        async def read():
            await site.succeeded(await site.submit(identity_pdf(next(numbers), 2)))
        await read()
        node(keys[1])
        while not told.is_set():
            await asyncio.gather(*(read() for _ in range(4)))
asyncio.run(main())
"""


@pytest.mark.timeout(300)
def test_the_service_takes_in_a_node_that_joins(tmp_path: Path) -> None:
    """Tasks are read on it, with its own key, and none fails."""
    environment = os.environ | ENVIRONMENT
    with ProviderProcess(keys=KEYS, latency=Latency(seconds=0.2)) as provider:
        command = [sys.executable, "-c", SERVICE, str(tmp_path), provider.openai_url, *KEYS[:2]]
        with subprocess.Popen(command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, text=True) as service:
            try:

                def both() -> bool:
                    assert service.poll() is None, "a task failed"
                    return nodes_that_read(provider.rows()).issuperset(KEYS[:2])

                until(both, "pages on the node that joined")
                print("enough", file=service.stdin, flush=True)
                assert service.wait(120) == 0
            finally:
                service.kill()


# The second node has an empty disk where the output is, as a node has that does not mount the shared folder.
UNSHARED = """
import subprocess, sys, time, ray
from ray.cluster_utils import Cluster
from tests.cluster.lean_nodes import NO_HELPERS
from one_ocr_ray.errors import OneOcrError
from tests.cluster.head import end_at_once
from tests.cluster.outputs import read
source, output, url = sys.argv[1:]
cluster = Cluster()
cluster.add_node(num_cpus=1, object_store_memory=100 << 20, **NO_HELPERS)
start = f"{sys.executable} -m ray.scripts.scripts start --block --num-cpus=1 --object-store-memory=104857600"
start += " --include-log-monitor=false"
command = f"mount -t tmpfs none {output} && exec {start} --address={cluster.address}"
with subprocess.Popen(["unshare", "-rm", "sh", "-c", command], stdout=subprocess.DEVNULL) as node:
    try:
        ray.init(address=cluster.address, namespace="one-ocr", log_to_driver=False)
        while len(ray.nodes()) < 2:
            time.sleep(0.2)
        options = {"engine": "openai", "model": "any", "base_url": url, "rpm": 60000, "shard_pages": 4,
                   "longest_side": 600}
        told = []
        read(output, source, on_stop=told.append, **options)
    except OneOcrError as error:
        inputs = told[0].as_json()["inputs"]
        assert inputs["found"] == 20 > inputs["committed"] > 0, inputs
        print(error)
    finally:
        end_at_once(node)
"""


@pytest.mark.timeout(300)
def test_an_output_that_a_node_does_not_share_ends_with_exit_1(tmp_path: Path) -> None:
    """Pages on another node's disk are not in the dataset: the run says so instead of counting what it sees."""
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    write_identity_pdfs(tmp_path / "in", range(20), 2)
    environment = os.environ | ENVIRONMENT | {"OPENAI_API_KEY": KEYS[0]}
    with ProviderProcess(keys=KEYS, latency=Latency(seconds=0.5)) as provider:
        command = [sys.executable, "-c", UNSHARED, str(tmp_path / "in"), str(tmp_path / "out"), provider.openai_url]
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    assert "documents where 20 are planned" in done.stdout
    assert "Do all nodes share that folder?" in done.stdout


def nodes_that_read(rows: list[Row]) -> set[str]:
    """Keys of the nodes that got an answer for a page."""
    names = {fingerprint(key): key for key in KEYS}
    return {names[row.key] for row in rows if row.page and row.answered and row.key}


@ray.remote(num_cpus=0)
class Reader:
    """A reader as `EnginePool` sees it, without an OCR engine; a page that names a file takes until it exists."""

    def read(self, image: PageImage) -> Answer:
        if image.data:
            until(Path(image.data.decode()).exists, "the end of the long page", 60.0)
        return Answer(text=f"page {image.page_number}")

    def answer(self) -> None:
        pass


@pytest.mark.usefixtures("ray_cluster")
def test_no_page_waits_behind_a_long_one(tmp_path: Path) -> None:
    """While one reader is busy with it, the other reads all that come."""
    others_are_read = tmp_path / "others are read"
    long = PageImage(0, 10, 10, str(others_are_read).encode(), "", 1, 1)
    names = [f"reader-{uuid4().hex}" for _ in range(2)]
    actors = [Reader.options(name=name).remote() for name in names]
    short = [PageImage(number, 10, 10, b"", "", 1, 1) for number in range(1, 7)]

    async def main() -> list[str]:
        pool = EnginePool(names, "some-model")
        ray.get([actor.answer.remote() for actor in actors])
        ended = []

        async def ask(image: PageImage) -> None:
            ended.append((await pool.analyze_image_async(image, PageRequest())).text)
            if len(ended) == len(short):
                others_are_read.touch()

        await asyncio.gather(*(ask(image) for image in [long, *short]))
        return ended

    assert asyncio.run(main()) == [*(f"page {image.page_number}" for image in short), "page 0"]


@pytest.mark.usefixtures("ray_cluster")
def test_pages_go_to_the_readers_that_are_left() -> None:
    """A reader that is gone for good costs no page; when the last one is gone the run stops, resumably."""
    names = [f"reader-{uuid4().hex}" for _ in range(2)]
    actors = [Reader.options(name=name).remote() for name in names]

    async def main() -> list[Answer]:
        pool = EnginePool(names, "some-model")
        images = [PageImage(number, 10, 10, b"", "", 1, 1) for number in range(6)]
        answers = [await pool.analyze_image_async(images[0], PageRequest())]
        ray.kill(actors[0])
        answers += await asyncio.gather(*(pool.analyze_image_async(image, PageRequest()) for image in images[1:]))
        ray.kill(actors[1])
        with pytest.raises(StoppedError, match="are gone"):
            await asyncio.gather(*(pool.analyze_image_async(image, PageRequest()) for image in images))
        return answers

    assert [answer.text for answer in asyncio.run(main())] == [f"page {number}" for number in range(6)]
