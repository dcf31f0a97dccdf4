"""Signals during a run: the first ends it in order, a second wish at once, at whatever point it comes."""

from __future__ import annotations

import subprocess
import sys

import pytest

from one_ocr_ray.errors import StoppedError
from one_ocr_ray.shutdown import INTERRUPTED
from tests.waiting import PATIENCE_S

RUN = """
import asyncio, os, signal, sys, time
from one_ocr_ray.shutdown import Interruption
from one_ocr_ray.errors import StoppedError

async def read(interruption):
    with interruption.ends_this_task():
        {reading}

try:
    with Interruption() as interruption:
        try:
            asyncio.run(read(interruption))
        finally:
            {clearing}
except StoppedError as error:
    print(error)
    sys.exit(error.exit_code)
print("ended", signal.getsignal(signal.SIGTERM) is signal.SIG_DFL)
"""
ASKED = "os.kill(os.getpid(), signal.{name}); await asyncio.sleep(60)"
ASKED_LATE = "time.sleep(2.1); os.kill(os.getpid(), signal.SIGTERM); time.sleep(60)"
TOLD_TWICE = "os.kill(os.getpid(), signal.SIGTERM); os.kill(os.getpid(), signal.SIGINT); await asyncio.sleep(60)"
TOLD_AGAIN = "os.kill(os.getpid(), signal.SIGTERM); print('cleared')"


def run(reading: str, clearing: str) -> subprocess.CompletedProcess[str]:
    return run_program(RUN.format(reading=reading, clearing=clearing))


def run_program(program: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", program]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=PATIENCE_S)


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_the_first_signal_ends_the_reading_with_a_sentence(name: str) -> None:
    """What is cleared away after it is cleared away to the end."""
    done = run(ASKED.format(name=name), "print('cleared')")
    assert (done.returncode, done.stdout) == (StoppedError.exit_code, f"cleared\n{INTERRUPTED}\n")
    assert done.stderr == ""


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_the_second_ends_the_process_also_while_it_clears_away(name: str) -> None:
    """The exit code stays that of a run that resumes."""
    done = run(ASKED.format(name=name), ASKED_LATE)
    assert (done.returncode, done.stdout, done.stderr) == (StoppedError.exit_code, "", "")


def test_two_signals_at_once_are_one() -> None:
    """As `timeout` sends them, to the process and to its group: in the reading, and once more in the clearing."""
    done = run(TOLD_TWICE, TOLD_AGAIN)
    assert (done.returncode, done.stdout) == (StoppedError.exit_code, f"cleared\n{INTERRUPTED}\n")
    assert done.stderr == ""


STARTING = """
import os, signal, time
from one_ocr_ray.shutdown import Interruption

try:
    with Interruption():
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        finally:
            os.kill(os.getpid(), signal.SIGINT)
            print("cleared", flush=True)
            {then}
except KeyboardInterrupt:
    print("interrupted")
"""


def test_signals_before_the_reading_are_one_wish_as_well() -> None:
    """While Ray starts: what has begun is cleared away once, undisturbed; a later signal ends that."""
    for then, code, said in (
        ("pass", 0, "cleared\ninterrupted\n"),
        ("time.sleep(2.1); os.kill(os.getpid(), signal.SIGTERM); time.sleep(60)", 4, "cleared\n"),
    ):
        done = run_program(STARTING.format(then=then))
        assert (done.returncode, done.stdout, done.stderr) == (code, said, "")


def test_signals_mean_afterwards_what_they_meant_before() -> None:
    """A run is not the last thing that a process does."""
    done = run("pass", "pass")
    assert (done.returncode, done.stdout) == (0, "ended True\n")
