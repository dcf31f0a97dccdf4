"""Shrinks a page image for a provider that rejects it as too large."""

from __future__ import annotations

import io
from dataclasses import replace
from hashlib import sha256
from typing import TYPE_CHECKING

from PIL import Image

if TYPE_CHECKING:
    from one_ocr_ray.model import PageImage

_JPEG_QUALITY = 85


def shrunk(image: PageImage, scale: float) -> PageImage:
    """`image` with its sides times `scale` (0-1), as a new JPEG. Takes some 30 ms of CPU: call it in a thread."""
    if scale >= 1.0:
        return image
    size = max(1, round(image.width_px * scale)), max(1, round(image.height_px * scale))
    with Image.open(io.BytesIO(image.data)) as opened:
        smaller = opened.resize(size, Image.Resampling.LANCZOS)
    encoded = io.BytesIO()
    smaller.save(encoded, "JPEG", quality=_JPEG_QUALITY)
    data = encoded.getvalue()
    return replace(image, width_px=size[0], height_px=size[1], data=data, sha256=sha256(data).hexdigest())
