"""Pages, their images, and results in every format."""

from __future__ import annotations

import asyncio
import io
import json
import zipfile
from typing import TYPE_CHECKING

import pyarrow.parquet as pq
import pypdfium2 as pdfium
import pytest
from openpyxl import load_workbook
from PIL import Image

from one_ocr_ray.policy.dataset.schema import PAGES
from tests import pdfs
from tests.service.script import Script
from tests.service.site import Site, problem

if TYPE_CHECKING:
    from pathlib import Path

TABLE = "fruit,count\r\napples,3\r\npears,14\r\n"
FORMATS = ("md", "txt", "csv", "xlsx", "json", "jsonl", "parquet", "pdf", "hocr", "alto", "zip")
ENDINGS = {"alto": "alto.xml"}


@pytest.fixture(scope="module")
def done(site: Site) -> str:
    """A task of four pages that has ended: page 2 failed, page 4 is blank."""
    return site.finished(pdfs.text_pdf(4))


def test_the_list_of_pages_has_each_finished_page_without_its_text(site: Site, done: str) -> None:
    """In page order, with status, error and links that work."""
    items = site.http.get(f"/v1/tasks/{done}/pages").json()["items"]
    assert [(item["page_number"], item["status"]) for item in items] == [
        (1, "ok"), (2, "failed"), (3, "ok"), (4, "blank"),
    ]  # fmt: skip
    assert items[1]["error"]["code"] == "provider_timeout"
    assert "markdown" not in items[0]
    assert all(site.http.get(link).status_code == 200 for link in items[0]["links"].values())


def test_a_page_comes_as_the_client_asks(site: Site, done: str) -> None:
    """JSON is its row, Markdown its text, HTML what is safe to show; another type is 406."""
    path = f"/v1/tasks/{done}/pages/1"
    row = site.http.get(path).json()
    assert set(PAGES.names) <= set(row)
    assert row["markdown"].startswith("# Page 1")
    markdown = site.http.get(path, headers={"accept": "text/markdown"})
    assert markdown.headers["content-type"] == "text/markdown; charset=utf-8"
    assert markdown.text == row["markdown"]
    page = site.http.get(path, headers={"accept": "text/html;q=0.9, application/json;q=0.1"})
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert problem(site.http.get(path, headers={"accept": "image/png"})) == (406, "not_acceptable")
    failed = site.http.get(f"/v1/tasks/{done}/pages/2")
    assert (failed.json()["status"], failed.json()["markdown"]) == ("failed", None)


def test_a_page_that_is_not_there_is_404_and_one_to_come_409(tmp_path: Path) -> None:
    """Pages outside the document or the selection will never come; selected ones of a running task will."""
    with Site(tmp_path, Script(gate=asyncio.Event())) as site:
        task_id = site.upload(pdfs.text_pdf(3), pages="1,3")[0]
        waiting = site.http.get(f"/v1/tasks/{task_id}/pages/1")
        assert problem(waiting) == (409, "page_not_ready")
        assert "retry-after" in waiting.headers
        assert problem(site.http.get(f"/v1/tasks/{task_id}/pages/2")) == (404, "page_not_found")
        site.let_pages_go()
        site.run(site.manager.settled(task_id))
        assert site.http.get(f"/v1/tasks/{task_id}/pages/3").status_code == 200
        assert problem(site.http.get(f"/v1/tasks/{task_id}/pages/4")) == (404, "page_not_found")
        for wrong in ("0", "-1", "x", "1.5", "99999999999999999999"):
            assert problem(site.http.get(f"/v1/tasks/{task_id}/pages/{wrong}")) == (400, "invalid_request")


@pytest.mark.parametrize(("width", "box"), [(400, b"0 0 612 792"), (800, b"0 0 792 612"), (64, b"0 0 100 100")])
def test_an_image_is_as_wide_as_asked(site: Site, width: int, box: bytes) -> None:
    """Upright or not, `w` is its width in pixels, to within one, and what is drawn is the page."""
    task_id = site.finished(pdfs.content_pdf(pdfs.text("here I am", 40, 10, 50), box=box))
    answer = site.http.get(f"/v1/tasks/{task_id}/pages/1/image?w={width}")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/jpeg")
    image = Image.open(io.BytesIO(answer.content)).convert("L")
    assert abs(image.width - width) <= 1
    assert image.getextrema()[0] < 100


