"""The decisions of provider batches: stages, tags, caps, looks, lines, prices."""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from one_ocr_ray.engines.llm.batch import gemini_batch, openai_batch
from one_ocr_ray.engines.options import EngineOptions
from one_ocr_ray.model import Action, ErrorCode, TokenUsage
from one_ocr_ray.policy.batch.estimate import estimate_batches
from one_ocr_ray.policy.batch.flow import HOLD_S, TokenMeter, are_good, poll_after_s
from one_ocr_ray.policy.batch.parcel import NOT_FOUND, TOKEN_LIMIT, Parcel, Receipt, Stage, Try, UploadedFile, tag_of
from one_ocr_ray.policy.batch.remote import RemoteBatch, RemoteState
from one_ocr_ray.policy.cost.pricing import cost_usd
from one_ocr_ray.reading.batch.known_parcels import KnownParcels
from one_ocr_ray.storage.batches import BatchState
from one_ocr_ray.storage.store.objects import Objects
from tests.manual_clock import ManualClock

if TYPE_CHECKING:
    from pathlib import Path

OPENAI = EngineOptions(name="openai", model="m", base_url="https://api.openai.com/v1")
AZURE = replace(OPENAI, base_url="https://here.openai.azure.com?api-version=2026-01-01")
AZURE_V1 = replace(OPENAI, base_url="https://here.openai.azure.com/openai/v1")
GEMINI = EngineOptions(name="gemini", model="m", base_url="https://generativelanguage.googleapis.com")
FILE = UploadedFile("file-1", 100, 3, 5000, 0.1, 0.0)


def ended(state: RemoteState, code: str = "") -> RemoteBatch:
    return RemoteBatch("b", state, code=code)


ANSWERED = Receipt("b", 0.0, "answered")
receipts = st.sampled_from(
    [None, ANSWERED, Receipt(None, 0.0, "refused", "auth"), Receipt(None, 0.0, "refused", NOT_FOUND)]
)
ends = st.sampled_from(
    [
        None,
        ended(RemoteState.COMPLETED),
        ended(RemoteState.EXPIRED),
        ended(RemoteState.FAILED, TOKEN_LIMIT),
        ended(RemoteState.FAILED, "empty_file"),
    ]
)
tries = st.lists(st.builds(Try, st.just("oo-t"), st.just(0.0), st.none(), receipts, ends), max_size=4).map(tuple)
marks = st.frozensets(st.sampled_from(["fetched", "collected", "cleaned", "abandoned"]))


@given(st.sampled_from([None, FILE]), tries, marks)
def test_nothing_is_created_while_an_intent_lacks_its_receipt(
    file: UploadedFile | None, tries: tuple[Try, ...], marks: frozenset[str]
) -> None:
    """From whatever a crash can leave: a batch is created only where the last one is certainly not there."""
    parcel = Parcel("s", 0, file, tries, marks)
    if parcel.stage is Stage.UPLOADED:
        assert file is not None
        if tries:
            last = tries[-1]
            assert last.receipt is not None
            assert last.receipt.batch_id is None or (last.ended is not None and last.ended.code == TOKEN_LIMIT)
    if parcel.stage is Stage.UNSURE:
        assert tries[-1].receipt is None


def test_a_parcel_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    """The objects of a life, in order, give its stages; a number that was used is never free again."""
    state = BatchState(Objects(str(tmp_path)))
    assert state.put_pages("s", 0, [])
    assert state.parcel("s", 0).stage is Stage.ABANDONED
    state.put_file("s", 0, FILE)
    assert state.parcel("s", 0).stage is Stage.UPLOADED
    assert state.put_intent(state.parcel("s", 0), "oo-t", 1.0)
    assert not state.put_intent(Parcel("s", 0, FILE), "oo-t", 1.0)
    assert state.parcel("s", 0).stage is Stage.UNSURE
    state.put_receipt(state.parcel("s", 0), Receipt("b", 2.0, "found"))
    assert state.parcel("s", 0).batch_id == "b"
    state.put_ended(state.parcel("s", 0), replace(ended(RemoteState.COMPLETED), outputs=("o",)))
    assert state.parcel("s", 0).tries[0].ended == RemoteBatch("b", RemoteState.COMPLETED, outputs=("o",))
    for stage in (Stage.FETCHED, Stage.COLLECTED, Stage.CLEANED):
        state.mark(state.parcel("s", 0), stage)
        assert state.parcel("s", 0).stage is stage
    state.shrink(state.parcel("s", 0))
    assert [(parcel.number, parcel.file) for parcel in state.parcels()] == [(0, None)]


