"""`POST /upload`: what becomes a task, what is refused and how, and that nothing is left of a request."""

from __future__ import annotations

import http.client
import io
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from one_ocr_ray.service.names import content_disposition, display_name
from one_ocr_ray.storage.store.objects import Objects
from one_ocr_ray.storage.tasks.key_budgets import KeyDay, keep_key_day
from one_ocr_ray.tasks.port import Load
from tests import archives, pdfs, pictures
from tests.service.site import Site, problem
from tests.waiting import PATIENCE_S

if TYPE_CHECKING:
    from pathlib import Path


HOSTILE_NAMES = (
    "../../etc/passwd.pdf",
    r"..\..\windows\x.pdf",
    "a\u202efdp.exe.pdf",
    "<script>alert(1)</script>.pdf",
    "line\nbreak\r\nX-Evil: 1.pdf",
    "e\u0301te\u0301.pdf",
    "\x1b[31mred.pdf",
    "发票 2026.pdf",
    "n" * 3000 + ".pdf",
    "..",
    "\u0000",
)


def test_an_upload_answers_at_once_with_an_id_for_each_file(site: Site) -> None:
    """Five files of one request are five tasks of one batch, named in order, with links that work."""
    form = [("files", (f"{n}.pdf", pdfs.text_pdf(1, f"{n}"))) for n in range(4)] + [("file", ("x", pdfs.text_pdf()))]
    answer = site.http.post("/upload", files=form)
    body = answer.json()
    assert answer.status_code == 202
    assert answer.headers["location"] == f"/v1/batches/{body['batch_id']}"
    assert answer.headers["retry-after"] == "2"
    assert [task["filename"] for task in body["tasks"]] == ["0.pdf", "1.pdf", "2.pdf", "3.pdf", "x"]
    assert [task["task_id"] for task in body["tasks"]] == body["task_ids"]
    assert len(set(body["task_ids"])) == 5
    assert all(len(each) == 24 and each.startswith("t_") for each in body["task_ids"])
    assert body["rejected"] == []
    for task, (_, (name, data)) in zip(body["tasks"], form, strict=True):
        assert task["size_bytes"] == len(data)
        assert site.http.get(task["status_url"]).json()["filename"] == name


def test_the_upload_and_its_record_are_in_the_store_when_it_is_answered(site: Site) -> None:
    """The bytes are those sent, and nothing is left in the spool."""
    data = pdfs.text_pdf(2)
    task_id = site.upload(data)[0]
    assert site.store.fetch_upload(task_id, site.folder).read_bytes() == data
    stored = site.store.task(task_id)
    record = stored.view.record if stored is not None else None
    assert record is not None
    assert record.size_bytes == len(data)
    assert site.spooled() == []


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"<html><body>not a pdf</body></html>", (415, "not_pdf")),
        (b"PK\x03\x04" + bytes(100), (415, "not_pdf")),
        (b"", (415, "not_pdf")),
        (b" " * 1024 + pdfs.text_pdf(), (415, "not_pdf")),
        (pdfs.encrypted_pdf(), (422, "pdf_encrypted")),
        (pdfs.unknown_security_pdf(), (422, "pdf_encrypted")),
        (b"%PDF-1.7\n" + bytes(range(256)) * 20, (422, "pdf_corrupt")),
        (pdfs.zero_pages_pdf(), (422, "pdf_empty")),
        (pdfs.lying_count_pdf(5001), (422, "too_many_pages")),
    ],
    ids=["html", "zip", "nothing", "late header", "encrypted", "unknown security", "garbage", "no pages", "many pages"],
)
def test_a_file_that_cannot_be_read_is_refused_with_its_code(
    site: Site, data: bytes, expected: tuple[int, str]
) -> None:
    """Alone its code is the answer; beside a good file it stands in `rejected`, and the good one is a task."""
    alone = site.http.post("/upload", files={"files": ("bad.pdf", data)})
    assert problem(alone) == expected
    both = site.http.post("/upload", files=[("files", ("bad.pdf", data)), ("files", ("good.pdf", pdfs.text_pdf()))])
    assert both.status_code == 202
    assert [(each["filename"], each["code"]) for each in both.json()["rejected"]] == [("bad.pdf", expected[1])]
    assert [each["filename"] for each in both.json()["tasks"]] == ["good.pdf"]
    assert site.spooled() == []


