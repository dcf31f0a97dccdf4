"""The list of tasks and the page of one upload: filter, paging, deleting, and what is running."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from playwright.sync_api import expect

from one_ocr_ray.model import ErrorCode
from tests.pdfs import text_pdf
from tests.service.script import Script
from tests.service.site import Site

if TYPE_CHECKING:
    from pathlib import Path

    from tests.web.conftest import NewVisit


def test_tasks_are_filtered_paged_and_deleted(visit: NewVisit, tmp_path: Path) -> None:
    """35 tasks come in two stretches, the failed ones by themselves; one is deleted from the list after a question."""
    with Site(tmp_path, Script(failures={1: ErrorCode.REFUSED})) as site:
        good = [site.upload(text_pdf(2))[0] for _ in range(33)]
        bad = [site.upload(text_pdf(1))[0] for _ in range(2)]
        for task_id in (*good, *bad):
            site.run(site.manager.settled(task_id))
        me = visit(site)
        me.go("/history")
        rows = me.find("tr[data-task]")
        expect(rows).to_have_count(30)
        me.page.get_by_role("link", name="Older").click()
        expect(rows).to_have_count(5)
        me.page.get_by_role("link", name="Newest").click()
        expect(rows).to_have_count(30)
        me.page.get_by_role("navigation", name="State").get_by_role("link", name="Failed").click()
        expect(rows).to_have_count(2)
        expect(rows.first).to_contain_text("Failed")
        rows.first.locator("[data-delete]").click()
        me.find("#confirm-delete .danger").click()
        expect(rows).to_have_count(1)
        me.page.reload()
        expect(rows).to_have_count(1)
        rows.first.locator("a").first.click()
        expect(me.find("#failure-list")).to_contain_text("declined to read")


def test_a_narrow_screen_shows_as_much_and_the_last_task_leaves_a_way_to_upload(
    visit: NewVisit, tmp_path: Path
) -> None:
    """State, pages, failures, cost and age stand under the name; where no task is left, the page says so."""
    with Site(tmp_path, Script(failures={1: ErrorCode.REFUSED})) as site:
        site.finished(text_pdf(2))
        me = visit(site, viewport={"width": 390, "height": 800})
        me.go("/history")
        row = me.find("tr[data-task]")
        for part in (".state", "[data-cell=pages]", "[data-cell=failed]", "[data-cell=cost]", "time"):
            expect(row.locator(part)).to_be_visible()
        row.locator("[data-delete]").click()
        me.find("#confirm-delete .danger").click()
        expect(me.find("main")).to_contain_text("No tasks here yet.")


def test_running_tasks_move_and_an_upload_is_cancelled_whole(visit: NewVisit, tmp_path: Path) -> None:
    """The history follows a running task; the page of the upload shows its sums, cancels all, and gives one zip."""
    with Site(tmp_path, Script(page_delay_s=0.3)) as site:
        ids = site.upload(text_pdf(3), text_pdf(200), text_pdf(200))
        me = visit(site)
        me.go("/history")
        expect(me.find(f'tr[data-task="{ids[0]}"]')).to_contain_text("Done")
        expect(me.find(f'tr[data-task="{ids[0]}"] [data-cell=pages]')).to_have_text("3 / 3")
        me.go(f"/tasks/{ids[1]}")
        me.page.get_by_role("link", name="All files of this upload").click()
        expect(me.find("h1")).to_have_text("Upload of 3 files")
        expect(me.find("#pages")).to_have_text(re.compile(r"(\d\d|[4-9]) / 403"))
        me.find("#cancel button").click()
        expect(me.find("#tasks [data-state=REVOKED]")).to_have_count(2)
        expect(me.find("#cancel")).to_be_hidden()
        me.find(".menu summary").click()
        with me.page.expect_download() as begun:
            me.find("[data-format=zip]").click()
        assert begun.value.suggested_filename.endswith(".zip")
