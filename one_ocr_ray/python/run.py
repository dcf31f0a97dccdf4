"""`one_ocr_ray.run`: what `one-ocr run` does, called from Python."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from one_ocr_ray.environment import refuse_keys_in, submitted_runtime_env
from one_ocr_ray.settings.run import key_variables, load, prepare_environment_for_ray

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from one_ocr_ray.policy.dataset.summary import RunSummary
    from one_ocr_ray.policy.progress import RunProgress
    from one_ocr_ray.settings.run import Settings


def run(
    inputs: str | Path | Sequence[str | Path],
    output: str | Path,
    *,
    on_progress: Callable[[RunProgress], None] | None = None,
    say: Callable[[str], None] | None = None,
    **settings: Any,
) -> RunSummary:
    """Read `inputs` (files, folders, globs, URIs) into the Parquet dataset at `output`. The same call resumes.

    `settings` are those of `one-ocr run`, with underscores: `engine="openai"`, `pages="1-3"`. The environment's
    `ONE_OCR_*` variables hold where none is given. Starts a Ray of its own, or joins the one at `address`.
    `on_progress` is told how far the run is every half a second, `say` what a user should know.

    The summary's `exit_code` is 0 when every page is good and 3 when some failed. Raises UsageError for a wrong
    setting, and StoppedError when the run stopped early and can be resumed; both are OneOcrError.
    """
    chosen = load({**with_inputs(settings, inputs), "output": str(output)})
    return runner(chosen)(on_progress or (lambda _: None), say or (lambda _: None))


def with_inputs(settings: dict[str, Any], inputs: str | Path | Sequence[str | Path]) -> dict[str, Any]:
    """`settings` with these inputs, one or several."""
    given = [inputs] if isinstance(inputs, str) or not hasattr(inputs, "__iter__") else inputs
    return {**settings, "inputs": [str(each) for each in given]}


def runner(chosen: Settings) -> Callable[..., RunSummary]:
    """The function that does the run of `chosen`, for this module and the command line.

    It sets up the environment, and imports Ray. Raises UsageError for a provider's key in the runtime environment.
    """
    refuse_keys_in(submitted_runtime_env(), key_variables(chosen))
    prepare_environment_for_ray(chosen)
    from one_ocr_ray.cluster.batch.run import run as run_on_ray  # noqa: PLC0415 - Ray reads its environment on import

    return partial(run_on_ray, chosen)
