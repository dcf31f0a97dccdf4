"""Profiles of OCR models: what is sent to each, and how an answer in each form becomes Markdown and boxes."""

from __future__ import annotations

import asyncio
import io
import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from one_ocr_ray.blocks import BlockKind, Box, PageBox
from one_ocr_ray.engines.llm import openai
from one_ocr_ray.errors import UsageError
from one_ocr_ray.model import Action, Answer, ErrorCode, Failure, PageImage
from one_ocr_ray.policy.dataset.documents import RunIdentity
from one_ocr_ray.policy.page.quality import judge
from one_ocr_ray.policy.profiles.answers import grid_of, read_answer
from one_ocr_ray.policy.profiles.catalog import PROFILES, profile_named, profile_of_model
from one_ocr_ray.profile import AnswerFormat, ModelProfile
from one_ocr_ray.reading.limits.token_bucket import NoLimit
from one_ocr_ray.reading.page.loop import ReadContext, read_page
from one_ocr_ray.reading.route.reader import NoMetering, Reader
from one_ocr_ray.settings.run import load
from one_ocr_ray.setup.job import longest_side_px_of, page_request_of
from one_ocr_ray.setup.profile import profile_of
from tests.scripted_engine import ScriptedEngine
from tests.unit.wire_samples_reader import engine_options, page_image
from tests.values import document

if TYPE_CHECKING:
    from pathlib import Path

    from one_ocr_ray.model import PageResult

IMAGE = PageImage(1, 1000, 1400, b"", "", 1, 1, page_box=PageBox(500, 700))


def request_to(model: str, **flags: Any) -> dict[str, Any]:
    """The body of a request for one page to that model."""
    request = page_request_of(load({"engine": "openai", "model": model, **flags}))
    options = engine_options("openai", model=model, key=None, base_url="http://127.0.0.1:1/v1")
    body: dict[str, Any] = json.loads(openai.build_body(options, page_image(), request))
    return body


def parts(body: dict[str, Any]) -> list[str]:
    """The kinds of the parts of the user's message, in order."""
    return [part["type"] for part in body["messages"][-1]["content"]]


# Order of the parts, temperature, cap, longest side, how the prompt begins (None: none is sent): the model cards and
# the authors' own code, read in November 2026.
FACTS = [
    ("allenai/olmOCR-2-7B-1025-FP8", ["text", "image_url"], 0.1, 8000, 1288, "Attached is one page of a document"),
    ("rednote-hilab/dots.ocr", ["image_url", "text"], 0.1, 16384, 1600, "<|img|><|imgpad|><|endofimg|>Please output"),
    ("deepseek-ai/DeepSeek-OCR-2", ["image_url", "text"], 0.0, 6900, 1600, "<|grounding|>Convert the document to"),
    ("nanonets/Nanonets-OCR2-3B", ["image_url", "text"], 0.0, 15000, 1600, "Extract the text from the above document"),
    ("datalab-to/chandra-ocr-2", ["image_url", "text"], 0.0, 12384, 1600, "OCR this image to HTML"),
    ("datalab-to/chandra", ["image_url", "text"], 0.0, 12384, 1600, "OCR this image to HTML"),
    ("lightonai/LightOnOCR-2-1B", ["image_url"], 0.2, 4096, 1540, None),
    ("lightonai/LightOnOCR-3-1B", ["image_url", "text"], 0.1, 8192, 1540, "grounding"),
    ("lightonai/LightOnOCR-3-4B", ["image_url", "text"], 0.1, 8192, 2048, "grounding"),
    ("ibm-granite/granite-docling-258M", ["image_url", "text"], 0.0, 6900, 1600, "Convert this page to docling."),
    ("infly/Infinity-Parser2-Flash", ["image_url", "text"], 0.0, 32768, 1600, "\n- Extract layout information from"),
    ("tencent/HunyuanOCR", ["image_url", "text"], 0.0, 16384, 1600, "Extract all information from the main"),
    ("/models/GLM-OCR/", ["image_url", "text"], 0.0, 8192, 1600, "Text Recognition:"),
    ("PaddlePaddle/PaddleOCR-VL-1.5", ["image_url", "text"], 0.0, 4096, 1600, "OCR:"),
    ("Qwen/Qwen3-VL-8B-Instruct", ["text", "image_url"], None, 8192, 1600, ""),
]


