"""Journal segments: what goes in comes out, what is torn does not, and which row counts."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from one_ocr_ray.policy.dataset.journal import best_pages, decode_segment, encode_segment, uncounted_passes
from one_ocr_ray.storage.journal import Journal
from one_ocr_ray.storage.store.objects import Objects
from tests.values import NOON, TIMED_OUT, document, page

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from one_ocr_ray.model import PageResult

PAPER = document(page_count=99)
PAGES = [
    page(
        PAPER,
        1,
        markdown="标题 \x00\n|a|b|",
        confidence=0.25,
        input_tokens=7,
        finished_at=NOON + timedelta(microseconds=1),
    ),
    page(PAPER, 2, failure=TIMED_OUT),
]


def test_pages_come_back_as_they_were() -> None:
    """Text, failures, numbers and times to the microsecond."""
    assert decode_segment(encode_segment(PAGES, "config"), "config") == PAGES


@given(st.integers(0, 10_000), st.integers(1, 255))
def test_a_damaged_segment_is_refused(position: int, change: int) -> None:
    """Whatever byte is another one."""
    data = bytearray(encode_segment(PAGES, "config"))
    data[position % len(data)] ^= change
    assert decode_segment(bytes(data), "config") in (None, PAGES)
    assert decode_segment(bytes(data), "config") is None or bytes(data) == encode_segment(PAGES, "config")


@given(st.integers(0, 10_000))
def test_a_torn_segment_is_refused(length: int) -> None:
    """However much of it is there."""
    data = encode_segment(PAGES, "config")
    assert decode_segment(data[: length % len(data)], "config") is None


def test_a_segment_of_another_configuration_is_refused() -> None:
    """Its pages were made by another prompt or model."""
    assert decode_segment(encode_segment(PAGES, "config"), "other") is None


RESULTS = st.lists(
    st.builds(
        lambda number, failed, seconds: page(
            PAPER, number, failure=TIMED_OUT if failed else None, finished_at=NOON + timedelta(seconds=seconds)
        ),
        st.integers(1, 4),
        st.booleans(),
        st.integers(0, 5),
    ),
    max_size=12,
)


@given(RESULTS)
def test_success_beats_failure_and_the_earliest_wins(results: list[PageResult]) -> None:
    """Whatever the order in which segments are read."""
    best = best_pages(results)
    assert best == best_pages(sorted(results, key=lambda each: each.finished_at))
    for (_, number), chosen in best.items():
        rivals = [each for each in results if each.page_number == number]
        good = [each for each in rivals if each.failure is None]
        assert (chosen.failure is None) is bool(good)
        assert chosen.finished_at == min(each.finished_at for each in good or rivals)


def test_attempts_meet_in_one_journal_and_go_after_the_commit(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Each attempt writes its own segments; a foreign object is passed over with a warning."""
    output = Objects(str(tmp_path))
    first, second = Journal(output, "s", "config"), Journal(output, "s", "config")
    first.write(PAGES[:1])
    second.write(PAGES[1:])
    output.put("_work/s/foreign/000000.json", b"who wrote this?")
    found = Journal(output, "s", "config").read()
    assert sorted(found, key=lambda each: each.page_number) == PAGES
    assert "foreign/000000.json" in caplog.text
    assert Journal(output, "another", "config").read() == []
    second.delete()
    assert list(output.list("_work")) == []


def test_what_is_kept_for_a_retry_goes_when_nothing_is_left_to_retry(tmp_path: Path) -> None:
    """Else a large output would keep a file of every shard that ever had a failed page."""
    passed = page(document(1), 1, failure=TIMED_OUT, started_at=NOON, finished_at=NOON, cost_usd=1.0)
    journal = Journal(Objects(str(tmp_path)), "s", "config")
    journal.write([], [passed])
    journal.keep_passed([(passed.document_id, 1)])
    journal.delete()
    again = Journal(Objects(str(tmp_path)), "s", "config")
    assert [each.page_number for each in again.kept_passed()] == [1]
    again.keep_passed([])
    assert again.kept_passed() == []
    assert not list(tmp_path.glob("_run/passed/*"))


def test_what_pages_have_gone_on_from_counts_until_a_row_tells_it(tmp_path: Path) -> None:
    """A row has what its own attempt has used; earlier attempts that were cut off are added, each once."""
    first, second = (NOON + timedelta(minutes=minute) for minute in (0, 5))
    passed = [
        page(document(1), 1, failure=TIMED_OUT, started_at=first, finished_at=first, cost_usd=1.0),
        page(document(1), 1, failure=TIMED_OUT, started_at=first, finished_at=second, cost_usd=3.0),  # of two readers
        page(document(1), 1, failure=TIMED_OUT, started_at=second, finished_at=second, cost_usd=10.0),
        page(document(1), 2, failure=TIMED_OUT, started_at=first, finished_at=first, cost_usd=1.0),
    ]
    finished = [page(document(1), 2, started_at=first, finished_at=second, cost_usd=5.0)]
    journal = Journal(Objects(str(tmp_path)), "s", "config")
    journal.write(finished, passed[:2])
    journal.write([], passed[2:])
    again = Journal(Objects(str(tmp_path)), "s", "config")
    assert again.read() == finished
    untold = uncounted_passes(again.passed, again.read())
    assert {key[1]: row.cost_usd for key, row in untold.items()} == {1: 13.0}
    later = page(document(1), 1, started_at=second, finished_at=second, cost_usd=12.0)  # has the 10.0
    assert [row.cost_usd for row in uncounted_passes(passed, [*finished, later]).values()] == [3.0]
