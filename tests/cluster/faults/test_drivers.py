"""Two drivers on one output, a driver that sleeps, and drivers that are asked to stop."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import ray

from tests.cluster.outputs import file_bytes
from tests.faults.drivers import Driver
from tests.provider import Latency

if TYPE_CHECKING:
    from tests.cluster.faults.sites import Site

pytestmark = pytest.mark.usefixtures("ray_cluster")


@pytest.fixture
def command(site: Site, ray_cluster: None) -> list[str]:
    """A run of `site` on the Ray of this session."""
    return site.arguments("--address", ray.get_runtime_context().gcs_address)


def test_a_second_driver_is_refused(site: Site, command: list[str]) -> None:
    """It ends with 2 and one sentence that names the first, which goes on undisturbed."""
    with Driver(*command, "--max-in-flight", "2") as first:  # slow: it outlasts the start of the second
        assert first.wait_until(lambda: site.answered() >= 1), first.said()
        with Driver(*command) as second:
            code, _ = second.wait()
            said = second.said()
            assert first.running
        assert code == 2
        assert f"is in use by process {first.pid} " in said
        assert "Traceback" not in said
        assert first.wait()[0] == 0, first.said()
    site.assert_kept()
    assert len({row.page for row in site.provider.rows()}) == len(site.provider.rows())


def test_a_sleeping_driver_is_overtaken_and_changes_nothing(site: Site, command: list[str]) -> None:
    """The second waits until it is sure, says so once, and finishes; the first wakes up and ends with a sentence."""
    with Driver(*command) as sleeper:
        assert sleeper.wait_until(lambda: site.answered() >= 10), sleeper.said()
        sleeper.process.send_signal(signal.SIGSTOP)
        with Driver(*command) as second:
            code, summary = second.wait()
            assert code == 0, second.said()
            assert second.said().count("has gone silent") == 1
        assert summary["pages"]["ok"] == len(site.expected)
        before = file_bytes(Path(site.output))
        sleeper.process.send_signal(signal.SIGCONT)
        code, _ = sleeper.wait()
        assert code == 4
        assert "Another run has taken this output over" in sleeper.said()
        assert "Traceback" not in sleeper.said()
    assert file_bytes(Path(site.output)) == before
    with Driver(*command) as last:  # clears up what the sleeper's workers may have written after the end
        assert last.wait()[0] == 0, last.said()
    site.assert_kept()
    assert file_bytes(Path(site.output)) == before


def test_a_driver_that_is_asked_to_stop_keeps_every_answer(site: Site, command: list[str]) -> None:
    """It waits for the requests under way, ends with 4 and one sentence, and the rerun pays for nothing again.

    By SIGTERM here and by SIGINT in the next test: one handler serves both.
    """
    with Driver(*command) as driver:
        assert driver.wait_until(lambda: site.answered() >= 20), driver.said()
        driver.process.send_signal(signal.SIGTERM)
        code, so_far = driver.wait()
        assert code == 4
        assert "Interrupted; finished pages are kept. The same command resumes." in driver.said()
        assert "Traceback" not in driver.said()
    sent = site.sent()
    assert not [row for row in sent if row.aborted]
    assert so_far["requests"]["sent"] == len(sent) < len(site.expected)
    with Driver(*command) as driver:
        assert driver.wait()[0] == 0, driver.said()
    site.assert_kept()
    assert len(site.sent()) == len(site.expected)  # each page was asked for once


def test_requests_that_take_too_long_are_cut(site: Site, command: list[str]) -> None:
    """--stop-wait says when; the next run asks for them again."""
    with Driver(*command, "--stop-wait", "1") as driver:
        assert driver.wait_until(lambda: site.answered() >= 10), driver.said()
        site.provider.change(latency=Latency(seconds=60.0).model_dump())
        in_flight = site.flags["max_in_flight"]
        assert driver.wait_until(lambda: site.provider.summary()["in_flight"] == in_flight), driver.said()
        time.sleep(1.0)  # those of before are answered, and others take their places
        assert driver.wait_until(lambda: site.provider.summary()["in_flight"] == in_flight), driver.said()
        asked_s = time.monotonic()
        driver.process.send_signal(signal.SIGINT)
        assert driver.wait()[0] == 4
        assert time.monotonic() - asked_s < 15.0
    assert len([row for row in site.sent() if row.aborted]) == in_flight
    site.provider.change(latency=Latency().model_dump())
    with Driver(*command) as driver:
        assert driver.wait()[0] == 0, driver.said()
    site.assert_kept()


def test_asked_twice_it_ends_at_once(site: Site, command: list[str]) -> None:
    """Nobody has to wait for anything; the next run resumes all the same."""
    with Driver(*command) as driver:
        assert driver.wait_until(lambda: site.answered() >= 10), driver.said()
        site.provider.change(latency=Latency(seconds=60.0).model_dump())
        time.sleep(1.0)
        driver.process.send_signal(signal.SIGINT)
        time.sleep(2.5)  # sooner, it would be the same wish
        driver.process.send_signal(signal.SIGTERM)
        code, summary = driver.wait(timeout_s=5.0)
        assert (code, summary) == (4, {})
    site.provider.change(latency=Latency().model_dump())
    with Driver(*command) as driver:
        assert driver.wait()[0] == 0, driver.said()
    site.assert_kept()