def test_an_image_is_known_by_its_tag(site: Site, done: str) -> None:
    """The same tag saves the body; it is immutable, and another width is another image."""
    path = f"/v1/tasks/{done}/pages/1/image"
    first = site.http.get(f"{path}?w=300")
    assert "immutable" in first.headers["cache-control"]
    tag = first.headers["etag"]
    assert site.http.get(f"{path}?w=300", headers={"If-None-Match": tag}).status_code == 304
    assert site.http.get(f"{path}?w=301", headers={"If-None-Match": tag}).status_code == 200
    assert site.http.get(f"{path}?w=300").content == first.content


def test_an_image_that_cannot_be_drawn_is_a_problem(site: Site) -> None:
    """A page past the end is 404, a broken one 422, a width out of bounds 400; the next image is drawn as ever."""
    task_id = site.finished(pdfs.bad_page_pdf(3, 2))
    path = f"/v1/tasks/{task_id}/pages"
    assert problem(site.http.get(f"{path}/4/image")) == (404, "page_not_found")
    assert problem(site.http.get(f"{path}/2/image")) == (422, "render_failed")
    assert problem(site.http.get(f"{path}/1/image?w=63")) == (400, "invalid_request")
    assert problem(site.http.get(f"{path}/1/image?w=4001")) == (400, "invalid_request")
    assert problem(site.http.get(f"{path}/1/image", headers={"accept": "image/png"})) == (406, "not_acceptable")
    assert site.http.get(f"{path}/3/image").status_code == 200


@pytest.mark.parametrize("form", FORMATS)
def test_a_result_is_a_file_with_a_name(site: Site, form: str) -> None:
    """Whatever the upload was called, the download has a safe name by the format, in both forms of RFC 6266."""
    files = {"files": ('发票 "a";b.PDF', pdfs.text_pdf())}
    task_id = site.http.post("/upload", files=files).json()["task_ids"][0]
    site.run(site.manager.settled(task_id))
    answer = site.http.get(f"/v1/tasks/{task_id}/result?format={form}")
    assert answer.status_code == 200
    disposition = answer.headers["content-disposition"]
    assert disposition.startswith('attachment; filename="')
    assert disposition.count('"') == 2
    assert "filename*=UTF-8''%E5%8F%91%E7%A5%A8%20" in disposition
    assert disposition.endswith(f".{ENDINGS.get(form, form)}")
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_the_text_formats_hold_the_good_pages_and_name_the_failed_one(site: Site, done: str) -> None:
    """Markdown says where a page failed; plain text has no marks; JSON and JSON lines have every row."""

    def result(form: str) -> str:
        return site.http.get(f"/v1/tasks/{done}/result?format={form}").text

    assert result("md").index("# Page 1") < result("md").index("<!-- page 2 failed: provider_timeout -->")
    assert site.http.get(f"/v1/tasks/{done}/result").text == result("md")
    assert "Page 3" in result("txt")
    assert "#" not in result("txt")
    assert "**" not in result("txt")
    body = json.loads(result("json"))
    assert body["task"]["task_id"] == done
    assert [page["status"] for page in body["pages"]] == ["ok", "failed", "ok", "blank"]
    assert [json.loads(line)["page_number"] for line in result("jsonl").splitlines()] == [1, 2, 3, 4]
    assert problem(site.http.get(f"/v1/tasks/{done}/result?format=docx")) == (400, "invalid_request")


