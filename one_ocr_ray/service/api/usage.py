"""`GET /v1/usage`: what the caller's key has used, by day and reader."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from datetime import UTC, date, datetime, timedelta
from functools import reduce
from operator import add
from typing import TYPE_CHECKING, Annotated, Self

from fastapi import APIRouter, Query
from fastapi.responses import Response
from pydantic import BaseModel

from one_ocr_ray.policy.tasks.usage import Use, since
from one_ocr_ray.service.api.openapi import problem_responses
from one_ocr_ray.service.api.schemas import json_response
from one_ocr_ray.service.dependencies import Owner, Service, ServiceDep
from one_ocr_ray.storage.tasks.usage_ledger import KEPT_FOR, UsageLedger

if TYPE_CHECKING:
    from collections.abc import Iterable

router = APIRouter(tags=["usage"])

SHOWN_DAYS = 30


class UseBody(BaseModel):
    """Pages that were read, what they took, and what they cost. Null: the price is unknown."""

    pages: int
    input_tokens: int
    output_tokens: int
    cost_usd: float | None

    @classmethod
    def sum_of(cls, uses: Iterable[Use]) -> Self:
        return cls(**asdict(reduce(add, uses, Use())))


class DayOfUse(UseBody):
    """A day (UTC) with any page."""

    day: date
    readers: dict[str, UseBody]


class UsageReport(BaseModel):
    """The days since `first_day`, newest first, and their sums."""

    first_day: date
    days: list[DayOfUse]
    readers: dict[str, UseBody]
    total: UseBody


@router.get("/v1/usage", response_model=UsageReport, responses=problem_responses(400, 401, 429, 503))
async def usage(
    service: ServiceDep, owner: Owner, days: Annotated[int, Query(ge=1, le=KEPT_FOR.days)] = SHOWN_DAYS
) -> Response:
    """Pages, tokens and USD of the caller's key by day and reader, of tasks that have ended. Deleted ones count too."""
    return json_response(await usage_of(service, owner, days))


async def usage_of(service: Service, owner: str, days: int = SHOWN_DAYS) -> UsageReport:
    """What `owner` has used today and on the days before it, `days` together."""
    first_day = datetime.now(UTC).date() - timedelta(days=days - 1)
    use = since(await asyncio.to_thread(UsageLedger(service.store.root).use, owner), first_day)
    readers = sorted({reader for each in use.values() for reader in each})
    return UsageReport(
        first_day=first_day,
        days=[
            DayOfUse(
                day=date.fromisoformat(day),
                readers={reader: UseBody.sum_of([each[reader]]) for reader in sorted(each)},
                **UseBody.sum_of(each.values()).model_dump(),
            )
            for day, each in sorted(use.items(), reverse=True)
        ],
        readers={name: UseBody.sum_of(each[name] for each in use.values() if name in each) for name in readers},
        total=UseBody.sum_of(use for each in use.values() for use in each.values()),
    )
