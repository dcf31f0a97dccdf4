"""Advice from a profile on vLLM's version and weights, for whoever starts a server."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from one_ocr_ray.policy.servers.command import ServerPlan


def pin_advice(plan: ServerPlan) -> str | None:
    """The advice to pin the weights, if their repository changes and no revision is given."""
    if plan.profile is None or not plan.profile.pin_revision or plan.revision is not None:
        return None
    return f"{plan.model} has changed under its name, or brings code of its own: pin the weights with --revision."


def version_fault(plan: ServerPlan, installed: str | None) -> str | None:
    """A vLLM that is too old for the model. None where `installed` is not known, or another server is started."""
    least = plan.profile.least_vllm if plan.profile is not None and plan.template is None else ""
    if not least or installed is None or _numbers(installed) >= _numbers(least):
        return None
    return f"vLLM {installed} is installed, and {plan.model} needs {least} or later"


def _numbers(version: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", version.partition("+")[0])[:3]]
