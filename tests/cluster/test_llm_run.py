"""Whole runs with an LLM engine against the fake provider: what is sent, what becomes of every page, what leaks."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
import ray

from one_ocr_ray.blocks import BlockWord, Box, PageBox
from one_ocr_ray.cluster.limiter import account_fingerprint, get_limiter, limiter_name
from one_ocr_ray.errors import StoppedError
from one_ocr_ray.model import ErrorCode
from one_ocr_ray.policy.ratelimit.messages import GateState
from tests.cluster.limiters import end_limiters
from tests.cluster.outputs import pages_by_source, read, rows
from tests.ports import free_port
from tests.provider import (
    Identity,
    Latency,
    ProviderProcess,
    Rule,
    TokenCharge,
    Unit,
    strict_minute,
    write_identity_pdfs,
)
from tests.provider.ledger import arrivals, by_page, undercuts, worst_window
from tests.scans import scan, share_in_place
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from one_ocr_ray.policy.dataset.summary import RunSummary
    from one_ocr_ray.policy.ratelimit.messages import Held, Snapshot

ROOT = Path(__file__).resolve().parents[2]
LEASED_S = 5.0  # that long after a throttle requests may still arrive that had their permit; 0.3 s on a quiet machine


@pytest.fixture(scope="module")
def process() -> Iterator[ProviderProcess]:
    with ProviderProcess(keys=()) as process:
        yield process


class Site:
    """A provider that has forgotten everything, and runs against it under a limiter of their own."""

    def __init__(self, provider: ProviderProcess, folder: Path) -> None:
        self.provider = provider
        self.source, self.output = folder / "in", folder / "out"
        self.source.mkdir()
        self.model = uuid4().hex

    def play(self, **scenario: Any) -> None:
        """Start the provider anew."""
        self.provider.reset(**scenario)

    def run(self, **flags: Any) -> RunSummary:
        """Read the source."""
        engine = {"engine": "openai", "base_url": self.provider.openai_url, "model": self.model, "longest_side": 600}
        return read(self.output, self.source, **engine | flags)

    def limiter(self) -> Snapshot:
        """What the limiter of the runs knows."""
        name = limiter_name("openai", account_fingerprint(self.provider.openai_url, ""), self.model)
        snapshot: Snapshot = ray.get(get_limiter(name).snapshot.remote())
        return snapshot


@pytest.fixture
def site(process: ProviderProcess, tmp_path: Path, ray_cluster: None) -> Iterator[Site]:
    yield Site(process, tmp_path)
    end_limiters()


def test_no_page_is_swapped(site: Site) -> None:
    """Answers come back in any order and over several workers: every row holds the page that it says."""
    write_identity_pdfs(site.source, range(10), 8)
    site.play(latency=Latency(shape="uniform", seconds=0.05, to_s=1.0))
    assert site.run(rpm=60_000, workers=3, shard_pages=20, max_in_flight=48).exit_code == 0
    found = pages_by_source(site.output)
    assert len(found) == 80
    for (name, number), row in found.items():
        assert f"{Identity.parse(row['markdown'])}" == f"{name.removesuffix('.pdf')} page {number}"
        assert (row["attempts"], row["provider_request_id"] is not None) == (1, True)


def test_words_of_scans_get_their_places_from_the_embedded_engine(site: Site) -> None:
    """It is started for that alone, and the model is asked as often as without."""
    picture, truth = scan(Identity(3, 1), 600)
    (site.source / "scan.png").write_bytes(picture)
    site.play(text_chars=600)
    assert site.run(positions="words").exit_code == 0
    (row,) = rows(site.output, "pages")
    box = PageBox(row["page_box"]["width"], row["page_box"]["height"])
    lines = [line for block in row["blocks"] for line in block["lines"]]
    words = [BlockWord(word["text"], Box(**word["box"])) for line in lines for word in line["words"]]
    assert share_in_place(words, truth, box) >= 0.95
    assert (row["engine"], row["attempts"], row["route_reason"]) == ("openai", 1, None)
    assert [each.page for each in site.provider.rows() if each.page] == ["doc-0003 page 1"]


def test_slow_pages_hold_up_no_others(site: Site) -> None:
    """A page may take minutes: while one of the first shards waits for it, its worker reads the shards behind."""
    write_identity_pdfs(site.source, range(12), 4)
    site.play(latency=Latency(seconds=0.05), held="doc-000[0-2] page 1")
    with ThreadPoolExecutor(1) as aside:
        reading = aside.submit(site.run, rpm=60_000, shard_pages=4)
        try:
            until(lambda: site.provider.summary()["pages_answered"] == 45, "the pages behind the slow ones")
            assert not reading.done()
        finally:
            site.provider.change(held=None)
        assert reading.result().exit_code == 0
    assert site.provider.summary()["pages_answered"] == 48


@pytest.mark.parametrize("unit", Unit)
def test_a_known_quota_is_kept(site: Site, unit: Unit) -> None:
    """Requests or tokens a minute as they are enforced: all pages come out, and hardly a request is refused."""
    tokens_a_page, per_minute = 2500, 1200
    limit = per_minute * (tokens_a_page if unit is Unit.TOKENS else 1)
    write_identity_pdfs(site.source, range(8), 10)
    site.play(quotas=strict_minute(limit, unit), latency=Latency(seconds=0.3))
    summary = site.run(longest_side=1600, **{"tpm" if unit is Unit.TOKENS else "rpm": limit})
    ledger = site.provider.rows()
    assert summary.as_json()["pages"]["ok"] == 80
    refused = sum(row.status == 429 for row in ledger)
    assert summary.requests["throttled"] == refused <= 16  # none but on a machine that stumbles
    times = arrivals(ledger, admitted=True)
    assert worst_window(times, 1.0) <= 1.1 * per_minute / 60
    assert times[-1] - times[0] >= 0.9 * 79 / (per_minute / 60)


def test_gemini_settles_input_tokens(site: Site) -> None:
    """Its limit counts input alone, so long answers must not slow the run."""
    tokens_per_minute = 1_200_000
    write_identity_pdfs(site.source, range(4), 10)
    quotas = strict_minute(tokens_per_minute, Unit.TOKENS)
    site.play(quotas=quotas, token_charge=TokenCharge.INPUT, tokens={"input": 1000, "output": 79_000})
    flags = {"engine": "gemini", "base_url": site.provider.gemini_url, "tpm": tokens_per_minute, "longest_side": 1600}
    assert site.run(**flags).as_json()["pages"]["ok"] == 40
    times = arrivals(site.provider.rows(), admitted=True)
    assert times[-1] - times[0] < 120.0  # two seconds; with the output it would be 160


def test_an_untold_limit_is_learned_from_the_headers(site: Site) -> None:
    """The run begins at one request a second and goes on at what the first answer says."""
    write_identity_pdfs(site.source, range(4), 10)
    site.play(quotas=strict_minute(1200), rate_headers=True)
    assert site.run().as_json()["pages"]["ok"] == 40
    learned = site.limiter()
    assert learned.configured_rpm == 1200
    assert learned.granted_rpm is not None
    assert learned.granted_rpm > 600


def test_a_hint_is_never_undercut(site: Site) -> None:
    """After a 429 no worker sends before the time that it says, however many there are."""
    write_identity_pdfs(site.source, range(4), 10)
    hint_s = 8.0
    site.play(
        latency=Latency(seconds=0.2), rules=(Rule(fault="throttled_requests", after=20, until=21, seconds=hint_s),)
    )
    summary = site.run(rpm=1200, workers=3)
    ledger = site.provider.rows()
    assert summary.as_json()["requests"]["throttled"] == sum(row.status == 429 for row in ledger) == 1
    assert [row.hint_s for row in ledger if row.status == 429] == [hint_s]
    assert not undercuts(ledger, LEASED_S)
    assert summary.as_json()["pages"]["ok"] == 40
    assert {row["attempts"] for row in rows(site.output, "pages")} == {1}  # a throttle costs the page nothing


def test_a_provider_that_fails_half_the_time_loses_no_page(site: Site) -> None:
    """30 % 500s, 10 % resets and 5 % hangs: every page ends ok or coded, and what was sent is what the rows say."""
    write_identity_pdfs(site.source, range(5), 10)
    rules = (
        Rule(fault="server_error", probability=0.3),
        Rule(fault="reset_before_headers", probability=0.1),
        Rule(fault="stall", probability=0.05, seconds=60.0),
    )
    site.play(seed=8, rules=rules, latency=Latency(seconds=0.1))
    summary = site.run(rpm=60_000, timeout=4.0)
    pages = pages_by_source(site.output)
    assert len(pages) == 50
    assert all(row["status"] == "ok" or row["error"]["code"] in CODES for row in pages.values())
    assert summary.exit_code == (0 if all(row["status"] == "ok" for row in pages.values()) else 3)
    calls = by_page(site.provider.rows())
    assert sum(call.requests for call in calls.values()) <= 2 * len(pages)
    for (name, number), row in pages.items():  # one layer of retries: nothing is sent that is not counted
        assert calls[f"{name.removesuffix('.pdf')} page {number}"].requests == row["attempts"]


CODES = {ErrorCode.PROVIDER_UNAVAILABLE, ErrorCode.PROVIDER_TIMEOUT}


def test_a_quota_that_is_used_up_stops_the_run_and_the_next_one_goes_on(site: Site) -> None:
    """Exit 4 with what to do, hardly a request too many; later the same command sends only what is missing."""
    write_identity_pdfs(site.source, range(8), 10)
    good, in_flight = 20, 6
    latency = Latency(shape="uniform", seconds=0.2, to_s=4.0)  # of the replies, some wait long after the first refusal
    site.play(rules=(Rule(fault="insufficient_quota", after=good),), latency=latency)
    flags = {"rpm": 6000, "max_in_flight": in_flight, "shard_pages": 10}
    told: list[RunSummary] = []
    with pytest.raises(StoppedError, match=r"quota|billing|credit") as stopped:
        site.run(**flags, on_stop=told.append)
    assert stopped.value.exit_code == 4
    (so_far,) = (each.as_json() for each in told)
    assert so_far["exit_code"] == 4
    assert so_far["pages"]["ok"] == len(pages_by_source(site.output))
    assert so_far["cost_usd_total"] == pytest.approx(so_far["cost_usd"])
    assert good < site.provider.summary()["requests"] <= good + in_flight
    last_serial, sent = site.provider.rows()[-1].serial, site.provider.summary()["requests"]
    committed = set(pages_by_source(site.output))
    site.provider.change(rules=[], latency=Latency(seconds=0.05))
    summary = site.run(**flags)
    assert (summary.exit_code, summary.as_json()["pages"]["ok"]) == (0, 80)
    sent_again = {row.page for row in site.provider.rows() if row.serial > last_serial}
    assert not sent_again & {f"{name.removesuffix('.pdf')} page {number}" for name, number in committed}
    assert site.provider.summary()["pages_answered"] == 80
    assert site.provider.summary()["pages_answered_again"] == 0  # what was under way was awaited, for it is paid
    assert so_far["requests"]["sent"] == sent  # and told


def test_refusals_among_good_answers_stop_nobody(site: Site) -> None:
    """A 401 is asked again, a 403 about its content costs one page: the run goes on, and reads all the others."""
    write_identity_pdfs(site.source, range(2), 15)
    refused = {"unauthorized": (0, 6), "openrouter_moderation": (0, 13), "firewall_403": (1, 9)}
    rules = [
        Rule(fault=fault, page=f"doc-000{document} page {number}", times_per_page=1)
        for fault, (document, number) in refused.items()
    ]
    site.play(rules=rules, latency=Latency(seconds=0.2))
    assert site.run(rpm=6000, max_in_flight=4).exit_code == 3
    pages = pages_by_source(site.output)
    codes = {key: row["error"]["code"] for key, row in pages.items() if row["status"] != "ok"}
    assert len(pages) == 30
    assert codes == dict.fromkeys([("doc-0000.pdf", 13), ("doc-0001.pdf", 9)], ErrorCode.CONTENT_FILTERED)
    assert len([row for row in site.provider.rows() if row.page == "doc-0000 page 6"]) == 2
    assert site.limiter().stopped is None


def test_a_server_that_knows_the_cap_by_another_name_is_read(site: Site) -> None:
    """Every worker finds out for itself; a name that is set is sent as it is."""
    write_identity_pdfs(site.source, range(2), 10)
    site.play(rules=(Rule(fault="mistral_cap_field"),))
    assert site.run(rpm=6000, workers=2, max_in_flight=4).as_json()["pages"]["ok"] == 20
    refused = [row for row in site.provider.rows() if row.status == 422]
    assert 1 <= len(refused) <= 4
    shutil.rmtree(site.output)
    site.play(rules=(Rule(fault="mistral_cap_field"),))
    assert site.run(rpm=6000, output_cap_field="max_tokens").as_json()["pages"]["ok"] == 20
    assert not [row for row in site.provider.rows() if row.status == 422]


def test_a_model_that_does_not_think_is_told_with_what_to_do(site: Site) -> None:
    """The run stops after a few pages; the hint and the server's words reach the user."""
    write_identity_pdfs(site.source, range(1), 12)
    site.play(rules=(Rule(fault="ollama_no_thinking"),), latency=Latency(seconds=1.0))
    said: list[str] = []
    with pytest.raises(StoppedError, match="provider_rejected"):
        site.run(rpm=6000, max_in_flight=1, say=said.append)
    (told,) = (sentence for sentence in said if "The provider says" in sentence)
    assert "--reasoning off" in told
    assert told.endswith('The provider says: "llava:7b" does not support thinking')
    assert site.provider.summary()["requests"] < 8
    assert site.run(rpm=6000, reasoning="off", retry_failed=True).as_json()["pages"]["ok"] == 12


