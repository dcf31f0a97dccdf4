"""Blocks of a page by HTTP, and results as HTML that is made of them."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import TYPE_CHECKING

import pytest

from one_ocr_ray.model import ErrorCode
from tests.pdfs import text_pdf
from tests.service.samples import page_of_blocks
from tests.service.script import Script
from tests.service.site import Site, problem

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def blocky(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A service whose reader knows the blocks of its pages and fails at page 2."""
    script = Script(blocks=page_of_blocks, failures={2: ErrorCode.PROVIDER_TIMEOUT})
    with Site(tmp_path_factory.mktemp("blocks"), script) as running:
        yield running


def test_blocks_come_with_their_places(blocky: Site) -> None:
    """In reading order, heads too, with the size of the page; a page's links lead to them."""
    task_id = blocky.finished(text_pdf(2))
    page = blocky.http.get(f"/v1/tasks/{task_id}/pages/1").json()
    body = blocky.http.get(page["links"]["blocks"]).raise_for_status().json()
    assert (body["page_number"], body["page_box"]) == (1, {"width": 612, "height": 792, "rotate": 0})
    assert [block["kind"] for block in body["blocks"]] == ["page_header", "heading", "paragraph", "table", "paragraph"]
    assert body["blocks"][1]["box"] == {"x0": 60, "y0": 60, "x1": 300, "y1": 84}
    assert body["blocks"][3]["table"]["cells"][1]["col_span"] == 2
    assert body["blocks"][4]["box"] is None
    assert body["blocks"] == page["blocks"]


def test_a_page_without_blocks_says_null(site: Site, blocky: Site) -> None:
    """Where a reader knows none, as for a page that failed; a page that is not there is 404."""
    for place, task_id, number in ((site, site.finished(), 1), (blocky, blocky.finished(text_pdf(2)), 2)):
        body = place.http.get(f"/v1/tasks/{task_id}/pages/{number}/blocks").json()
        assert (body["blocks"], body["page_box"]) == (None, None)
        assert problem(place.http.get(f"/v1/tasks/{task_id}/pages/9/blocks")) == (404, "page_not_found")


class Tags(HTMLParser):
    """The tags of a document, and its text."""

    def __init__(self, document: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.text = ""
        self.feed(document)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.found.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.parametrize("with_blocks", [True, False])
def test_a_result_as_html_is_a_document_of_all_pages(site: Site, blocky: Site, *, with_blocks: bool) -> None:
    """From blocks, else from the Markdown: a section a page, failed ones with a sentence; nothing in it can run."""
    place = blocky if with_blocks else site
    answer = place.http.get(f"/v1/tasks/{place.finished(text_pdf(3))}/result?format=html")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert 'filename="file-1.html"' in answer.headers["content-disposition"]
    tags = Tags(answer.text)
    assert tags.found.count("section") == 3
    assert tags.found.count("table") == 2
    assert "page 2 failed: provider_timeout" in tags.text
    assert not {"script", "img", "link", "b"} & set(tags.found)
    assert "Annual report" not in tags.text, "what belongs to the sheet"