def test_the_parquet_result_is_the_committed_file(site: Site, done: str) -> None:
    """It is the dataset's own file, and the zip holds it beside the texts and the document's row."""
    data = site.http.get(f"/v1/tasks/{done}/result?format=parquet").content
    assert data == site.store.files(done, "pages")
    archive = zipfile.ZipFile(io.BytesIO(site.http.get(f"/v1/tasks/{done}/result?format=zip").content))
    assert sorted(archive.namelist()) == [
        "documents.parquet", "file-1.html", "file-1.json", "file-1.jsonl", "file-1.md", "file-1.txt", "pages.parquet",
    ]  # fmt: skip
    assert archive.read("pages.parquet") == data
    assert archive.testzip() is None


def test_a_running_task_has_a_partial_result_only(tmp_path: Path) -> None:
    """409 task_not_finished, with a hint when to come again; with `partial` the pages so far, in every format."""
    with Site(tmp_path, Script(gate=asyncio.Event())) as site:
        task_id = site.upload(pdfs.text_pdf(2))[0]
        refused = site.http.get(f"/v1/tasks/{task_id}/result")
        assert problem(refused) == (409, "task_not_finished")
        assert "retry-after" in refused.headers
        for form in FORMATS:
            assert site.http.get(f"/v1/tasks/{task_id}/result?format={form}&partial=true").status_code == 200
        batch_id = site.status(task_id)["batch_id"]
        assert problem(site.http.get(f"/v1/batches/{batch_id}/result")) == (409, "task_not_finished")
        assert site.http.get(f"/v1/batches/{batch_id}/result?partial=true").status_code == 200


def test_a_searchable_copy_is_the_upload_with_a_layer(site: Site) -> None:
    """Its page looks as before and has words; a signed upload is 409 unless it is asked for."""
    task_id = site.finished(pdfs.content_pdf(b"0.5 g 100 100 50 50 re f"))
    answer = site.http.get(f"/v1/tasks/{task_id}/result?format=pdf")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/pdf")
    assert int(answer.headers["content-length"]) == len(answer.content)
    text = pdfium.PdfDocument(answer.content)[0].get_textpage().get_text_range()
    assert "apples" in text
    objects = pdfs.page_objects([b""])
    objects[0] = b"<</Type/Catalog/Pages 2 0 R/AcroForm<</SigFlags 3/Fields[]>>>>"
    signed = f"/v1/tasks/{site.finished(pdfs.write(objects))}/result?format=pdf"
    assert problem(site.http.get(signed)) == (409, "pdf_signed")
    assert site.http.get(f"{signed}&allow_signed=true").status_code == 200


def test_a_batch_result_holds_every_task(site: Site) -> None:
    """The zip has a folder for each, of the same name told apart, none outside; the Parquet has all pages."""
    files = [("files", ("../same.pdf", pdfs.text_pdf(n))) for n in (1, 3)]
    body = site.http.post("/upload", files=files).json()
    for task_id in body["task_ids"]:
        site.run(site.manager.settled(task_id))
    answer = site.http.get(f"/v1/batches/{body['batch_id']}/result")
    assert int(answer.headers["content-length"]) == len(answer.content)
    names = zipfile.ZipFile(io.BytesIO(answer.content)).namelist()
    assert {name.split("/")[0] for name in names} == {"same", "same-2"}
    assert not [name for name in names if name.startswith("/") or ".." in name]
    data = site.http.get(f"/v1/batches/{body['batch_id']}/result?format=parquet").content
    table = pq.ParquetFile(io.BytesIO(data)).read()
    assert table.schema.equals(PAGES)
    assert table.num_rows == 4
    assert problem(site.http.get(f"/v1/batches/{body['batch_id']}/result?format=md")) == (400, "invalid_request")
    assert site.spooled() == []


def test_tables_come_as_csv_and_as_a_workbook(site: Site, done: str) -> None:
    """The tables of all good pages in their order."""
    path = f"/v1/tasks/{done}/result"
    answer = site.http.get(path, params={"format": "csv"})
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.content.decode("utf-8-sig") == "\r\n".join([TABLE, TABLE])
    book = load_workbook(io.BytesIO(site.http.get(path, params={"format": "xlsx"}).content))
    assert book.sheetnames == ["page 1 table 1", "page 3 table 1"]
    assert [[cell.value for cell in row] for row in book["page 3 table 1"].rows][1] == ["apples", "3"]
