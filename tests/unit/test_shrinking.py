"""Smaller copies of page images."""

from __future__ import annotations

import io
from dataclasses import replace
from hashlib import sha256

from PIL import Image

from one_ocr_ray.engines.shrinking import changed_image
from tests.unit.wire_samples_reader import page_image


def test_a_shrunk_image_says_its_own_size_and_hash() -> None:
    """The row must describe the image that was sent."""
    picture = io.BytesIO()
    Image.new("L", (400, 600), 255).save(picture, "JPEG")
    page = replace(page_image(picture.getvalue()), width_px=400, height_px=600)
    smaller = changed_image(page, 0.7)
    assert Image.open(io.BytesIO(smaller.data)).size == (smaller.width_px, smaller.height_px) == (280, 420)
    assert smaller.sha256 == sha256(smaller.data).hexdigest()
    assert changed_image(page, 1.0) is page
