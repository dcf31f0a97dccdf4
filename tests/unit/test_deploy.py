"""What stands in cluster.yaml and deploy/: valid for those who read it, and without a secret."""

from __future__ import annotations

import json
import re
import shlex
from itertools import pairwise
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from one_ocr_ray.service.middleware.proxy_limit import CALLBACK
from one_ocr_ray.settings.run import load
from one_ocr_ray.setup.job import llm_setups_of
from one_ocr_ray.setup.servers import fleet_size_of, server_plan_of

ROOT = Path(__file__).resolve().parents[2]
DASHBOARD = json.loads((ROOT / "deploy" / "monitoring" / "grafana-dashboard.json").read_text())


def test_panels_have_queries_and_do_not_overlap() -> None:
    """A dashboard that Grafana shows as it was meant."""
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken
        assert place["x"] + place["w"] <= 24
        taken |= cells
        assert all(target["expr"] and target["legendFormat"] for target in panel["targets"])
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])


# Fields of KubeRay's API `ray.io/v1`, as its reference lists them; those that are not used here are left out.
FIELDS = {
    "RayJob": {
        "entrypoint", "submissionMode", "backoffLimit", "shutdownAfterJobFinishes", "ttlSecondsAfterFinished",
        "rayClusterSpec",
    },
    "RayService": {"serveConfigV2", "rayClusterConfig"},
    "cluster": {
        "rayVersion", "authOptions", "enableInTreeAutoscaling", "autoscalerOptions", "headGroupSpec",
        "workerGroupSpecs",
    },
    "head": {"rayStartParams", "template"},
    "workers": {"groupName", "replicas", "minReplicas", "maxReplicas", "rayStartParams", "template"},
}  # fmt: skip


def kuberay(name: str) -> dict[str, Any]:
    """One manifest of deploy/kuberay."""
    return yaml.safe_load((ROOT / "deploy" / "kuberay" / f"{name}.yaml").read_text())


def groups(manifest: dict[str, Any]) -> list[dict[str, Any]]:
    """Head and worker groups of the cluster in a manifest."""
    spec = manifest["spec"].get("rayClusterSpec") or manifest["spec"]["rayClusterConfig"]
    return [spec["headGroupSpec"], *spec["workerGroupSpecs"]]


@pytest.mark.parametrize("name", ["rayjob", "rayservice", "rayjob-vllm"])
def test_kuberay_manifests_use_known_fields(name: str) -> None:
    """A misspelt field would be dropped in silence by the cluster."""
    manifest = kuberay(name)
    assert manifest["apiVersion"] == "ray.io/v1"
    assert set(manifest["spec"]) <= FIELDS[manifest["kind"]]
    cluster = manifest["spec"].get("rayClusterSpec") or manifest["spec"]["rayClusterConfig"]
    assert set(cluster) == FIELDS["cluster"]
    head, *workers = groups(manifest)
    assert set(head) == FIELDS["head"]
    assert all(set(group) == FIELDS["workers"] for group in workers)
    assert all(isinstance(value, str) for group in groups(manifest) for value in group["rayStartParams"].values())


KUBERNETES = "1.33"


@pytest.mark.parametrize("name", ["rayjob", "rayservice", "rayjob-vllm"])
def test_kubernetes_takes_the_pods(name: str) -> None:
    """By its own schemas, which know every field; a misspelt one is refused, so the first part says something."""
    for group in groups(kuberay(name)):
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "one"}, **group["template"]}
        kubernetes_validate.validate(pod, KUBERNETES, strict=True)
        pod["spec"]["serviceAccount_name"] = "one-ocr"
        with pytest.raises(kubernetes_validate.ValidationError, match="serviceAccount_name"):
            kubernetes_validate.validate(pod, KUBERNETES, strict=True)


@pytest.mark.parametrize("name", ["rayjob", "rayservice"])
def test_keys_come_from_secrets_and_reach_every_pod(name: str) -> None:
    """By reference, on head and workers; every volume that is mounted is there."""
    for group in groups(kuberay(name)):
        pod = group["template"]["spec"]
        (container,) = pod["containers"]
        (key,) = [each for each in container["env"] if each["name"] == "OPENAI_API_KEY"]
        assert key["valueFrom"]["secretKeyRef"]["name"] == "one-ocr-provider"
        mounted = {mount["name"] for mount in container.get("volumeMounts", [])}
        assert mounted == {volume["name"] for volume in pod.get("volumes", [])}


def test_the_run_with_own_models_fits_its_cluster() -> None:
    """Its flags are known, and the group with GPUs can grow to what it asks for; no other node has any."""
    manifest = kuberay("rayjob-vllm")
    flags = shlex.split(manifest["spec"]["entrypoint"])[2:]
    settings = load({"inputs": (flags[0],), **{
        name.removeprefix("--").replace("-", "_"): value
        for name, value in pairwise(flags[1:])
        if name.startswith("--") and name != "--json"
    }})  # fmt: skip
    size, plan = fleet_size_of(settings, places=0), server_plan_of(settings)
    assert plan.profile is not None
    assert llm_setups_of(settings)["vllm"].options.usd_per_s
    gpus = [
        int(group["template"]["spec"]["containers"][0]["resources"]["limits"].get("nvidia.com/gpu", 0))
        for group in groups(manifest)
    ]
    assert gpus == [0, 0, 1]
    assert groups(manifest)[2]["maxReplicas"] * gpus[2] == size.most * plan.gpus
    assert plan.python in (ROOT / "deploy" / "Dockerfile.vllm").read_text()


def test_versions_of_ray_agree() -> None:
    """The manifests, the image and cluster.yaml run what the package asks for."""
    pinned = re.search(r"^ray==(\S+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    assert pinned
    assert f"rayproject/ray:{pinned[1]}-" in (ROOT / "deploy" / "Dockerfile").read_text()
    for name in ("rayjob", "rayservice", "rayjob-vllm"):
        assert f'rayVersion: "{pinned[1]}"' in (ROOT / "deploy" / "kuberay" / f"{name}.yaml").read_text()


def test_the_service_of_kuberay_is_the_one_of_serve_app() -> None:
    """The import path names an application that is there, and its settings are known."""
    config = yaml.safe_load(kuberay("rayservice")["spec"]["serveConfigV2"])
    (application,) = config["applications"]
    module, attribute = application["import_path"].split(":")
    assert re.search(rf"^{attribute} = ", (ROOT / f"{module}.py").read_text(), re.MULTILINE)


def test_the_proxies_of_kuberay_limit_bodies() -> None:
    """Every pod may have a proxy, and each has the limit in its environment."""
    for group in groups(kuberay("rayservice")):
        (container,) = group["template"]["spec"]["containers"]
        given = {each["name"]: each.get("value") for each in container["env"]}
        assert given.get(CALLBACK) == "one_ocr_ray.service.middleware.proxy_limit:middlewares"


@pytest.mark.parametrize("path", ["cluster.yaml", "deploy/kuberay/rayjob.yaml", "deploy/kuberay/rayservice.yaml"])
def test_no_secret_stands_in_a_file(path: str) -> None:
    """No key, and no runtime environment that would carry one."""
    text = (ROOT / path).read_text()
    assert not re.search(r"sk-\w|AIza\w|AKIA\w", text)
    assert not {"runtimeEnvYAML", "runtime_env"} & set(texts_of_keys(yaml.safe_load(text)))


def texts_of_keys(value: Any) -> list[str]:
    """Every key in a document."""
    if isinstance(value, dict):
        return [*value, *(key for each in value.values() for key in texts_of_keys(each))]
    return [key for each in value for key in texts_of_keys(each)] if isinstance(value, list) else []
