"""SIGKILL for every kind of process: what it may cost, and that nobody has to run anything again but for the driver."""

from __future__ import annotations

import json
import random
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import ray
from psutil import NoSuchProcess

from tests.cluster.faults.sites import Saboteur, Site
from tests.cluster.outputs import rows
from tests.faults.death_costs import wrong_in
from tests.faults.drivers import Driver
from tests.faults.network import cut_connections
from tests.processes import processes_named, wait_until_gone
from tests.provider import BatchPlay, Latency
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from psutil import Process

    from tests.provider import ProviderProcess


@pytest.fixture(scope="module")
def lingering() -> Iterator[list[Process]]:
    """Processes that must be gone when the other tests have run: Ray's agents see a minute late that they are alone."""
    processes: list[Process] = []
    yield processes
    wait_until_gone(processes, timeout_s=150)


def test_a_driver_killed_again_and_again_loses_nothing(site: Site, ray_cluster: None) -> None:
    """At random moments; the last run ends with every page once, and what was safe is never paid again."""
    site.use_two_endpoints()
    dice = random.Random(20260301)
    address = ray.get_runtime_context().gcs_address
    deaths = []
    while len(deaths) < 3:
        more = dice.randint(1, 30)
        last = site.answered() + more
        site.stop_after(more)
        with Driver(*site.arguments("--address", address)) as driver:
            assert driver.wait_until(lambda last=last: site.answered() == last), driver.said()
            deaths.append(site.death(*driver.kill(*processes_named("OcrWorker"))))
            assert driver.pages_told() <= len(deaths[-1].safe)
    site.go_on()
    with Driver(*site.arguments("--address", address)) as driver:
        code, summary = driver.wait()
        assert code == 0, driver.said()
    assert summary["pages"]["ok"] == summary["pages"]["total"] == len(site.expected)
    assert len(summary["endpoints"]["openai"]) == 2
    site.assert_kept(*deaths)


def test_a_run_in_batches_whose_processes_are_killed(
    tmp_path: Path, provider: ProviderProcess, ray_cluster: None
) -> None:
    """The driver when its batches are created, a worker when results are fetched: each page is asked and paid once."""
    site = Site(tmp_path, provider, documents=2, pages=4)
    provider.reset(batches=BatchPlay(run_s=3600).model_dump(), text_chars=100)
    del site.flags["rpm"]
    prices = json.dumps({site.flags["model"]: {"input_usd": 1.0, "output_usd": 10.0}})
    address = ray.get_runtime_context().gcs_address
    command = site.arguments("--address", address, "--batch", "--shard-pages", "4", "--prices", prices)

    def done(operation: str) -> int:
        return sum(row.operation == operation for row in provider.rows())

    with Driver(*command) as driver:
        assert driver.wait_until(lambda: done("create") == 2, every_s=0.1), driver.said()
        driver.kill(*processes_named("OcrWorker"))
    provider.turn_clock(3700)
    with Driver(*command) as driver:
        assert driver.wait_until(lambda: done("content") >= 1, every_s=0.05), driver.said()
        for process in processes_named("OcrWorker"):
            with suppress(NoSuchProcess):
                process.kill()
        code, summary = driver.wait()
        assert code == 0, driver.said()
    assert wrong_in(site.output, site.expected) == []
    lines = [row for row in provider.rows() if row.operation == "line"]
    assert sorted(row.page or "" for row in lines) == sorted(site.expected)
    billed_usd = sum(row.input_tokens + 10 * row.output_tokens for row in lines) / 2e6
    assert sum(row["cost_usd"] for row in rows(Path(site.output), "pages")) == pytest.approx(billed_usd)
    assert summary["batch"]["live"] == provider.batches()["files"] == 0
    assert set(provider.batches()["tags"].values()) == {1}


def test_a_driver_of_its_own_ray_takes_all_processes_with_it(site: Site, lingering: list[Process]) -> None:
    """Nobody has to clean up: Ray's processes, workers and renderers end, and the next run finds its way.

    The dashboard's server, an autoscaler and a log monitor are not among them: in a Ray of one's own they serve nobody.
    """
    site.stop_after(10)
    with Driver(*site.arguments()) as driver:
        assert driver.wait_until(lambda: site.answered() == 10), driver.said()
        assert processes_named("gcs_server", driver.pid)
        assert not processes_named("monitor.py", driver.pid)
        assert not processes_named("dashboard.py", driver.pid)
        death = site.death(*driver.kill())
    lingering.extend(driver.lingering)
    site.go_on()
    with Driver(*site.arguments()) as driver:
        code, _ = driver.wait()
        assert code == 0, driver.said()
    site.assert_kept(death)


def kill_one(name: str) -> Callable[[], None]:
    """Kills a process of that name, as soon as there is one, and waits until it is gone."""

    def kill() -> None:
        victim = until(lambda: processes_named(name), name)[0]
        victim.kill()
        wait_until_gone([victim])

    return kill


@pytest.mark.parametrize("victim", ["ray::OcrWorker", "ray::RateLimiter", "pdf.child", "ray::render"])
def test_any_other_process_dies_and_the_run_goes_on(victim: str, site: Site, ray_cluster: None) -> None:
    """Its work is done by another one, not as a failed page; only a worker may cost anything."""
    if victim in {"ray::OcrWorker", "ray::RateLimiter"}:
        site.use_two_endpoints()
    after = 10
    if victim == "ray::render":  # it must be met at work, before all that may be rendered ahead is rendered
        after, site.flags["longest_side"] = 0, 2000
    with Saboteur(site, after=after, kill=kill_one(victim)) as saboteur:
        summary = site.read()
    assert len(saboteur.deaths) == 1
    assert (summary.exit_code, summary.counts.pages["ok"]) == (0, len(site.expected))
    site.assert_kept(*saboteur.deaths)
    if victim != "ray::OcrWorker":
        assert len({row.page for row in site.sent()}) == len(site.sent())


def test_a_worker_dies_before_its_first_page_and_the_run_goes_on(site: Site, ray_cluster: None) -> None:
    """While it starts, or while it looks whether the engine is there: it is asked again when it is back."""
    with Saboteur(site, after=0, kill=kill_one("ray::OcrWorker")) as saboteur:
        summary = site.read()
    assert len(saboteur.deaths) == 1
    assert (summary.exit_code, summary.counts.pages["ok"]) == (0, len(site.expected))
    site.assert_kept(*saboteur.deaths)


def test_a_worker_out_of_sight_goes_on_with_what_it_has(site: Site, ray_cluster: None) -> None:
    """A network drops the connections between driver and worker: nobody has died, so nothing is asked for twice."""
    site.provider.change(latency=Latency(seconds=1.0))  # most pages are open when the driver looks for the worker again

    def cut() -> None:
        workers = until(lambda: processes_named("ray::OcrWorker"), "a worker")
        assert sum(cut_connections(each.pid) for each in workers), "the driver has no connection to its worker"

    with Saboteur(site, after=10, kill=cut) as saboteur:
        summary = site.read()
    assert len(saboteur.deaths) == 1
    assert (summary.exit_code, summary.counts.pages["ok"]) == (0, len(site.expected))
    site.assert_kept()
    assert len({row.page for row in site.provider.rows()}) == len(site.provider.rows())
