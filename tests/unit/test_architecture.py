"""The floors of the design, held by tests."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "one_ocr_ray"

WITHOUT_RAY = """
import importlib, pkgutil, sys
sys.modules["ray"] = None  # any import of it fails from here on
import one_ocr_ray
for module in pkgutil.walk_packages(one_ocr_ray.__path__, "one_ocr_ray."):
    if not module.name.startswith("one_ocr_ray.cluster"):
        importlib.import_module(module.name)
"""


def test_everything_but_the_cluster_floor_imports_without_ray() -> None:
    """Floors 0 to 3, the service and the command line need no Ray to be imported."""
    done = subprocess.run([sys.executable, "-c", WITHOUT_RAY], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr


def test_imports_point_down() -> None:
    """The contracts of import-linter in pyproject.toml are kept."""
    linter = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([str(linter)], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stdout


def test_a_module_is_in_cluster_when_it_needs_ray() -> None:
    """Every module there reaches Ray when it is imported, so none could lie on another floor."""
    graph = grimp.build_graph("one_ocr_ray", include_external_packages=True, exclude_type_checking_imports=True)
    code = {module for module in graph.find_descendants("one_ocr_ray.cluster") if not graph.find_children(module)}
    assert {module for module in code if not graph.chain_exists(module, "ray")} == set()


@pytest.mark.parametrize("module", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_is_short_and_says_what_may_live_in_it(module: Path) -> None:
    """At most 300 lines, and a head docstring wherever there is code."""
    text = module.read_text(encoding="utf-8")
    assert text.count("\n") <= 300
    assert not text or text.startswith('"""')


def test_no_folder_is_too_wide_to_overlook() -> None:
    """A folder holds at most 16 modules; what belongs together gets a folder of its own."""
    modules = Counter(str(path.parent.relative_to(PACKAGE)) for path in PACKAGE.rglob("*.py"))
    assert {folder: count for folder, count in modules.items() if count > 16} == {}


def test_the_environment_is_read_in_one_place() -> None:
    """Settings come from one declaration."""
    readers = {
        str(path.relative_to(PACKAGE))
        for path in PACKAGE.rglob("*.py")
        if "os.environ" in path.read_text(encoding="utf-8")
    }
    assert readers == {"environment.py"}