def test_images_are_documents_too(site: Site) -> None:
    """By their bytes; a page of one is drawn beside its text. What is of no known kind is told apart from a bad PDF."""
    pages = pictures.tiff([pictures.paper("L"), pictures.paper("1")])
    task_id = site.finished(pages)
    assert site.status(task_id)["progress"]["pages_total"] == 2
    drawn = site.http.get(f"/v1/tasks/{task_id}/pages/2/image?w=150")
    assert drawn.status_code == 200, drawn.text
    with Image.open(io.BytesIO(drawn.content)) as image:
        assert image.size == (150, 100)
    notes = site.http.post("/upload", files={"files": ("notes.txt", b"words")})
    assert problem(notes) == (415, "unsupported_file")


def test_each_file_in_a_zip_is_a_task(site: Site) -> None:
    """A bad one is rejected by its own name; a comic book is one task."""
    good = {"a/one.pdf": pdfs.text_pdf(), "two.png": pictures.saved(pictures.paper(), "PNG")}
    bad = {"three.png": b"words", "in.zip": archives.packed({"x.png": b""})}
    packed = archives.packed({**good, **bad})
    answer = site.http.post("/upload", files=[("files", ("in.zip", packed)), ("files", ("book.cbz", packed))]).json()
    assert [each["filename"] for each in answer["tasks"]] == ["one.pdf", "two.png", "book.cbz"]
    assert {each["filename"]: each["code"] for each in answer["rejected"]} == dict.fromkeys(
        ("three.png", "in.zip"), "unsupported_file"
    )
    assert answer["tasks"][0]["size_bytes"] == len(good["a/one.pdf"])
    assert site.spooled() == []


def test_archives_do_not_pass_the_limits_of_an_upload(site: Site) -> None:
    """Neither their number of files nor what they unpack to; one that is none is refused as a whole."""
    many = archives.packed(dict.fromkeys((f"{n}.png" for n in range(60)), b""))
    assert problem(site.http.post("/upload", files={"files": ("a.zip", many)})) == (413, "too_many_files")
    large = archives.claiming(archives.packed({f"{n}.png": b"" for n in range(9)}), size_bytes=60 << 20)
    assert problem(site.http.post("/upload", files={"files": ("a.zip", large)})) == (413, "upload_too_large")
    bomb = archives.overlapping(2_000)
    assert problem(site.http.post("/upload", files={"files": ("a.zip", bomb)})) == (422, "too_large")
    assert problem(site.http.post("/upload", files={"files": ("a.zip", b"PK\x03\x04" * 9)})) == (422, "pdf_corrupt")


@pytest.mark.parametrize("data", [pdfs.truncated_pdf(), pdfs.cyclic_tree_pdf(), pdfs.junk_before_header_pdf()])
def test_a_damaged_file_gets_a_coded_answer_or_a_task(site: Site, data: bytes) -> None:
    """Whatever pdfium makes of a damaged file, the service answers as the contract says and lives on."""
    answer = site.http.post("/upload", files={"files": ("damaged.pdf", data)})
    assert answer.status_code == 202 or problem(answer) in {(422, "pdf_corrupt"), (422, "pdf_empty")}
    assert site.http.get("/healthz").status_code == 200


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_a_hostile_file_name_is_only_for_display(site: Site, name: str) -> None:
    """It names no path, and comes back without control and direction characters and separators."""
    before = _folders(site)
    body = (
        b"--b\r\nContent-Disposition: form-data; name=files; filename*=utf-8''x; filename=\"%s\"\r\n\r\n%s\r\n--b--\r\n"
    )
    sent = name.replace("\r", "").replace("\n", "").replace("\\", "\\\\").encode()
    headers = {"content-type": "multipart/form-data; boundary=b"}
    answer = site.http.post("/upload", content=body % (sent, pdfs.text_pdf()), headers=headers)
    assert answer.status_code == 202, answer.text
    shown = answer.json()["tasks"][0]["filename"]
    assert 0 < len(shown) <= 200
    assert shown.isprintable()
    assert not set(shown) & set("/\\\u202e")
    assert _folders(site) == before


def _folders(site: Site) -> set[Path]:
    """What stands where a name could lead to: beside the store, in it, and beside its tasks' files."""
    spool = [path for path in site.folder.glob("spool/*/*") if path.name != "lock"]
    task = [path.name.partition("#")[0] for path in site.folder.glob("store/tasks/*/*")]  # without a file being put
    assert set(task) <= {"upload.pdf", "record.json", "state.json", "output"}
    return {*site.folder.parent.glob("*"), *site.folder.glob("*"), *site.folder.glob("store/*"), *spool}