def test_every_profile_has_recorded_facts() -> None:
    """A new profile comes with what its authors say, and a model of it."""
    found = {profile.name for model, *_ in FACTS if (profile := profile_of_model(model))}
    assert found == {profile.name for profile in PROFILES}


@pytest.mark.parametrize("facts", FACTS, ids=[model for model, *_ in FACTS])
def test_a_model_is_asked_as_its_authors_ask_it(
    facts: tuple[str, list[str], float | None, int, int, str | None],
) -> None:
    """By its name alone; a model of no known family gets the built-in prompt."""
    model, order, temperature, cap, longest_side_px, prompt = facts
    body = request_to(model)
    assert (parts(body), body.get("temperature"), body["max_completion_tokens"]) == (order, temperature, cap)
    assert longest_side_px_of(load({"engine": "openai", "model": model})) == longest_side_px
    texts = [part["text"] for part in body["messages"][-1]["content"] if part["type"] == "text"]
    assert [text.startswith(prompt or "") for text in texts] == [True] * (prompt is not None)
    known = profile_of_model(model) is not None
    assert ("reasoning_effort" in body) is not known  # it switches on thinking in some templates


def test_fields_of_a_request_that_only_some_models_want() -> None:
    """They stand in the body beside OpenAI's own."""
    assert request_to("deepseek-ai/DeepSeek-OCR")["vllm_xargs"]["ngram_size"] == 30
    assert request_to("deepseek-ai/DeepSeek-OCR")["skip_special_tokens"] is False
    assert request_to("rednote-hilab/dots.mocr")["messages"][0]["content"][1]["text"].startswith("<|img|><|imgpad|>")
    assert request_to("tencent/HunyuanOCR")["messages"][0] == {"role": "system", "content": ""}
    assert request_to("infly/Infinity-Parser2-Pro")["chat_template_kwargs"] == {"enable_thinking": False}


def test_what_the_user_sets_wins(tmp_path: Path) -> None:
    """Over the profile: the prompt, the cap, the reasoning and the image's size."""
    prompt = tmp_path / "prompt.txt"
    prompt.write_text("My prompt")
    flags = {"prompt_file": prompt, "output_tokens": 500, "reasoning": "none"}
    body = request_to("rednote-hilab/dots.ocr", **flags)
    assert body["messages"][0]["content"][1]["text"] == "My prompt"
    assert (body["max_completion_tokens"], body["reasoning_effort"]) == (500, "none")
    settings = load({"engine": "openai", "model": "allenai/olmOCR-2-7B-1025", "longest_side": 900})
    assert longest_side_px_of(settings) == 900
    assert "top_p" not in request_to("rednote-hilab/dots.ocr", profile="generic")


def test_a_profile_comes_from_a_file(tmp_path: Path) -> None:
    """With the fields that the built-in ones have; a field that is none, or a wrong value, is named."""
    path = tmp_path / "mine.yaml"
    path.write_text("prompt: Read this.\norder: image_first\nanswer: layout_json\nrequest_fields: {top_k: 3}\n")
    body = request_to("my/model", profile=str(path))
    assert (parts(body), body["top_k"]) == (["image_url", "text"], 3)
    for text, fault in (("colour: red", "colour"), ("order: backwards", "order")):
        path.write_text(text)
        with pytest.raises(UsageError, match=fault):
            profile_of(load({"engine": "openai", "profile": str(path)}))
    with pytest.raises(UsageError, match="there is no profile olmo; choose of auto, generic, olmocr-2"):
        profile_of(load({"engine": "openai", "profile": "olmo"}))


def read(profile: str, text: str, *, truncated: bool = False, image: PageImage = IMAGE) -> Answer:
    """What becomes of an answer with that text."""
    known = profile_named(profile)
    assert known is not None
    cut = Failure(ErrorCode.TRUNCATED, "Cut.", Action.RETRY_CHANGED) if truncated else None
    return read_answer(Answer(text=text, truncated=truncated, failure=cut), known, image)