def test_tags_are_names_that_every_provider_takes() -> None:
    """Lower-case letters, digits and a dash, of 29 characters, and another for everything else."""
    tags = {
        tag_of(output, parcel, what) for output in "ab" for parcel in ("s/0000", "s/0001") for what in ("file", "0")
    }
    assert len(tags) == 8
    assert all(re.fullmatch(r"oo-[a-z2-7]{26}", tag) for tag in tags)


def test_a_meter_learns_the_cap_and_holds() -> None:
    """Two at first, more as they are accepted; a refusal tells the number, and its hold ends with one of ours."""
    meter = TokenMeter(None)
    assert [meter.may_enqueue(900_000, 0, live, 0.0) for live in (0, 1, 2)] == [True, True, False]
    meter.accepted("a")
    meter.accepted("b")
    assert meter.may_enqueue(900_000, 1_800_000, 3, 0.0)
    meter.refused("Enqueued token limit reached for m. Limit: 2,000,000 enqueued tokens. Please", 100.0)
    assert meter.cap == 1_400_000
    assert not meter.may_enqueue(1, 0, 0, 100.0 + HOLD_S - 1)
    meter.ended()
    assert meter.may_enqueue(500_000, 900_000, 1, 101.0)
    assert not meter.may_enqueue(600_000, 900_000, 1, 101.0)
    assert TokenMeter(5).may_enqueue(9, 0, 0, 0.0), "one alone is always tried"


def test_first_pages_are_judged_when_there_are_enough() -> None:
    """Nine of ten that fail are a wrong setting; below five pages nobody can say."""
    found = [are_good(*each) for each in ((4, 4), (5, 5), (5, 4), (20, 18), (20, 17))]
    assert found == [None, False, True, False, True]


def test_looks_come_soon_and_then_seldom() -> None:
    """Small batches end in minutes and large ones in hours; Azure wants a minute between looks."""
    waits = [poll_after_s(looks, 0.0, 0.5) for looks in range(1, 30)]
    assert waits[0] == 3.0
    assert waits == sorted(waits)
    assert waits[-1] == 600.0
    assert poll_after_s(0, 60.0, 0.0) == 60.0


GOOD = {"choices": [{"message": {"content": "x"}}]}
DOWN, REJECTED, BILLING = ErrorCode.PROVIDER_UNAVAILABLE, ErrorCode.PROVIDER_REJECTED, ErrorCode.BILLING


@pytest.mark.parametrize(
    ("status", "body", "code", "action", "text"),
    [
        (200, GOOD, None, None, "x"),
        (429, {"error": {"message": "slow"}}, DOWN, Action.RETRY, ""),
        (400, {"error": {"code": "invalid_image"}}, REJECTED, Action.RETRY_CHANGED, ""),
        (429, {"error": {"code": "insufficient_quota"}}, BILLING, Action.STOP, ""),
    ],
)
def test_lines_of_openai(
    status: int, body: dict[str, Any], code: ErrorCode | None, action: Action | None, text: str
) -> None:
    """A line is what an ordinary reply is; a throttle is a fault there, for nothing slows a batch down."""
    response = {"status_code": status, "request_id": "r", "body": body}
    result = openai_batch.read_line(orjson.dumps({"custom_id": "0007", "error": None, "response": response}))
    assert result is not None
    assert result.answer is not None
    failure = result.answer.failure
    assert (result.key, result.answer.text) == ("0007", text)
    assert (failure and failure.code, failure and failure.action) == (code, action)


@pytest.mark.parametrize(
    "line",
    [
        {"response": None, "error": {"code": "batch_expired", "message": "m"}},
        {"response": None, "error": {"code": "batch_cancelled"}},
        {"response": {"status_code": 0, "request_id": "", "body": {}}, "error": None},
        {"response": None, "error": None},
    ],
)
def test_lines_that_were_not_run(line: dict[str, Any]) -> None:
    """They have no answer, and cost their page nothing."""
    result = openai_batch.read_line(orjson.dumps({"custom_id": "1"} | line))
    assert result is not None
    assert result.answer is None


@pytest.mark.parametrize("line", [b"", b"{", b"[]", b'{"custom_id": 7}', b"<html>"])
def test_what_is_no_line(line: bytes) -> None:
    """It is left out, whatever it is."""
    assert openai_batch.read_line(line) is None
    assert gemini_batch.read_line(line) is None


