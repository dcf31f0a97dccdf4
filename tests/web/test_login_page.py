"""The login, where the service has keys."""

from __future__ import annotations

from typing import TYPE_CHECKING

from playwright.sync_api import expect

from tests.pdfs import text_pdf
from tests.service.site import KEYS, Site
from tests.web.visitor import pdf_file

if TYPE_CHECKING:
    from pathlib import Path

    from tests.web.conftest import NewVisit


def test_without_a_key_every_page_leads_to_the_login_and_back(visit: NewVisit, tmp_path: Path) -> None:
    """A wrong key is refused, the right one leads to the page asked for; another key sees nothing of it; log out."""
    with Site(tmp_path, keys=True) as site:
        me, other = visit(site), visit(site)
        me.go("/history?state=SUCCESS")
        expect(me.find("h1")).to_have_text("Log in")
        me.page.get_by_label("API key").fill("not a key of this service")
        me.find("main button").click()
        expect(me.page.get_by_role("alert").first).to_contain_text("not an API key")
        me.go("/history?state=SUCCESS")
        me.page.get_by_label("API key").fill(KEYS[0])
        me.find("main button").click()
        expect(me.find("h1")).to_have_text("History")
        assert me.page.url.endswith("/history?state=SUCCESS")
        path = me.upload(pdf_file(text_pdf()))
        me.go(path)
        me.state("SUCCESS")
        expect(me.find("#rendered h1")).to_contain_text("Page 1")

        other.go("/login")
        other.page.get_by_label("API key").fill(KEYS[1])
        other.find("main button").click()
        expect(other.find("h1")).to_have_text("Read PDFs and images")
        other.go(path)
        expect(other.find("h1")).to_have_text("Nothing here")

        me.page.get_by_role("button", name="Log out").click()
        expect(me.find("h1")).to_have_text("Log in")
        me.go(path)
        expect(me.find("h1")).to_have_text("Log in")
