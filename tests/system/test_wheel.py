"""The wheel and the source distribution: what is in them, and that the wheel's command runs where it is installed."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with both, made by `python -m build`: the wheel from the source distribution."""
    folder = tmp_path_factory.mktemp("dist")
    done = subprocess.run(
        [sys.executable, "-m", "build", "--outdir", str(folder), str(ROOT)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return folder


def only(folder: Path, pattern: str) -> Path:
    """The one file of that pattern."""
    (found,) = folder.glob(pattern)
    return found


def test_the_wheel_holds_the_package_and_nothing_else(built: Path) -> None:
    """Every file of the package as it stands here, the marker of its types, the licence; no tests."""
    with zipfile.ZipFile(only(built, "*.whl")) as wheel:
        names = set(wheel.namelist())
    package = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "one_ocr_ray").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert package <= names
    assert all(name.startswith(("one_ocr_ray/", "one_ocr_ray-")) for name in names)
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_the_source_distribution_holds_what_tests_and_clusters_need(built: Path) -> None:
    """Jobs, samples, tests, documentation and what runs it elsewhere; no caches and no git."""
    with tarfile.open(only(built, "*.tar.gz")) as source:
        names = {name.partition("/")[2] for name in source.getnames()}
    wanted = {
        "jobs/ocr.py", "serve_app.py", "cluster.yaml", "constraints.txt", "deploy/kuberay/rayjob.yaml",
        "docs/cluster.md", "samples/sample-table-en.pdf", "tests/conftest.py", "Makefile", "LICENSE", "README.md",
    }  # fmt: skip
    assert wanted <= names
    assert not any(".git/" in name or "__pycache__" in name for name in names)


def test_the_installed_wheel_runs(built: Path, tmp_path: Path) -> None:
    """Installed beside its dependencies, away from the checkout: the command answers with its version."""
    site = tmp_path / "site"
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(site)]
    subprocess.run([*install, str(only(built, "*.whl"))], check=True)
    code = "import one_ocr_ray, sys; from one_ocr_ray.cli import main; print(one_ocr_ray.__file__); main(['--version'])"
    environment = os.environ | {"PYTHONPATH": str(site)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    place, version = done.stdout.splitlines()
    assert place.startswith(str(site))
    assert version == f"one-ocr {only(built, '*.whl').name.split('-')[1]}"
    assert list((site / "bin").glob("one-ocr"))


def test_what_is_installed_here_is_pinned() -> None:
    """constraints.txt names a version for every direct dependency, within its bounds in pyproject.toml."""

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    pinned = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines())
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    for requirement in map(Requirement, itertools.chain(*groups)):
        if requirement.name != "one-ocr-ray":
            assert requirement.specifier.contains(pinned[requirement.name.lower()]), requirement