def test_a_retry_goes_through_pages_that_fail_for_good(site: Site) -> None:
    """More of them than a first run may have: they are asked again, as was wanted, and do not stop the run."""
    write_identity_pdfs(site.source, range(5), 12)
    site.play(rules=(Rule(fault="content_filter", page="doc-000[1-4]*"),))
    while True:
        with suppress(StoppedError):
            site.run(rpm=60_000)
            break
    sent = site.provider.summary()["requests"]
    site.provider.change(latency={"seconds": 0.4})  # so that the brake looks before the end
    again = site.run(rpm=60_000, max_in_flight=4, retry_failed=True)
    assert again.exit_code == 3
    assert again.as_json()["pages"] == {"total": 60, "ok": 12, "blank": 0, "failed": 48}
    assert site.provider.summary()["requests"] == sent + 48


def test_a_list_of_models_does_not_decide(site: Site) -> None:
    """A gateway answers for names that it does not list; the first page of a made-up one stops the run."""
    write_identity_pdfs(site.source, range(1), 3)
    site.play(models=["listed"], unlisted=["routed"])
    said: list[str] = []
    assert site.run(model="routed", rpm=6000, say=said.append).exit_code == 0
    assert [sentence for sentence in said if "does not list this model" in sentence]
    shutil.rmtree(site.output)
    with pytest.raises(StoppedError) as stopped:
        site.run(model="made-up", rpm=60)
    assert (stopped.value.code, stopped.value.exit_code) == (ErrorCode.MODEL_NOT_FOUND, 4)
    assert site.run(model="listed", rpm=6000).as_json()["pages"]["ok"] == 3  # on the same output