@pytest.mark.parametrize(
    ("grpc", "code", "action"),
    [
        (13, ErrorCode.PROVIDER_UNAVAILABLE, Action.RETRY),
        (8, ErrorCode.PROVIDER_UNAVAILABLE, Action.RETRY),
        (3, ErrorCode.PROVIDER_REJECTED, None),
        (16, ErrorCode.AUTH, Action.STOP),
    ],
)
def test_lines_of_gemini(grpc: int, code: ErrorCode, action: Action | None) -> None:
    """Their errors have gRPC codes, which mean what HTTP statuses mean."""
    result = gemini_batch.read_line(orjson.dumps({"key": "3", "error": {"code": grpc, "message": "m"}}))
    assert result is not None
    assert result.answer is not None
    failure = result.answer.failure
    assert failure is not None
    assert failure.code is code
    assert action is None or failure.action is action


def test_where_azure_has_its_batches() -> None:
    """Beside the deployments, not below them; the lines name the path that the form of the API has."""
    assert (
        openai_batch.batch_request(AZURE, "b").url
        == "https://here.openai.azure.com/openai/batches/b?api-version=2026-01-01"
    )
    assert openai_batch.batch_request(AZURE_V1, "b").url == "https://here.openai.azure.com/openai/v1/batches/b"
    assert b'"url":"/chat/completions"' in openai_batch.build_line(AZURE, "0", b"{}")
    assert b'"url":"/v1/chat/completions"' in openai_batch.build_line(AZURE_V1, "0", b"{}")
    assert openai_batch.limits(AZURE).least_poll_s == 60.0
    assert gemini_batch.create_request(GEMINI, "files/f", "t").url.endswith("/v1beta/models/m:batchGenerateContent")


def test_batches_as_older_servers_show_them() -> None:
    """Upper case, times as text, null counts and empty ids are understood; an unknown state goes on running."""
    shown = {
        "id": "b",
        "status": "Completed",
        "created_at": "2026-01-01T00:00:00Z",
        "output_file_id": "",
        "error_file_id": "e",
    }
    batch = openai_batch.read_batch(shown | {"request_counts": {"total": None}, "metadata": None})
    assert batch is not None
    assert (batch.state, batch.outputs, batch.lines, batch.created_s) == (
        RemoteState.COMPLETED,
        ("e",),
        None,
        1767225600.0,
    )
    odd = openai_batch.read_batch({"id": "b", "status": "pondering"})
    assert odd is not None
    assert odd.state is RemoteState.RUNNING
    job = gemini_batch.read_batch({"name": "batches/b", "metadata": {"state": "JOB_STATE_PAUSED"}})
    assert job is not None
    assert not job.state.is_over


def test_batches_cost_half_but_for_cached_input_of_gemini_2_5() -> None:
    """Its cached tokens cost in a batch what they cost online."""
    used = TokenUsage(1_000_000, 0, 1_000_000)
    assert cost_usd(used, "gemini-2.5-flash", "batch") == pytest.approx(0.03)
    assert cost_usd(used, "gpt-5.6-luna", "batch") == pytest.approx(0.01)
    assert cost_usd(TokenUsage(1_000_000, 0, 0), "gemini-2.5-flash", "batch") == pytest.approx(0.15)


def test_the_estimate_of_a_million_pages() -> None:
    """Thousands of files, hundreds of gigabytes, and as many rounds as the cap makes of the tokens."""
    found = estimate_batches(1_000_000, 2000, 2_000_000, openai_batch.limits(OPENAI))
    assert (found.parcels, found.waves, found.uploaded_bytes) == (4000, 1000, 400_000_000_000)
    assert estimate_batches(1_000_000, 2000, None, openai_batch.limits(OPENAI)).waves is None


@pytest.mark.parametrize(("options", "has_room"), [(GEMINI, False), (OPENAI, True)])
def test_nothing_is_rendered_for_a_store_that_is_full(options: EngineOptions, has_room: bool, tmp_path: Path) -> None:
    """Gemini keeps 20 GB of files for a project, and a full store refuses every upload."""
    state, codec = BatchState(Objects(str(tmp_path))), {"gemini": gemini_batch, "openai": openai_batch}[options.name]
    state.put_file("s", 0, replace(FILE, size_bytes=15_000_000_000))
    known = KnownParcels(state, codec.limits(options), ManualClock(), creates=True)
    asyncio.run(known.take_in())
    assert (known.has_room, known.takes("other"), known.takes("s")) == (has_room, has_room, True)
    state.mark(state.parcel("s", 0), Stage.COLLECTED)
    asyncio.run(known.take_in())
    assert known.has_room