def seen(answer: Answer) -> list[tuple[str, str, tuple[float, ...] | None]]:
    """The blocks of an answer: kind, text, box."""
    assert answer.blocks is not None
    return [
        (block.kind.value, block.text, block.box and (block.box.x0, block.box.y0, block.box.x1, block.box.y1))
        for block in answer.blocks
    ]


def test_front_matter_is_no_text() -> None:
    """Of olmOCR; its figures name files that do not exist."""
    front = "---\nprimary_language: en\nis_rotation_valid: True\nrotation_correction: 0\n---\n"
    assert read("olmocr-2", front + "# One\n![A map](page_1_2_3_4.png)").text == "# One\n![A map]()"
    assert read("olmocr-2", "---\nprimary_language: null\nis_rotation_valid: True\n---\nnull").text == ""
    other = read("olmocr-2", "# One")
    assert other.failure is not None
    assert (other.failure.code, other.failure.action) == (ErrorCode.PROVIDER_BAD_RESPONSE, Action.RETRY)


DOTS = json.dumps(
    [
        {"bbox": [0, 0, 1008, 70], "category": "Page-header", "text": "ACME Ltd"},
        {"bbox": [100, 140, 900, 210], "category": "Title", "text": "# Invoice"},
        {"bbox": [100, 280, 900, 350], "category": "Section-header", "text": "Goods"},
        {"bbox": [100, 360, 900, 420], "category": "Table", "text": "<table><tr><td>Pen</td><td>2</td></tr></table>"},
        {"bbox": [100, 430, 400, 700], "category": "Picture"},
        {"bbox": [100, 710, 400, 740], "category": "Formula", "text": "$$a^2$$"},
        {"bbox": [100, 750, 400, 790], "category": "List-item", "text": "- first"},
        {"bbox": [100, 800, 400, 840], "category": "List-item", "text": "second"},
        {"bbox": [100, 850, 400, 890], "category": "Footnote", "text": "1 A *note*"},
    ]
)


def test_a_layout_in_json() -> None:
    """Boxes are pixels of the image as the model resizes it; heads and feet are blocks and no text."""
    answer = read("dots", DOTS)
    assert answer.text == (
        "# Invoice\n\n## Goods\n\n<table><tr><td>Pen</td><td>2</td></tr></table>\n\n![]()\n\n$$\na^2\n$$\n\n"
        "- first\n- second\n\n1 A *note*"
    )
    blocks = seen(answer)
    assert [kind for kind, _, _ in blocks] == [
        "page_header", "heading", "heading", "table", "figure", "formula", "list_item", "list_item", "footnote",
    ]  # fmt: skip
    assert blocks[0] == ("page_header", "ACME Ltd", (0.0, 0.0, 500.0, 35.0))
    assert blocks[1][1:] == ("Invoice", pytest.approx((49.6, 70, 446.4, 105), abs=0.1))
    assert blocks[5][1] == "a^2"
    assert answer.blocks is not None
    assert (answer.blocks[1].level, answer.blocks[2].level) == (1, 2)
    assert answer.blocks[3].table is not None


def test_a_layout_in_json_that_was_cut_off_gives_what_is_whole() -> None:
    """Dense pages reach the cap in the middle of an object."""
    answer = read("dots", DOTS[: DOTS.index("Goods") + 3], truncated=True)
    assert answer.text == "# Invoice"
    assert answer.failure is not None
    assert answer.failure.code is ErrorCode.TRUNCATED
    assert read("infinity-parser2", '{"layout": ' + DOTS + "}").text == read("dots", DOTS).text
    assert read("dots", "[]").failure is None


def test_the_size_that_boxes_in_pixels_refer_to() -> None:
    """Sides are multiples of 28, and the area is between the model's least and most."""
    dots = profile_named("dots")
    assert dots is not None
    assert grid_of(dots, IMAGE) == (1008, 1400)
    large = PageImage(1, 4000, 5000, b"", "", 1, 1)
    width, height = grid_of(dots, large)
    assert width * height <= dots.most_area_px
    assert width % 28 == height % 28 == 0
    assert width / height == pytest.approx(0.8, abs=0.02)