def test_a_gateway_that_refuses_for_good_stops_the_run(site: Site) -> None:
    """Exit 4 after a handful of requests; its own sentence reaches the user once, and no row or file.

    What other gateways say is understood in `tests/http/test_gateways`.
    """
    reason = "Budget has been exceeded! Current cost: 10.02, Max budget: 10.0"
    write_identity_pdfs(site.source, range(2), 4)
    site.play(rules=(Rule(fault="litellm_budget_429", after=2),))
    said: list[str] = []
    with pytest.raises(StoppedError) as stopped:
        site.run(rpm=6000, max_in_flight=2, say=said.append)
    assert (stopped.value.code, stopped.value.exit_code) == (ErrorCode.BILLING, 4)
    assert site.provider.summary()["requests"] <= 2 + 2 + 2
    (told,) = (sentence for sentence in said if "The provider says" in sentence)
    assert reason in told
    assert reason not in str(stopped.value)
    assert not [path for path in site.output.rglob("*") if path.is_file() and reason.encode() in path.read_bytes()]


def test_a_provider_that_refuses_everything_is_told_while_the_run_waits(site: Site) -> None:
    """Why nothing moves, and until when; then the run goes on by itself, and the words are gone."""
    write_identity_pdfs(site.source, range(1), 4)
    site.play(rules=(Rule(fault="throttled_requests", until=2, seconds=3.0),))
    said: list[str] = []
    held: list[Held | None] = []
    summary = site.run(rpm=6000, say=said.append, on_progress=lambda now: held.append(now.held), max_in_flight=1)
    assert summary.exit_code == 0
    states = {each.state for each in held if each is not None}
    assert states == {GateState.PAUSED}
    assert max(each.ends_in_s for each in held if each is not None) <= 4.0
    assert held[-1] is None
    (told,) = (sentence for sentence in said if "The provider says" in sentence)
    assert "Rate limit reached for" in told


