"""The files of the pages: those of others as locked, templates without anything inline, static answers."""

from __future__ import annotations

import hashlib
import json
import re
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.web.vendoring import FOLDERS, ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from tests.service.site import Site
    from tests.web.conftest import NewVisit

WEB = ROOT / "one_ocr_ray/service/web"


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: str(folder.relative_to(ROOT)))
def test_files_of_others_are_those_in_the_lock(folder: Path) -> None:
    """Every file has the hash that was locked, its package's licence lies beside it, and there is no other file."""
    lock = json.loads((folder / "lock.json").read_text())
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()} - {"lock.json"}
    known = set()
    for name, package in lock.items():
        assert {"version", "integrity", "license"} <= package.keys()
        assert "LICENSE" in package["files"]
        for source, digest in package["files"].items():
            path = f"{name}/{source.removeprefix('dist/')}"
            known.add(path)
            assert hashlib.sha256((folder / path).read_bytes()).hexdigest() == digest, path
    assert found == known


def test_templates_hold_no_script_style_or_handler() -> None:
    """The policy would refuse them."""
    for template in (WEB / "templates").glob("*.html"):
        text = template.read_text()
        assert not re.search(r"<script(?![^>]* src=)|<style|\sstyle=|\son[a-z]+=|javascript:|https?://", text), template
        made_safe = {"task.html", "blocks.html"}  # by service/web/markdown.py and by policy/writers/html.py
        assert text.count("|safe") == (template.name in made_safe)


def test_static_files_may_be_kept_for_ever_under_their_version(site: Site) -> None:
    """Pages name them by version; without one, or with an old one, they are asked for again; nothing else is served."""
    page = site.http.get("/", headers={"Accept": "text/html"}).text
    style = re.findall(r'href="(/static/[0-9a-f]{16}/app\.css)"', page)[0]
    lasting = site.http.get(style)
    assert "immutable" in lasting.headers["cache-control"]
    for path in ("/static/app.css", "/static/0123456789abcdef/app.css"):
        answer = site.http.get(path)
        assert answer.content == lasting.content
        assert answer.headers["cache-control"] == "no-cache"
        assert site.http.get(path, headers={"If-None-Match": answer.headers["etag"]}).status_code == 304
    for path in ("/static/../words.py", "/static/..%2fwords.py", "/static/vendor/", "/static/%2e%2e/%2e%2e/words.py"):
        assert site.http.get(path).status_code == 404


def test_preferences_come_back_to_the_page_and_nowhere_else(site: Site) -> None:
    """Only known values become cookies, and the way back stays on this service."""
    answer = site.http.get("/history?state=SUCCESS&lang=zh&theme=dark")
    assert (answer.status_code, answer.headers["location"]) == (303, "/history?state=SUCCESS")
    assert len(answer.headers.get_list("set-cookie")) == 2
    answer = site.http.get("/history?lang=%0d%0aX:1")
    assert "set-cookie" not in answer.headers
    answer = site.http.get("//evil.example/?lang=zh")
    assert not answer.headers.get("location", "/").startswith("//")


def test_the_description_of_the_interface_needs_nothing_from_elsewhere(site: Site, visit: NewVisit) -> None:
    """Swagger UI shows the operations under the same strict policy."""
    me = visit(site)
    me.go("/docs")
    expect(me.find("#operations-tasks-upload_upload_post, [id*=upload]").first).to_be_visible()