def test_a_layout_in_html() -> None:
    """Of chandra: tables stay HTML, formulas become LaTeX, boxes to tick become marks."""
    text = (
        '<div data-bbox="0 0 1000 50" data-label="Page-Header"><p>Head</p></div>'
        '<div data-bbox="100 100 900 200" data-label="Section-Header"><h1>Title &amp; more</h1></div>'
        '<div data-bbox="100 250 900 400" data-label="Text"><p>An <i>inline</i> <math>x^2</math> and<br>'
        "a line.</p></div>"
        '<div data-bbox="100 450 900 500" data-label="List-Group"><ul><li>one</li><li>two</li></ul></div>'
        '<div data-bbox="100 550 900 600" data-label="Form"><input type="checkbox" checked> yes</div>'
        '<div data-bbox="100 650 900 700" data-label="Image"><img alt="A cat"/></div>'
        '<div data-bbox="100 750 900 800" data-label="Equation-Block"><math display="block">E=mc^2</math></div>'
        '<div data-bbox="100 850 900 900" data-label="Table"><table><tr><td colspan="2">wide</td></tr></table></div>'
    )
    answer = read("chandra-2", text)
    assert answer.text == (
        "# Title & more\n\nAn *inline* $x^2$ and  \na line.\n\n- one\n- two\n\n[x]  yes\n\n![A cat]()\n\n"
        '$$\nE=mc^2\n$$\n\n<table><tr><td colspan="2">wide</td></tr></table>'
    )
    assert seen(answer)[1] == ("heading", "Title & more", (50.0, 70.0, 450.0, 140.0))
    assert read("chandra-2", '<div data-bbox="0 0 1 1" data-label="Blank-Page"></div>').text == ""
    assert read("chandra-2", "# Markdown").failure is not None


def test_tags_before_each_text() -> None:
    """Of DeepSeek-OCR, and the markers of LightOnOCR-3, where `text+` goes on with the piece before."""
    deepseek = read(
        "deepseek-ocr",
        "<|ref|>title<|/ref|><|det|>[[99, 99, 899, 149]]<|/det|>\n# Invoice\n\n"
        "<|ref|>text<|/ref|><|det|>[[99, 200, 899, 249]]<|/det|>\nTotal **5**\n\n"
        "<|ref|>image<|/ref|><|det|>[[99, 300, 899, 549]]<|/det|>\n",
    )
    assert deepseek.text == "# Invoice\n\nTotal **5**\n\n![]()"
    assert [kind for kind, _, _ in seen(deepseek)] == ["heading", "paragraph", "figure"]
    lighton = read(
        "lightonocr-3",
        "![header](0,0,1000,40) Head\n![title](100,100,900,150) Invoice\n![text](100,200,900,250) It costs \\$5\n"
        "![text+](100,260,900,300) in all.",
    )
    assert lighton.text == "# Invoice\n\nIt costs $5 in all."
    assert seen(lighton)[2] == ("paragraph", "It costs $5 in all.", (50.0, 140.0, 450.0, 175.0))


def test_doctags() -> None:
    """Of Granite-Docling: a table's cells that belong to others become spans."""
    answer = read(
        "granite-docling",
        "<doctag><page_header><loc_0><loc_0><loc_500><loc_20>Head</page_header>"
        "<section_header_level_1><loc_50><loc_50><loc_450><loc_100>Sales</section_header_level_1>"
        "<text><loc_50><loc_110><loc_450><loc_150>By year</text>"
        "<otsl><loc_50><loc_160><loc_450><loc_300><ched>Year<ched>Sum<lcel><nl><fcel>2025<fcel>1<fcel>2<nl></otsl>"
        "<unordered_list><list_item><loc_50><loc_310><loc_450><loc_330>one</list_item></unordered_list>"
        "<picture><loc_50><loc_340><loc_450><loc_400><bar_chart></picture>",
    )
    assert answer.text == (
        '## Sales\n\nBy year\n\n<table>\n<tr><th>Year</th><th colspan="2">Sum</th></tr>\n'
        "<tr><td>2025</td><td>1</td><td>2</td></tr>\n</table>\n\n- one\n\n![]()"
    )
    assert answer.blocks is not None
    assert answer.blocks[1].box == Box(50, 70, 450, 140)
    assert [block.kind for block in answer.blocks][-2:] == [BlockKind.LIST_ITEM, BlockKind.FIGURE]