def test_a_day_is_kept_over_runs_whose_limiter_is_new(site: Site) -> None:
    """A run of its own Ray has a new limiter each time: what the output's rows tell of the last day counts too."""
    write_identity_pdfs(site.source, range(1), 9)
    site.play(latency=Latency(seconds=0.05))
    for _ in range(2):
        with pytest.raises(StoppedError) as stopped:
            site.run(rpd=6, rpm=60_000)
        assert stopped.value.code is ErrorCode.QUOTA_DAY
        assert site.provider.summary()["requests"] == 6
        name = limiter_name("openai", account_fingerprint(site.provider.openai_url, ""), site.model)
        ray.kill(get_limiter(name), no_restart=True)
    assert site.run(rpd=9, rpm=60_000).exit_code == 0


def test_permits_that_were_not_used_are_no_requests_of_the_day(site: Site) -> None:
    """Each throttle makes the permits of its moment void; the day is for what was sent."""
    write_identity_pdfs(site.source, range(2), 10)
    site.play(rules=(Rule(fault="throttled_requests", probability=0.3, seconds=1.0),), latency=Latency(seconds=0.2))
    assert site.run(rpd=40, rpm=6000).as_json()["pages"]["ok"] == 20
    assert 20 < site.provider.summary()["requests"] <= 40


