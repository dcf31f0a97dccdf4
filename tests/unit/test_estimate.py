"""What a run would take: the arithmetic, and the command on real files."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from one_ocr_ray.cli import main
from one_ocr_ray.model import ErrorCode, Failure, PageRequest
from one_ocr_ray.policy.cost.estimate import LOCAL_PAGE, Estimate, PageNeed, Survey, llm_page, seconds_by_bound
from one_ocr_ray.policy.cost.image_tokens import gemini_image_tokens, openai_image_tokens
from one_ocr_ray.policy.cost.metering import ProviderMetering
from one_ocr_ray.policy.cost.pricing import Price
from one_ocr_ray.policy.cost.route_shares import RouteShares
from one_ocr_ray.policy.dataset.selection import ALL_PAGES, parse_selection
from one_ocr_ray.policy.ratelimit.messages import Limits
from one_ocr_ray.reading.route.sample import PageSample
from tests import pdfs
from tests.snippets import ROOT
from tests.values import document

if TYPE_CHECKING:
    from pathlib import Path

NEED = PageNeed(cpu_s=0.02, cost_usd=0.001, input_tokens=2000, output_tokens=1000, counted_tokens=3000)


def test_a_survey_counts_selected_pages_once() -> None:
    """Copies and files that cannot be read add documents, not pages."""
    survey = Survey(parse_selection("2-3"))
    broken = document(3, page_count=None, failure=Failure(ErrorCode.PDF_CORRUPT, "Broken."))
    for each in (document(1, page_count=10), document(1, page_count=10, uri="/copy.pdf"), document(2), broken):
        survey.add(each)
    assert (survey.documents, survey.copies, survey.pages, survey.unreadable) == (4, 1, 4, [broken])


@pytest.mark.parametrize(
    ("limits", "bound", "seconds"),
    [
        (Limits(60, None, None, 1000), "rpm", 600),
        (Limits(60, 9_000, None, 1000), "tpm", 200 * 60),
        (Limits(600, None, 250, 1000), "rpd", 2 * 86_400),
        (Limits(None, None, None, 100), "max_in_flight", 90),
        (Limits(60_000, None, 600, 1000), "max_in_flight", 15),
        (None, "cpu", 6),
    ],
)
def test_the_tightest_bound_says_how_long(limits: Limits | None, bound: str, seconds: float) -> None:
    """600 pages on two CPUs: whichever limit takes longest decides."""
    by_bound = seconds_by_bound(600, NEED, limits, cpus=2)
    assert max(by_bound, key=by_bound.__getitem__) == bound
    assert by_bound[bound] == pytest.approx(seconds)


def test_no_pages_take_no_time() -> None:
    """An input of broken files is not a day of waiting."""
    assert set(seconds_by_bound(0, NEED, Limits(60, 60, 60, 1), cpus=1).values()) == {0}


def test_a_page_needs_what_its_image_and_prompt_cost() -> None:
    """An A4 page by the provider's formula, the prompt on top, priced by the user's table."""
    metering = ProviderMetering(
        openai_image_tokens, "own", image_detail="high", prices={"own": Price(1.0, 10.0)}, output_cap=8192
    )  # fmt: skip
    need = llm_page(metering, PageRequest(prompt="x" * 400), longest_side_px=1600)
    assert need.input_tokens == openai_image_tokens("own", 1131, 1600) + 100 + 50
    assert need.output_tokens == 1000
    assert need.counted_tokens == need.input_tokens + need.output_tokens
    assert need.cost_usd == pytest.approx((need.input_tokens + 10 * need.output_tokens) / 1e6)


def test_the_output_of_a_page_keeps_under_its_cap() -> None:
    """A cap of 64 tokens is not a thousand."""
    metering = ProviderMetering(
        gemini_image_tokens, "gemini-3.8-flash", limit_counts_output=False, image_detail="high", output_cap=64
    )
    need = llm_page(metering, PageRequest(output_tokens_cap=64), longest_side_px=1600)
    assert need.output_tokens == 64
    assert need.counted_tokens == need.input_tokens  # Gemini's limit counts input alone


def test_an_unknown_price_is_null_and_a_local_engine_costs_nothing() -> None:
    """Null and zero are told apart, in money and in tokens."""
    survey = Survey(ALL_PAGES)
    survey.add(document(1))

    def told(need: PageNeed, limits: Limits | None) -> dict[str, Any]:
        return Estimate(
            engine="e", model="m", survey=survey, page=need, cpus=2, limits=limits,
            seconds_by=seconds_by_bound(3, need, limits, 2), shares=RouteShares(("e",)),
        ).as_json()  # fmt: skip

    unknown = told(PageNeed(0.02, None, 10, 20, 30), Limits(None, None, None, 256))
    assert (unknown["cost_usd"], unknown["tokens"], unknown["limits_unknown"]) == (
        None,
        {"input": 30, "output": 60},
        True,
    )
    local = told(LOCAL_PAGE, None)
    assert (local["cost_usd"], local["tokens"]) == (0.0, {"input": None, "output": None})
    assert (local["bound_by"], local["seconds"], local["limits_unknown"]) == ("cpu", 2.4, False)


def test_a_share_has_the_interval_that_its_sample_allows() -> None:
    """Wilson's interval of 8 of 10; without a sample everything is the last reader's, and nothing is sure."""
    shares = RouteShares(("text-layer", "openai"), {"text-layer": 8, "openai": 2})
    assert shares.interval("text-layer") == pytest.approx((0.490, 0.943), abs=0.001)
    assert shares.as_json(1000)["openai"] == {"pages": 200, "pages_low": 57, "pages_high": 510}
    assert shares.as_json(10)["openai"] == {"pages": 2, "pages_low": 2, "pages_high": 2}, "every page was judged"
    assert RouteShares(("text-layer", "local")).as_json(10)["local"] == {"pages": 10, "pages_low": 0, "pages_high": 10}


def test_a_route_is_paid_for_its_last_reader_alone() -> None:
    """A fifth of the pages are sent; all pages take the CPU of the readers before."""
    shares = RouteShares(("text-layer", "openai"), {"text-layer": 8, "openai": 2})
    seconds = seconds_by_bound(1000, NEED, Limits(60, None, None, 1000), 1, shares)
    assert seconds["rpm"] == 200
    assert seconds["cpu"] == pytest.approx(1000 * (0.15 + 0.2 * NEED.cpu_s))


def test_cost_and_time_have_the_interval_of_the_pages() -> None:
    """A sample of 10 of 1,000 pages; what the first model passes on nobody knows, so at most all of it costs more."""
    shares = RouteShares(("text-layer", "small"), {"text-layer": 8, "small": 2}, model="small")
    survey = Survey(ALL_PAGES, pages=1000)
    found = Estimate(
        engine="small", model="s", survey=survey, page=replace(NEED, cost_usd=0.01), seconds_by={"cpu": 1.0}, cpus=1,
        limits=None, shares=shares, later_usd=0.1,
    )  # fmt: skip
    told = found.as_json()
    assert told["cost_usd"] == pytest.approx(2.0)
    assert told["cost_usd_low"] == pytest.approx(57 * 0.01)
    assert told["cost_usd_high"] == pytest.approx(510 * 0.11)
    all_judged = replace(found, survey=replace(survey, pages=10), later_usd=0.0)
    assert all_judged.cost_range_usd == pytest.approx((0.02, 0.02))
    assert shares.with_share(0.5).share("text-layer") == pytest.approx(0.5)
    assert RouteShares(("text-layer", "openai")).with_share(0.25).share("text-layer") == pytest.approx(0.75)


@pytest.mark.parametrize("route", ["openai,local", "openai"])
def test_a_model_that_comes_first_is_paid(route: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever stands behind it."""
    flags = ["--engine", "openai", "--base-url", "http://127.0.0.1:1/v1", "--route", route, "--pages", "1", "--json"]
    assert main(["estimate", str(folder), *flags]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["cost_usd"] == pytest.approx(2 * told["assumed"]["page"]["cost_usd"])


def test_nobody_knows_how_fast_own_servers_are(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """So an estimate has no time for them."""
    flags = ["estimate", str(folder), "--engine", "vllm", "--model", "m/m", "--gpu-hour-usd", "2"]
    assert main([*flags, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["seconds"], told["bound_by"], told["cost_usd"]) == (None, None, None)
    assert main(flags) == 0
    assert "Time       unknown: nobody knows the speed of own servers" in capsys.readouterr().out


def test_an_audit_is_work_of_the_second_readers() -> None:
    """The next reader of the route reads the share once more; the embedded engine that of the last one."""
    route = ("text-layer", "local", "openai")
    shares = RouteShares(route, {"text-layer": 6, "local": 3, "openai": 1}).with_audit(0.1, route)
    assert shares.audited == pytest.approx({"local": 0.06, "openai": 0.03})
    assert shares.read_by("openai") == pytest.approx(0.13)
    seconds = seconds_by_bound(1000, NEED, Limits(60, None, None, None), 1, shares)
    assert seconds["rpm"] == 130
    without = seconds_by_bound(1000, NEED, None, 1, replace(shares, audited={}))
    assert seconds["cpu"] - without["cpu"] == pytest.approx(1000 * (0.06 * 1.6 + 0.03 * NEED.cpu_s))
    assert RouteShares(("openai",)).with_audit(0.1, ("openai",)).audited == {"local": 0.1}
    assert RouteShares(("local",)).with_audit(None, ("local",)).audited == {}


def test_the_command_counts_what_an_audit_costs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each page of the small model is read by the large one, too, at its price."""
    (tmp_path / "a.pdf").write_bytes(pdfs.text_pdf(10, "a"))
    engine = {"engine": "openai", "base_url": "http://127.0.0.1:1/v1"}
    config = tmp_path / "one-ocr.yaml"
    small, large = {"input_usd": 1, "output_usd": 1}, {"input_usd": 10, "output_usd": 10}
    named = {"small": {**engine, "model": "s", "prices": small}, "large": {**engine, "model": "l", "prices": large}}
    config.write_text(json.dumps({"route": "small,large", "engines": named}))
    costs = []
    for audit in ((), ("--audit", "50%")):
        assert main(["estimate", str(tmp_path / "a.pdf"), "--config", str(config), "--json", *audit]) == 0
        told = json.loads(capsys.readouterr().out)
        costs.append(told["cost_usd"])
    assert told["audit"] == {"large": 5}
    assert costs[1] == pytest.approx(costs[0] * (1 + 0.5 * 10))


def test_every_page_has_the_same_chance_to_be_sampled() -> None:
    """Of 1,000 pages in documents of all lengths, 30 that are spread over them; the same ones each time."""

    def sampled() -> list[tuple[str, int]]:
        sample = PageSample()
        for number, length in enumerate((1, 9, 90, 900)):
            sample.add(document(number, page_count=length), range(1, length + 1))
        return [(of.name, page) for of, page in sample.pages]

    assert sampled() == sampled()
    assert len(set(sampled())) == 30
    assert 20 <= sum(name == "00003.pdf" for name, _ in sampled()) <= 30
    assert max(page for _, page in sampled()) > 450


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two documents with the same bytes, one of three pages, and three that cannot be read."""
    files = {
        "a.pdf": pdfs.text_pdf(2, "a"),
        "a-again.pdf": pdfs.text_pdf(2, "a"),
        "b.pdf": pdfs.content_pdf(b"", b"", b""),
        "locked.pdf": pdfs.encrypted_pdf("open sesame"),
        "cut.pdf": pdfs.truncated_pdf(),
    }
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    return tmp_path


def test_the_command_looks_at_the_input_and_sends_nothing(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """No key, no output, no server: documents, pages, what cannot be read, tokens, cost and time; exit 0."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    flags = ["--engine", "openai", "--base-url", "http://127.0.0.1:1/v1", "--rpm", "60", "--json"]
    assert main(["estimate", str(folder), str(folder / "gone.pdf"), *flags]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["documents"] == {"total": 6, "readable": 3, "copies": 1, "unreadable": 3}
    assert told["pages"] == 5
    assert {each["source_uri"].rpartition("/")[2]: each["code"] for each in told["unreadable"]} == {
        "cut.pdf": "pdf_corrupt",
        "gone.pdf": "pdf_not_found",
        "locked.pdf": "pdf_encrypted",
    }
    assert told["cost_usd"] > 0
    assert told["seconds_by"]["rpm"] == 5.0
    assert not (folder / "out").exists()


def test_the_command_for_people_names_what_it_assumes(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The default engine: no cost, CPU time, and one line for each file that cannot be read."""
    assert main(["estimate", str(folder), "--pages", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "Pages      2" in lines
    assert "Cost       0.0000 USD" in lines
    assert any(line.startswith("Assumed: 1.6 CPU seconds a page") for line in lines)
    assert lines[-1] == f"pdf_encrypted: {folder / 'locked.pdf'}"


def test_a_sample_says_who_would_read_the_pages(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Pages whose text layer is right are not the model's; those without text are, and blank ones are nobody's."""
    (folder / "paper.pdf").write_bytes((ROOT / "samples/sample-paper-two-column-en.pdf").read_bytes())
    flags = ["--engine", "openai", "--base-url", "http://127.0.0.1:1/v1", "--route", "text-layer,openai", "--json"]
    assert main(["estimate", str(folder), "--pages", "1", *flags]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["sample_pages"] == 2
    assert (told["readers"]["text-layer"]["pages"], told["readers"]["openai"]["pages"]) == (2, 2)
    assert told["cost_usd"] == pytest.approx(2 * told["assumed"]["page"]["cost_usd"])


@pytest.mark.parametrize("arguments", [[], ["nope.pdf"], ["{folder}", "--engine", "x"], ["{folder}", "--model", "x"]])
def test_an_estimate_refuses_what_a_run_refuses(
    arguments: list[str], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """No input, or settings that fit no run: one sentence and exit 2."""
    assert main(["estimate", *(each.format(folder=folder) for each in arguments)]) == 2
    assert capsys.readouterr().err.count("\n") == 1