def test_tags_of_nanonets() -> None:
    """Page numbers go, pictures and signatures become pictures."""
    text = "<page_number>14</page_number>\n\nText <img>a logo</img>\n\n<signature>J. Doe</signature>"
    assert read("nanonets-ocr2", text).text == "Text ![a logo]()\n\n![signature]()"


FORMS = [profile for profile in PROFILES if profile.answer is not AnswerFormat.MARKDOWN]
PIECES = st.sampled_from(
    ["<|ref|>", "<|/ref|><|det|>[[", "1,2,3,4", "]]<|/det|>", "![text](", ")", '<div data-label="Text"', ">", "<table>",
     "<td>", "</div>", '{"bbox": [1,2,3,4], "text": "', '"}', "[", "{", "<otsl>", "<lcel>", "<nl>", "<text>", "<loc_9>",
     "---\n", "text", "$$", "\n"]
)  # fmt: skip


@given(profile=st.sampled_from(FORMS), text=st.lists(PIECES, max_size=30).map("".join), truncated=st.booleans())
def test_any_text_is_an_answer_or_a_failure(*, profile: ModelProfile, text: str, truncated: bool) -> None:
    """Readers are total: what is in no form is asked for again."""
    answer = read(profile.name, text, truncated=truncated)
    assert answer.failure is not None or answer.text is not None
    for block in answer.blocks or ():
        assert block.box is None or (
            0 <= block.box.x0 < block.box.x1 <= 500 and 0 <= block.box.y0 < block.box.y1 <= 700
        )


@pytest.mark.parametrize(
    "text",
    ["<|ref|>" * 20_000, "![text](" * 20_000, "<div " * 30_000, '{"a":' * 40_000, "<otsl>" * 30_000, "---\n" * 40_000],
)
def test_a_hostile_answer_takes_little_time(text: str) -> None:
    """No reader tries again from each place, or the test's time is over; and no answer becomes longer by reading."""
    for profile in FORMS:
        answer = read(profile.name, text)
        assert answer.failure is not None or len(answer.text) <= len(text)


def test_a_page_that_the_model_calls_turned_is_turned_and_asked_again() -> None:
    """The row says by how much; a model that calls the next one turned too is believed once."""
    turned = Answer("---\nis_rotation_valid: False\nrotation_correction: 90\n---\nsdrawkcab", finish_reason="stop")
    upright = Answer("---\nis_rotation_valid: True\nrotation_correction: 0\n---\nforwards", finish_reason="stop")
    row, turns = read_by_olmocr(turned, upright)
    assert (row.markdown, row.rotation, row.attempts, turns) == ("forwards", 90, 2, [0, 90])
    assert (row.image_width, row.image_height) == (60, 40)
    assert row.page_box == PageBox(300, 200, 90)
    row, turns = read_by_olmocr(turned)
    assert (row.markdown, row.rotation, turns) == ("sdrawkcab", 90, [0, 90])


def read_by_olmocr(*script: Answer) -> tuple[PageResult, list[int]]:
    """The row of a page of 40 x 60 pixels, and the turns of the images that were sent."""
    jpeg = io.BytesIO()
    Image.new("RGB", (40, 60), "white").save(jpeg, "JPEG")
    page = PageImage(1, 40, 60, jpeg.getvalue(), "", 900, 1, page_box=PageBox(200, 300))
    engine = ScriptedEngine({1: script})
    request = page_request_of(load({"engine": "openai", "model": "allenai/olmOCR-2-7B-1025"}))
    reader = Reader(engine, NoLimit(), request, None, NoMetering(), judge)
    row = asyncio.run(read_page(document(), page, ReadContext((reader,), RunIdentity("run", "config"))))
    return row, [request.turn_deg for _, request in engine.asked]