KEY, HEADER = "sk-canary-8c1f2e77a9", "header-canary-55d0b3c1e4"

CHILD = """
import dataclasses, sys, ray
from ray.util import state
from one_ocr_ray.cli import main
folder, url, port, temporary = sys.argv[1:]
ray.init(address="local", num_cpus=1, namespace="one-ocr", dashboard_port=int(port), _temp_dir=temporary,
         object_store_memory=100 << 20, log_to_driver=True)
flags = ["--engine", "openai", "--base-url", url, "--rpm", "6000", "--json"]
codes = [main(["run", folder + "/in", "--output", folder + "/" + name, "--model", name, *flags])
         for name in ("good", "refused")]
for kind in ("actors", "tasks", "jobs", "nodes", "workers", "objects", "runtime_envs", "placement_groups"):
    answer = getattr(state, "list_" + kind)(detail=True, limit=10_000, address="http://127.0.0.1:" + port)
    print(kind, len(answer), [repr(each) for each in answer])
print("exit codes", codes)
"""


def test_no_key_shows_anywhere(process: ProviderProcess, tmp_path: Path) -> None:
    """Not in output, logs, Ray's session folder, its state API or errors, though the provider repeats the key."""
    (tmp_path / "in").mkdir()
    write_identity_pdfs(tmp_path / "in", range(1), 6)
    rules = (Rule(fault="key_echoed", after=7), Rule(fault="bad_image", page="doc-0000 page 2"))
    process.reset(keys=[KEY], rules=rules)
    temporary = Path(tempfile.mkdtemp(prefix="ray"))  # not under `tmp_path`: names of sockets must be short
    environment = os.environ | {"OPENAI_API_KEY": KEY, "ONE_OCR_HEADERS": f'{{"X-Gateway": "{HEADER}"}}'}
    try:
        arguments = [str(tmp_path), process.openai_url, str(free_port()), str(temporary)]
        command = [sys.executable, "-c", CHILD, *arguments]
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, timeout=160, check=False)
        told = done.stdout + done.stderr
        assert b"exit codes [3, 4]" in told, told.decode()
        assert b"The provider says: Incorrect API key provided: [...]" in told
        assert re.search(rb"actors [1-9]", told)
        assert re.search(rb"tasks [1-9]", told)
        files = [path for folder in (temporary, tmp_path) for path in folder.rglob("*") if path.is_file()]
        assert len(files) > 20
        assert not [path for path in files if b"Incorrect API key" in path.read_bytes()]
        for canary in (KEY.encode(), HEADER.encode()):
            assert canary not in told
            assert not [path for path in files if canary in path.read_bytes()]
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
