"""A run on a head without CPUs: it asks Ray's own autoscaler for nodes and reads on those that come."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from ray.autoscaler._private.fake_multi_node.node_provider import FAKE_HEAD_NODE_ID  # a cloud of local processes
from ray.job_submission import JobStatus
from ray.util.state import list_nodes

from one_ocr_ray.cluster.recruiting import WAITING
from one_ocr_ray.storage.verify import verify
from tests.cluster.head import free_port, running_head
from tests.cluster.outputs import pages_by_source
from tests.cluster.waiting import until
from tests.provider import DEFAULT_KEY, Latency, ProviderProcess, write_identity_pdfs

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cluster.head import Head

DOCUMENTS, PAGES = 40, 8
WORKERS = 2


def launcher_config(gcs_port: int) -> dict[str, Any]:
    """As cluster.yaml: a head that does no work and workers from zero, of a cloud whose machines are processes."""
    return {
        "cluster_name": "fake",
        "max_workers": WORKERS,
        "idle_timeout_minutes": 0.05,
        "upscaling_speed": 1.0,
        "provider": {
            "type": "external",
            "module": "ray.autoscaler._private.fake_multi_node.node_provider.FakeMultiNodeProvider",
            "head_node_id": FAKE_HEAD_NODE_ID,
            "gcs_address": f"127.0.0.1:{gcs_port}",
            "launch_multiple": True,
            "use_node_id_as_ip": True,
            "disable_node_updaters": True,
            "disable_launch_config_check": True,
        },
        "head_node_type": "ray.head.default",
        "available_node_types": {
            "ray.head.default": {"resources": {"CPU": 0}, "node_config": {}, "max_workers": 0},
            "worker": {
                "resources": {"CPU": 1, "object_store_memory": 100 << 20},
                "node_config": {},
                "min_workers": 0,
                "max_workers": WORKERS,
            },
        },
        "auth": {},
        "file_mounts": {},
        "cluster_synced_files": [],
        "initialization_commands": [],
        "setup_commands": [],
        "head_setup_commands": [],
        "worker_setup_commands": [],
        "head_start_ray_commands": [],
        "worker_start_ray_commands": [],
    }


def workers_of(head: Head) -> int:
    """Nodes beside the head that are alive."""
    # Ray (2.60) takes what a filter leaves out for missing, so the filter is ours.
    nodes = list_nodes(address=head.jobs.get_address())
    return sum(node.state == "ALIVE" and not node.is_head_node for node in nodes)


@pytest.mark.timeout(300)
def test_a_run_on_a_head_without_cpus_gets_its_nodes_from_the_autoscaler(tmp_path: Path) -> None:
    """It says that it waits, is given as many nodes as it can use, and reads every page once."""
    (tmp_path / "in").mkdir()
    write_identity_pdfs(tmp_path / "in", range(DOCUMENTS), PAGES)
    port = free_port()
    config = tmp_path / "launcher.json"
    config.write_text(json.dumps(launcher_config(port)))
    with (
        ProviderProcess(latency=Latency(seconds=10)) as provider,
        running_head(
            f"--autoscaling-config={config}", port=port, cpus=0, OPENAI_API_KEY=DEFAULT_KEY, RAY_FAKE_CLUSTER="1",
            AUTOSCALER_UPDATE_INTERVAL_S="1", RAY_OVERRIDE_NODE_ID_FOR_TESTING=FAKE_HEAD_NODE_ID,
            RAY_CLOUD_INSTANCE_ID=FAKE_HEAD_NODE_ID, RAY_enable_autoscaler_v2="1",
        ) as head,
    ):  # fmt: skip
        job = head.submit(
            f"python jobs/ocr.py {tmp_path / 'in'} --output {tmp_path / 'out'} --engine openai --model any --base-url "
            f"{provider.openai_url} --rpm 60000 --max-in-flight 128 --shard-pages 8"
        )
        until(lambda: workers_of(head) == WORKERS, "one CPU for each 64 requests")
        provider.change(latency=Latency(seconds=0.02))
        status, log = head.ended(job), head.jobs.get_job_logs(job)
        ledger = provider.summary()
    assert status is JobStatus.SUCCEEDED, log
    assert WAITING in log
    assert len(pages_by_source(tmp_path / "out")) == DOCUMENTS * PAGES
    assert list(verify(str(tmp_path / "out"))) == []
    assert ledger["pages_answered_again"] == 0