@given(st.text(max_size=400))
def test_any_name_is_made_fit_to_be_shown_and_sent(name: str) -> None:
    """For every text the shown name is short, printable and without separators, and its header is one ASCII line."""
    shown = display_name(name)
    assert 0 < len(shown) <= 200
    assert shown.isprintable()
    assert not set(shown) & set("/\\")
    header = content_disposition(shown)
    assert header.isascii()
    assert header.isprintable()
    assert header.count('"') == 2


@pytest.mark.parametrize(
    "options",
    [
        "not json", "[]", "null", '{"page":"1"}', '{"pages":"1-x"}', '{"pages":""x"}', '{"longest_side":"1600"}',
        '{"longest_side":9000}', '{"engine":"gemini"}', '{"max_cost_usd":-1}', '{"max_cost_usd":NaN}', '{"prompt":""}',
        '{"model":"a b"}', "{" * 2000,
    ],
)  # fmt: skip
def test_wrong_options_are_refused_without_being_repeated(site: Site, options: str) -> None:
    """Unknown keys, wrong types and values are 400 invalid_options; the answer does not say what was sent."""
    answer = site.http.post("/upload", files={"files": ("a.pdf", pdfs.text_pdf())}, data={"options": options})
    assert problem(answer) == (400, "invalid_options")
    assert options not in answer.text or len(options) < 5


def test_options_reach_the_task(tmp_path: Path) -> None:
    """What an upload asks for stands in its record."""
    with Site(tmp_path, engine="openai") as site:
        task_id = site.upload(pdfs.text_pdf(3), pages="1,3", longest_side=800, prompt="Read.", max_cost_usd=1)[0]
        stored = site.store.task(task_id)
        record = stored.view.record if stored is not None else None
        assert record is not None
        assert (record.options.pages, record.options.longest_side, record.options.max_cost_usd) == ("1,3", 800, 1.0)
        site.run(site.manager.settled(task_id))
        assert site.status(task_id)["progress"]["pages_total"] == 2


def test_route_and_escalation_come_by_option_or_by_form(tmp_path: Path) -> None:
    """The page for uploads offers routes from cheap to dear, in words; its fields do what the options do."""
    with Site(tmp_path, engine="openai", route="auto") as site:
        page = site.http.get("/", headers={"accept": "text/html"}).text
        assert '<option value="text-layer,local,openai">the page&#39;s own text, else OCR, else openai</option>' in page
        assert '"openai,local"' not in page
        form = {"files": {"files": ("a.pdf", pdfs.text_pdf())}, "data": {"route": "local,openai", "escalate": "tables"}}
        by_form = site.http.post("/upload", **form).json()["task_ids"][0]
        by_option = site.upload(escalate="tables, formulas")[0]  # along the service's own route
        records = [stored.view.record for each in (by_form, by_option) if (stored := site.store.task(each))]
        assert [(each.options.route, each.options.escalate) for each in records] == [
            ("local,openai", "tables"),
            (None, "tables, formulas"),
        ]
        for wrong in ({"escalate": "pictures"}, {"escalate": ""}, {"escalate": ["tables"]}, {"route": "local"}):
            form = {"files": {"files": ("a.pdf", pdfs.text_pdf())}, "data": {"options": json.dumps(wrong)}}
            response = site.http.post("/upload", **form)
            assert problem(response) == (400, "invalid_options"), wrong
            (name,) = wrong
            allowed = {"escalate": "tables, formulas, handwriting", "route": "text-layer, local, openai"}[name]
            assert allowed in response.json()["detail"], wrong
        alone = {"data": {"route": "openai", "escalate": "tables"}}
        response = site.http.post("/upload", files={"files": ("a.pdf", pdfs.text_pdf())}, **alone)
        assert problem(response) == (400, "invalid_options")
        assert "the route openai has only one reader" in response.json()["detail"]


