"""`_run/spent/`: costs that no row shows, for a ceiling over all runs.

Each record is an object of its own, written once and never changed. There is one for pages that ended in a stop or were
cut off, for answers that were lost on their way, and for rows that another writer's rows replaced.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from secrets import token_hex
from typing import TYPE_CHECKING

import orjson

from one_ocr_ray.errors import OneOcrError
from one_ocr_ray.policy.cost.spending import Spending

if TYPE_CHECKING:
    from one_ocr_ray.storage.store.objects import Objects

SPENT = "_run/spent"


def record_spending(output: Objects, spending: Spending) -> None:
    """Record `spending` of this output, durably; not by whom."""
    values = asdict(spending)
    del values["readers"]
    output.put_new(f"{SPENT}/{token_hex(8)}.json", orjson.dumps(values))


def recorded_spending(output: Objects, worst_case_usd: float | None) -> Spending:
    """The sum of all records. Requests that had no price at the time count `worst_case_usd` each.

    Raise OneOcrError for a record that cannot be read: no cost may be forgotten in silence.
    """
    paths = [info.path for info in output.list(SPENT) if info.path.endswith(".json")]
    total = Spending()
    for path, data in zip(paths, output.get_many(paths), strict=True):
        try:
            values = orjson.loads(data or b"")
            spending = Spending(**{**values, "rows": tuple(values["rows"])})
        except (orjson.JSONDecodeError, KeyError, TypeError) as error:
            raise OneOcrError(
                f"The file {path} of this output is damaged; it says what requests have cost. Put it back from a copy, "
                "or remove it: then its money is forgotten."
            ) from error
        if spending.unknown_usd is None and worst_case_usd is not None:
            spending = replace(spending, unknown_usd=spending.requests * worst_case_usd)
        total += spending
    return total
