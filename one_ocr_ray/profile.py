"""`ModelProfile`: how one family of OCR models is asked, and in which form it answers. Frozen nouns, no behaviour.

The known families stand in policy/profiles/catalog.py; a user's own profile is a file with these fields.
"""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 - pydantic reads the annotations of a user's file
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class PromptOrder(StrEnum):
    """Where the prompt stands in the user's message. Models were trained on one order."""

    IMAGE_FIRST = "image_first"
    TEXT_FIRST = "text_first"
    IMAGE_ALONE = "image_alone"  # the model would echo a prompt


class AnswerFormat(StrEnum):
    """The form of an answer; policy/profiles reads each."""

    MARKDOWN = "markdown"
    FRONT_MATTER = "front_matter"  # YAML, then Markdown
    LAYOUT_JSON = "layout_json"  # a list of objects with bbox, category, text
    LAYOUT_HTML = "layout_html"  # divisions with data-bbox and data-label
    GROUNDING = "grounding"  # <|ref|>label<|/ref|><|det|>[[x1, y1, x2, y2]]<|/det|> and the text
    MARKERS = "markers"  # ![label](x1,y1,x2,y2) and the text
    DOCTAGS = "doctags"  # <text><loc_1><loc_2><loc_3><loc_4>the text</text>


@dataclass(frozen=True, slots=True)
class ModelProfile:
    """One family of models.

    models: beginnings of the last part of a model's id, in lower case, such as `olmocr-2`.
    system: the system message; None sends none.
    grid: boxes in an answer count from 0 to this over the page's width and height. None: they are pixels of the image
        as the model's processor resizes it, to sides that are multiples of `patch_px`.
    request_fields: more fields of the request's body, such as top_p.
    server_args: what `vllm serve` needs for these models. least_vllm: the first version that runs them.
    pin_revision: the repository has changed its model under one name, or runs code of its own.
    source: where these facts come from.
    """

    name: str
    models: tuple[str, ...] = ()
    prompt: str = ""
    order: PromptOrder = PromptOrder.IMAGE_FIRST
    system: str | None = None
    answer: AnswerFormat = AnswerFormat.MARKDOWN
    grid: int | None = 1000
    patch_px: int = 28
    least_area_px: int = 3136
    most_area_px: int = 11_289_600
    longest_side_px: int | None = None
    temperature: float | None = None
    output_tokens: int = 8192
    request_fields: Mapping[str, Any] = field(default_factory=dict)
    server_args: tuple[str, ...] = ()
    least_vllm: str = ""
    pin_revision: bool = False
    licence: str = ""
    source: str = ""
