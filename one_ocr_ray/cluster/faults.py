"""Reading the faults of concurrent work: what Ray and task groups wrap is unwrapped here."""

from __future__ import annotations

from one_ocr_ray.errors import OneOcrError


def first_fault(group: ExceptionGroup[Exception]) -> Exception:
    """The fault that ended a task group; one of our own before any other, for it has a sentence."""
    leaves = list(_leaves(group))
    return next((leaf for leaf in leaves if isinstance(leaf, OneOcrError)), leaves[0])


def _leaves(group: ExceptionGroup[Exception]) -> list[Exception]:
    return [
        leaf for each in group.exceptions for leaf in (_leaves(each) if isinstance(each, ExceptionGroup) else [each])
    ]
