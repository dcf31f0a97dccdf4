"""Chooses the models that read lines: those of the user's scripts that are installed.

The wheel holds one. Others are files that users put into a folder: PP-OCR's recognition models as ONNX.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from one_ocr_ray.engines.defaults import DEFAULT_MODELS
from one_ocr_ray.errors import UsageError

MODELS_FOLDER = Path("~/.cache/one-ocr/models")
# Languages whose letters the model in the wheel knows, and their scripts.
_SHIPPED = (
    "zh ja en af ca cs cy da de eo es et eu fi fr ga gl hr hu id is it la lt lv ms mt nl no pl pt ro sk sl sq sv sw tl "
    "tr latin latn hans hant jpan"
)
SHIPPED = frozenset(_SHIPPED.split())
# The names that models of PP-OCR have, by language and script; a model may also have the language's own name.
_SCRIPTS = {
    "eslav cyrillic": "ru uk be",
    "cyrillic": "bg sr mk kk ky mn tg cyrl",
    "devanagari": "hi mr ne sa deva",
    "korean": "ko kore",
    "el": "grek",
    "th": "thai",
    "latin": "vi",
}
_NAMES = {code: names.split() for names, codes in _SCRIPTS.items() for code in codes.split()}


@dataclass(frozen=True, slots=True)
class LineModels:
    """Files of recognition models, in the order of asking. None is the one in the wheel."""

    files: tuple[str | None, ...] = (None,)

    @property
    def name(self) -> str:
        """The value of the column `model`."""
        if self.files == (None,):
            return DEFAULT_MODELS["local"]
        return "rapidocr-" + "+".join("pp-ocrv6-small" if file is None else Path(file).stem for file in self.files)


SHIPPED_MODEL = LineModels()


def line_models(codes: str | None, folder: Path | None) -> LineModels:
    """The models for the languages of `codes`, such as `ru,en`. Raises UsageError where one is not installed."""
    wanted = [code.strip().lower().partition("-")[0] for code in (codes or "").split(",") if code.strip()]
    where = (folder or MODELS_FOLDER).expanduser().absolute()
    files: dict[str | None, None] = {}
    for code in wanted:
        own = _installed(code, where)
        if own is None and code not in SHIPPED:
            there = ", ".join(sorted(SHIPPED | {file.stem.partition("_")[0] for file in where.glob("*.onnx")}))
            raise UsageError(
                f"--language: no model for {code!r} is installed; there are {there}: put "
                f"{_NAMES.get(code, [code])[0]}.onnx, a recognition model of PP-OCR, into {where} on every node, or "
                "name another folder by --language-models."
            )
        files[own] = None
    return LineModels(tuple(files)) if files else SHIPPED_MODEL


def _installed(code: str, folder: Path) -> str | None:
    """The file of a language's model. Its name begins with the language or its script, up to an underscore."""
    for name in (code, *_NAMES.get(code, ())):
        for file in sorted(folder.glob("*.onnx")):
            if name in {file.stem.lower(), file.stem.lower().partition("_")[0]}:
                return str(file)
    return None