def test_options_that_an_engine_cannot_follow_are_refused_at_once(tmp_path: Path) -> None:
    """The embedded engine knows no model, prompt or cost; a ceiling needs a price; a model must be one that is offered.

    No task comes of it.
    """
    models = ("own", "nobody-knows-it")
    with Site(tmp_path, engines=("openai",), models=models, prices={"own": {"input_usd": 1, "output_usd": 2}}) as site:
        cannot: list[dict[str, object]] = [
            {"model": "gpt-5.6"}, {"prompt": "Read."}, {"max_cost_usd": 1}, {"engine": "local", "model": "gpt-5.6"},
            {"engine": "openai", "model": "nobody-knows-it", "max_cost_usd": 1},
            {"engine": "openai", "model": "gpt-6-astra"}, {"longest_side": 4001},
        ]  # fmt: skip
        for options in cannot:
            form = {"files": {"files": ("a.pdf", pdfs.text_pdf())}, "data": {"options": json.dumps(options)}}
            assert problem(site.http.post("/upload", **form)) == (400, "invalid_options"), options
        assert site.http.get("/v1/tasks").json()["items"] == []
        assert site.upload(engine="openai", model="nobody-knows-it")
        assert site.upload(engine="openai", max_cost_usd=1)
        assert site.upload(engine="openai", model="gpt-5.6-luna", longest_side=4000)  # the engine's own
        assert site.http.get("/v1/info").json()["models"] == ["gpt-5.6-luna", "nobody-knows-it", "own"]
        assert site.upload(engine="openai", model="own", max_cost_usd=1)


def test_a_schema_is_checked_and_stored(tmp_path: Path) -> None:
    """One that is none, or that could be a trap, is 400 with a sentence; a good one reaches the task as it was sent."""
    schema = {"type": "object", "properties": {"总计": {"type": "number"}}}
    with Site(tmp_path, engine="openai", engines=("local",)) as site:
        for bad in ({"type": "text"}, {"properties": {"a": {"pattern": "(x+)+$"}}}, {"$comment": "x" * 40_000}):
            data = {"options": json.dumps({"schema": bad})}
            answer = site.http.post("/upload", files={"files": ("a.pdf", pdfs.text_pdf())}, data=data)
            assert problem(answer) == (400, "invalid_options")
            assert "schema: " in answer.json()["detail"]
        for mixed in ({"schema": schema, "engine": "local"}, {"schema": schema, "route": "auto"}, {"schema": "x"}):
            data = {"options": json.dumps(mixed)}
            answer = site.http.post("/upload", files={"files": ("a.pdf", pdfs.text_pdf())}, data=data)
            assert problem(answer) == (400, "invalid_options")
        stored = site.store.task(site.upload(schema=schema)[0])
        assert stored is not None
        assert json.loads(stored.view.record.options.schema or "") == schema


def test_a_key_whose_budget_is_spent_is_told_so(tmp_path: Path) -> None:
    """402 with the time until there is more; the embedded engine costs nothing and reads on."""
    with Site(tmp_path, engine="openai", engines=("local",), key_budget_usd=0.5) as site:
        form = {"files": {"files": ("a.pdf", pdfs.text_pdf(), "application/pdf")}}
        assert site.http.post("/upload", **form).status_code == 202
        keep_key_day(Objects(site.store.root), "", datetime.now(UTC).date(), KeyDay(0.005, 0.01))
        answer = site.http.post("/upload", **form)
        assert problem(answer) == (402, "key_budget_reached")
        assert 0 < int(answer.headers["retry-after"]) <= 24 * 3600 + 1
        assert site.http.post("/upload", **form, data={"options": '{"engine": "local"}'}).status_code == 202


@pytest.mark.parametrize(
    ("content_type", "body", "expected"),
    [
        ("application/json", b"{}", (415, "unsupported_media_type")),
        ("", b"", (400, "no_files")),
        ("application/x-www-form-urlencoded", b"options=%7B%7D", (400, "no_files")),
        ("multipart/form-data", b"", (400, "invalid_request")),
        ("multipart/form-data; boundary=b", b"garbage", (400, "invalid_request")),
        ("multipart/form-data; boundary=b", b"--b\r\nContent-Dispo", (400, "invalid_request")),
        ("multipart/form-data; boundary=b", b"--b--\r\n", (400, "no_files")),
        (
            "multipart/form-data; boundary=b",
            b'--b\r\nContent-Disposition: form-data; name="files"; filename=""\r\n\r\n\r\n--b--\r\n',
            (400, "no_files"),
        ),
        (
            "multipart/form-data; boundary=b",
            b'--b\r\nContent-Disposition: form-data; name="else"\r\n\r\nx\r\n--b--\r\n',
            (400, "invalid_options"),
        ),
        (
            "multipart/form-data; boundary=b",
            b'--b\r\nContent-Disposition: form-data; name="files"; ' + b"x" * 20_000 + b"\r\n\r\nx\r\n--b--\r\n",
            (400, "invalid_request"),
        ),
    ],
)
def test_a_body_that_is_not_our_form_is_refused(
    site: Site, content_type: str, body: bytes, expected: tuple[int, str]
) -> None:
    """Not a form, half a form, a form without a file: each has its code."""
    answer = site.http.post("/upload", content=body, headers={"content-type": content_type})
    assert problem(answer) == expected


