"""Whole runs whose storage refuses in the midst of them, or is an S3 whose driver is killed."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import obstore
import pytest
from obstore.store import from_url

from one_ocr_ray.errors import StorageError
from tests.cluster.faults.sites import Saboteur, Site
from tests.faults.drivers import Driver
from tests.faults.s3 import BUCKET, environment, s3_server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.provider import ProviderProcess


def test_storage_that_refuses_in_the_midst_stops_the_run(site: Site, ray_cluster: None) -> None:
    """One sentence and exit code 4; when it is mended the rerun finishes, and what was safe is not paid again."""
    work, aside = Path(site.output) / "_work", Path(site.output) / "aside"

    def refuse() -> None:
        work.rename(aside)
        work.write_text("no folder")

    with Saboteur(site, after=25, kill=refuse) as saboteur, pytest.raises(StorageError) as caught:
        site.read()
    assert len(saboteur.deaths) == 1
    assert caught.value.exit_code == 4
    assert "cannot be written to" in str(caught.value)
    assert "\n" not in str(caught.value)
    work.unlink()
    aside.rename(work)
    death, rerun_s = site.death(saboteur.deaths[0].killed_s, saboteur.deaths[0].gone_s), time.monotonic()
    assert site.read().exit_code == 0
    site.assert_kept()
    asked_later = {row.page for row in site.provider.rows() if row.arrived_s > rerun_s}
    assert not death.safe & asked_later


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of a few hundred kilobytes; where nobody may mount one, `tests/faults/test_disk_full.py` stands for it."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", disk], check=False, capture_output=True
    )
    if mounted.returncode:
        pytest.skip("nobody may mount a disk here; tests/faults/test_disk_full.py limits the size of files instead")
    yield disk
    subprocess.run(["umount", disk], check=True)


def test_a_full_disk_stops_the_run_and_a_rerun_finishes(site: Site, small_disk: Path, ray_cluster: None) -> None:
    """Exit code 4 with one sentence; with room again the rerun finishes."""
    site.output = str(small_disk / "out")
    site.provider.change(text_chars=6000)
    with pytest.raises(StorageError, match="cannot be written to"):
        site.read()
    assert not [path for path in (small_disk / "out").glob("pages/*") if path.suffix != ".parquet"]
    subprocess.run(["mount", "-o", "remount,size=50m", small_disk], check=True)
    assert site.read().exit_code == 0
    site.assert_kept()


def test_a_driver_killed_on_s3_loses_nothing(
    tmp_path: Path, provider: ProviderProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Input, output and journal in a bucket."""
    with s3_server() as port:
        for name, value in environment(port).items():
            monkeypatch.setenv(name, value)
        site = Site(tmp_path, provider)
        bucket = from_url(f"s3://{BUCKET}")
        for path in site.source.iterdir():
            obstore.put(bucket, f"in/{path.name}", path.read_bytes())
        site.output = f"s3://{BUCKET}/some/out"
        command = [f"s3://{BUCKET}/in", *site.arguments()[1:]]
        site.stop_after(25)
        with Driver(*command) as driver:
            assert driver.wait_until(lambda: site.answered() == 25), driver.said()
            death = site.death(*driver.kill())
        site.go_on()
        with Driver(*command) as driver:
            assert driver.wait()[0] == 0, driver.said()
        site.assert_kept(death)
