"""From `--language` and `--language-models` to the models that the embedded engine reads with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from one_ocr_ray.engines.ocr.languages import line_models

if TYPE_CHECKING:
    from one_ocr_ray.engines.ocr.languages import LineModels
    from one_ocr_ray.settings.run import Settings


def line_models_of(settings: Settings) -> LineModels:
    """The models of the chosen languages. Raises UsageError for a language whose model is not installed."""
    return line_models(settings.language, settings.language_models)
