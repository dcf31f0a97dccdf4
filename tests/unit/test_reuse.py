"""Pages that an earlier dataset has are taken from it: same image, prompt, model and schema, and nothing paid twice."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from one_ocr_ray.errors import UsageError
from one_ocr_ray.model import Answer, ErrorCode, Failure, Shard
from one_ocr_ray.policy.dataset.documents import RunIdentity
from one_ocr_ray.policy.dataset.reuse import ReuseRule, reused_row
from one_ocr_ray.reading.reuse import Reuse, reuse_root
from one_ocr_ray.reading.route.reader import Reader, saved_usd
from one_ocr_ray.storage.dataset.shard_files import Dataset
from one_ocr_ray.storage.store.objects import Objects
from tests.shard_runs import COST_USD, FINGERPRINT, READ, Engine, read_shard, readers
from tests.unit.wire_samples_reader import page_image
from tests.values import NOON, TIMED_OUT, document, page

if TYPE_CHECKING:
    from pathlib import Path

    from one_ocr_ray.model import PageResult

ALONE = replace(FINGERPRINT, route="off")
OLD, NEW = Shard("000000-a", (document(1),)), Shard("000000-b", (document(2, page_count=4),))


def rows_of(output: Path, shard: Shard) -> list[PageResult]:
    return Dataset(Objects(str(output)), {}).pages(shard.shard_id)


def asked(reader: Reader) -> list[int]:
    assert isinstance(reader.engine, Engine)
    return [number for number, _ in reader.engine.asked]


async def test_good_pages_of_an_earlier_dataset_cost_nothing(tmp_path: Path) -> None:
    """They say so and stand under the new document; pages that are new are read."""
    await read_shard(tmp_path / "old", readers(second=[READ])[1:], OLD, "run-1", ALONE)
    again = readers(second=[READ])[1:]
    reuse = Reuse(str(tmp_path / "old"), "off")
    watch = await read_shard(tmp_path / "new", again, NEW, "run-2", ALONE, reuse=reuse)
    assert asked(again[0]) == [4]
    rows = rows_of(tmp_path / "new", NEW)
    assert [(row.route_reason, row.attempts, row.cost_usd) for row in rows[:3]] == [("reused", 0, 0.0)] * 3
    assert [(row.engine, row.markdown, row.run_id) for row in rows] == [("openai", READ.text, "run-2")] * 4
    assert {(row.document_id, row.source_uri, row.page_count) for row in rows} == {
        (document(2).document_id, document(2).uri, 4)
    }
    assert watch.totals.cost_usd == pytest.approx(COST_USD)
    assert (saved_usd(rows[0], again) or 0) > 0
    assert saved_usd(rows[3], again) == 0.0


async def test_pages_that_failed_are_read(tmp_path: Path) -> None:
    """A failure may be gone by now."""
    refused = Answer(failure=Failure(ErrorCode.REFUSED, "No."))
    await read_shard(tmp_path / "old", readers(second=[refused])[1:], OLD, "run-1", ALONE)
    again = readers(second=[READ])[1:]
    reuse = Reuse(str(tmp_path / "old"), "off")
    await read_shard(tmp_path / "new", again, NEW, "run-2", ALONE, reuse=reuse)
    assert asked(again[0]) == [1, 2, 3, 4]


@pytest.mark.parametrize("change", ["prompt", "model", "route"])
async def test_a_page_that_was_asked_otherwise_is_read(tmp_path: Path, change: str) -> None:
    """By another prompt or model; or by an early reader of another route, along which it might have gone on."""
    old_route = readers(second=[READ])
    await read_shard(tmp_path / "old", old_route if change == "route" else old_route[1:], OLD, "run-1")
    route = readers(second=[READ], prompt_sha256="q" * 64 if change == "prompt" else "p" * 64)
    if change == "model":
        route = (route[0], replace(route[1], engine=Engine("another", [READ])))
    told = "local,another,openai" if change == "route" else FINGERPRINT.route
    taking = route if change == "route" else route[1:]
    await read_shard(tmp_path / "new", taking, NEW, "run-2", reuse=Reuse(str(tmp_path / "old"), told))
    assert asked(taking[0]) == [1, 2, 3, 4]


async def test_the_same_route_takes_what_its_early_readers_have_read(tmp_path: Path) -> None:
    """As the model would not have been asked for these pages either."""
    await read_shard(tmp_path / "old", readers(second=[READ]), OLD, "run-1")
    again = readers(second=[READ])
    reuse = Reuse(str(tmp_path / "old"), FINGERPRINT.route)
    await read_shard(tmp_path / "new", again, NEW, "run-2", reuse=reuse)
    assert (asked(again[0]), asked(again[1])) == ([4], [])


def test_a_text_layer_is_not_in_the_image() -> None:
    """Its page is taken for the same bytes only; no failed page ever is, nor one of another image."""
    image = page_image(number=2)
    rule = ReuseRule((("text-layer", "m", None), ("openai", "m", "p")), same_route=True)
    layer = page(document(1), 2, engine="text-layer", model="m", image_sha256=image.sha256)
    assert rule.takes(layer, document(1), image)
    assert not rule.takes(layer, document(2), image)
    read = page(document(1), 2, engine="openai", model="m", prompt_sha256="p", image_sha256=image.sha256)
    assert rule.takes(read, document(2), image)
    assert not rule.takes(replace(read, image_sha256="1" * 64), document(2), image)
    assert not rule.takes(page(document(1), 2, image_sha256=image.sha256, failure=TIMED_OUT), document(1), image)


def test_figures_are_named_by_their_new_page() -> None:
    """The page may have another number in the new document."""
    row = page(document(1), 2, markdown="![a](figures/p2-7.png)")
    moved = reused_row(row, document(2), page_image(number=9), RunIdentity("run", "config"), NOON)
    assert moved.markdown == "![a](figures/p9-7.png)"


async def test_a_dataset_that_cannot_help_is_told(tmp_path: Path) -> None:
    """None there, or the output itself: a mistake. Another schema or other places: a sentence, and all is read."""
    said: list[str] = []
    await read_shard(tmp_path / "old", readers(second=[READ]), OLD, "run-1")
    old, new = str(tmp_path / "old"), str(tmp_path / "new")
    assert reuse_root(None, new, FINGERPRINT, said.append) is None
    assert reuse_root(old, new, replace(FINGERPRINT, model="m", route="off"), said.append) == old
    assert not said
    with pytest.raises(UsageError, match="no dataset"):
        reuse_root(str(tmp_path / "nothing"), new, FINGERPRINT, said.append)
    with pytest.raises(UsageError, match="another dataset"):
        reuse_root(old, old, FINGERPRINT, said.append)
    assert reuse_root(old, new, replace(FINGERPRINT, positions="words"), said.append) is None
    assert "--positions none before, words now" in said[0]
