"""Two drivers on one output, a driver that sleeps, and drivers that are asked to stop.

The run that finishes what they have left is one of this process: it starts sooner.
"""

from __future__ import annotations

import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import ray

from one_ocr_ray.policy.shutdown import SAME_REQUEST_S
from tests.cluster.faults.sites import LATENCY
from tests.cluster.outputs import file_bytes
from tests.faults.drivers import Driver
from tests.provider import Latency

if TYPE_CHECKING:
    from tests.cluster.faults.sites import Site

pytestmark = pytest.mark.usefixtures("ray_cluster")

SLOW = Latency(seconds=5.0)
ASKED_TO_STOP = "Interrupted. Requests under way are paid and have"


@pytest.fixture
def command(site: Site, ray_cluster: None) -> list[str]:
    """A run of `site` on the Ray of this session."""
    return site.arguments("--address", ray.get_runtime_context().gcs_address)


def test_a_second_driver_is_refused(site: Site, command: list[str]) -> None:
    """It ends with 2 and one sentence that names the first, which goes on undisturbed."""
    site.stop_after(1)
    with Driver(*command) as first:
        assert first.wait_until(lambda: site.answered() == 1), first.said()
        with Driver(*command) as second:
            code, _ = second.wait()
            said = second.said()
            assert first.running
        assert code == 2
        assert f"is in use by process {first.pid} " in said
        assert "Traceback" not in said
        site.go_on()
        assert first.wait()[0] == 0, first.said()
    site.assert_kept()
    assert len({row.page for row in site.provider.rows()}) == len(site.provider.rows())


def test_a_sleeping_driver_is_overtaken_and_changes_nothing(site: Site, command: list[str]) -> None:
    """The second waits until it is sure, says so once, and finishes; the first wakes up and ends with a sentence."""
    site.stop_after(10)
    with Driver(*command) as sleeper:
        assert sleeper.wait_until(lambda: site.answered() == 10), sleeper.said()
        sleeper.process.send_signal(signal.SIGSTOP)
        site.go_on()
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
    assert site.read().exit_code == 0  # clears up what the sleeper's workers may have written after the end
    site.assert_kept()
    assert file_bytes(Path(site.output)) == before


def test_a_driver_that_is_asked_to_stop_keeps_every_answer(site: Site, command: list[str]) -> None:
    """It waits for the requests under way, ends with 4 and one sentence, and the rerun pays for nothing again.

    By SIGTERM here and by SIGINT in the next test: one handler serves both.
    """
    site.stop_after(20)
    with Driver(*command) as driver:
        assert driver.wait_until(lambda: site.answered() == 20 and site.stands_still()), driver.said()
        driver.process.send_signal(signal.SIGTERM)
        assert driver.wait_until(lambda: ASKED_TO_STOP in driver.said()), driver.said()
        site.provider.change(latency=SLOW)  # for pages that begin before the worker hears of it
        site.go_on()
        code, so_far = driver.wait()
        assert code == 4
        assert "Interrupted; finished pages are kept. The same command resumes." in driver.said()
        assert "Traceback" not in driver.said()
    sent = site.sent()
    assert not [row for row in sent if row.aborted]
    assert so_far["requests"]["sent"] == len(sent) < len(site.expected)
    site.provider.change(latency=LATENCY)
    assert site.read().exit_code == 0
    site.assert_kept()
    assert len(site.sent()) == len(site.expected)  # each page was asked for once


def test_requests_that_take_too_long_are_cut(site: Site, command: list[str]) -> None:
    """--stop-wait says when; the next run asks for them again."""
    site.stop_after(10)
    with Driver(*command, "--stop-wait", "1") as driver:
        assert driver.wait_until(lambda: site.answered() == 10 and site.stands_still()), driver.said()
        driver.process.send_signal(signal.SIGINT)
        assert driver.wait()[0] == 4  # though no request is ever answered
        assert f"{ASKED_TO_STOP} 1 s " in driver.said()
    assert len([row for row in site.sent() if row.aborted]) == site.flags["max_in_flight"]
    site.go_on()
    assert site.read().exit_code == 0
    site.assert_kept()


def test_asked_twice_it_ends_at_once(site: Site, command: list[str]) -> None:
    """Nobody has to wait for anything; the next run resumes all the same."""
    site.stop_after(10)
    with Driver(*command, "--stop-wait", "600") as driver:
        assert driver.wait_until(lambda: site.answered() == 10 and site.stands_still()), driver.said()
        driver.process.send_signal(signal.SIGINT)
        assert driver.wait_until(lambda: ASKED_TO_STOP in driver.said()), driver.said()
        time.sleep(SAME_REQUEST_S + 0.1)  # sooner, it would be the same wish
        driver.process.send_signal(signal.SIGTERM)
        assert driver.wait() == (4, {})
    site.go_on()
    assert site.read().exit_code == 0
    site.assert_kept()