def test_a_browser_without_javascript_is_sent_to_the_page(site: Site) -> None:
    """A form post that accepts HTML is answered 303 to the task's page, or to the batch's for several files."""
    files = [("files", ("a.pdf", pdfs.text_pdf()))]
    one = site.http.post("/upload", files=files, headers={"accept": "text/html,*/*;q=0.8"})
    assert (one.status_code, one.headers["location"][:9]) == (303, "/tasks/t_")
    two = site.http.post("/upload", files=files * 2, headers={"accept": "text/html,*/*;q=0.8"})
    assert (two.status_code, two.headers["location"][:11]) == (303, "/batches/b_")


class TestLimits:
    """What is too much is refused, by its code."""

    def test_too_many_files(self, site: Site) -> None:
        """The file after the last allowed one is 413 too_many_files."""
        files = [("files", (f"{n}.pdf", b"x")) for n in range(site.settings.max_files + 1)]
        assert problem(site.http.post("/upload", files=files)) == (413, "too_many_files")
        assert site.spooled() == []

    def test_a_file_over_the_limit_is_refused_and_the_others_are_not(self, tmp_path: Path) -> None:
        """Its bytes are not kept, and the files beside it become tasks."""
        with Site(tmp_path, max_file_bytes=50_000, max_request_bytes=10 << 20) as small:
            big = ("files", ("big.pdf", pdfs.text_pdf() + bytes(60_000)))
            assert problem(small.http.post("/upload", files=[big])) == (413, "upload_too_large")
            both = small.http.post("/upload", files=[big, ("files", ("good.pdf", pdfs.text_pdf()))])
            assert both.status_code == 202
            assert [each["code"] for each in both.json()["rejected"]] == ["upload_too_large"]

    def test_a_disk_without_room_is_507(self, tmp_path: Path) -> None:
        """Nothing is taken in below the floor of free space."""
        with Site(tmp_path, min_free_bytes=1 << 60) as full:
            answer = full.http.post("/upload", files={"files": ("a.pdf", pdfs.text_pdf())})
            assert problem(answer) == (507, "storage_full")
            assert full.spooled() == []

    def test_an_overloaded_or_missing_book_is_503_with_a_hint(self, tmp_path: Path) -> None:
        """Uploads are put off while too much is open; everything but /healthz is while the task manager is away."""
        with Site(tmp_path) as site:
            site.manager.load_now = Load(open_tasks=10_000, open_pages=0)
            answer = site.http.post("/upload", files={"files": ("a.pdf", pdfs.text_pdf())})
            assert problem(answer) == (503, "overloaded")
            assert int(answer.headers["retry-after"]) > 0
            site.manager.load_now = None
            task_id = site.finished()
            site.manager.unavailable = True
            for answer in (site.http.get(f"/task_status/{task_id}"), site.http.get("/v1/tasks")):
                assert problem(answer) == (503, "overloaded")
                assert "retry-after" in answer.headers
            ready = site.http.get("/readyz")
            assert (ready.status_code, ready.json()["checks"]["book"]) == (503, "unavailable")
            assert site.http.get("/healthz").status_code == 200

    def test_a_slow_body_is_given_up(self, tmp_path: Path) -> None:
        """A client that stops sending is answered 408 and cut off, and nothing is left of what it sent."""
        with Site(tmp_path, stall_timeout=0.3) as site:
            stalling = http.client.HTTPConnection("127.0.0.1", site.port, timeout=PATIENCE_S)
            stalling.putrequest("POST", "/upload")
            stalling.putheader("Content-Type", "multipart/form-data; boundary=b")
            stalling.putheader("Content-Length", "1000")
            stalling.endheaders()
            stalling.send(b'--b\r\nContent-Disposition: form-data; name="files"; filename="a.pdf"\r\n\r\n%PDF-')
            answer = stalling.getresponse()
            assert (answer.status, json.loads(answer.read())["code"]) == (408, "upload_timeout")
            assert site.spooled() == []
