"""From a model's answer in its own form to Markdown and blocks with boxes."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from typing import TYPE_CHECKING

from one_ocr_ray.model import Action, ErrorCode, Failure
from one_ocr_ray.policy.profiles import doctags, layout_html, layout_json, tagged
from one_ocr_ray.policy.profiles.pieces import to_blocks, to_markdown
from one_ocr_ray.profile import AnswerFormat

if TYPE_CHECKING:
    from one_ocr_ray.model import Answer, PageImage
    from one_ocr_ray.profile import ModelProfile

_READERS = {
    AnswerFormat.LAYOUT_JSON: layout_json.pieces,
    AnswerFormat.LAYOUT_HTML: layout_html.pieces,
    AnswerFormat.GROUNDING: tagged.grounded,
    AnswerFormat.MARKERS: tagged.marked,
    AnswerFormat.DOCTAGS: doctags.pieces,
}
_OTHER_FORM = Failure(
    ErrorCode.PROVIDER_BAD_RESPONSE, "The answer is not in the form that this model writes.", Action.RETRY
)
_TURNED = Failure(ErrorCode.PROVIDER_BAD_RESPONSE, "The model says that the page is turned.", Action.RETRY_CHANGED)

_FRONT_MATTER = re.compile(r"\A---[ \t]*\n(.{0,2000}?)^---[ \t]*$\n?", re.DOTALL | re.MULTILINE)
_FIELD = re.compile(r"^(is_rotation_valid|rotation_correction):[ \t]*(\w+)", re.MULTILINE)
_FIGURE_FILE = re.compile(r"!\[([^\[\]]{0,2000})\]\(page_[\d_]{1,40}\.png\)")

_TAGGED = re.compile(r"<(img|watermark|page_number|signature)>([^<>]{0,5000})</\1>")


def read_answer(answer: Answer, profile: ModelProfile, image: PageImage) -> Answer:
    """`answer`, judged already, with Markdown as `text` and with `blocks` where its form tells them.

    An answer that was cut off gives what is whole. One in another form fails, and is asked for again.
    """
    failure = answer.failure
    if failure is not None and not (failure.code is ErrorCode.TRUNCATED and answer.text):
        return answer
    match profile.answer:
        case AnswerFormat.MARKDOWN:
            return replace(answer, text=_TAGGED.sub(_tag, answer.text).strip())
        case AnswerFormat.FRONT_MATTER:
            return _without_front_matter(answer)
    found = _READERS[profile.answer](answer.text, grid_of(profile, image))
    if found is None:
        return replace(answer, failure=failure or _OTHER_FORM)
    return replace(answer, text=to_markdown(found), blocks=to_blocks(found, image.page_box))


def grid_of(profile: ModelProfile, image: PageImage) -> tuple[float, float]:
    """The width and height that boxes of an answer refer to.

    Pixels are those of the image as the model's processor resizes it: `smart_resize` of Qwen2-VL.
    """
    if profile.grid is not None:
        return profile.grid, profile.grid
    patch, width, height = profile.patch_px, image.width_px, image.height_px
    sides = [max(patch, round(side / patch) * patch) for side in (width, height)]
    area = sides[0] * sides[1]
    if area > profile.most_area_px:
        scale = math.sqrt(width * height / profile.most_area_px)
        sides = [max(patch, math.floor(side / scale / patch) * patch) for side in (width, height)]
    elif area < profile.least_area_px:
        scale = math.sqrt(profile.least_area_px / (width * height))
        sides = [math.ceil(side * scale / patch) * patch for side in (width, height)]
    return sides[0], sides[1]


def _without_front_matter(answer: Answer) -> Answer:
    """The Markdown after the front matter of olmOCR. A page that it calls turned is turned and asked for again."""
    front = _FRONT_MATTER.match(answer.text)
    if front is None:
        return replace(answer, failure=answer.failure or _OTHER_FORM)
    fields = dict(_FIELD.findall(front[1]))
    text = _FIGURE_FILE.sub(r"![\1]()", answer.text[front.end() :]).strip()
    answer = replace(answer, text="" if text == "null" else text)
    turn = fields.get("rotation_correction", "0")
    if fields.get("is_rotation_valid", "true").lower() == "false" and turn in ("90", "180", "270"):
        return replace(answer, failure=answer.failure or _TURNED, rotation_deg=int(turn))
    return answer


def _tag(found: re.Match[str]) -> str:
    """Nanonets' own tags: a page number belongs to the sheet, pictures and signatures are pictures."""
    text = " ".join(found[2].split())
    written = {"page_number": "", "watermark": text, "signature": "![signature]()", "img": f"![{text}]()"}
    return written[found[1]]
