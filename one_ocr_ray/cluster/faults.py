"""Reading the faults of concurrent work: what Ray and task groups wrap is unwrapped here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from one_ocr_ray.errors import OneOcrError

if TYPE_CHECKING:
    from ray.exceptions import RayTaskError


def cause_of(error: RayTaskError) -> Exception:
    """Our own error, without the remote traceback that Ray puts around it; anything else as it came."""
    return error.cause if isinstance(error.cause, OneOcrError) else error


def first_fault(group: ExceptionGroup[Exception]) -> Exception:
    """The fault that ended a task group; one of our own before any other, for it has a sentence."""
    leaves = list(_leaves(group))
    return next((leaf for leaf in leaves if isinstance(leaf, OneOcrError)), leaves[0])


def _leaves(group: ExceptionGroup[Exception]) -> list[Exception]:
    return [
        leaf for each in group.exceptions for leaf in (_leaves(each) if isinstance(each, ExceptionGroup) else [each])
    ]
