"""Metrics as a scrape has them, and what a PromQL expression needs of a scrape."""

from __future__ import annotations

import re
from collections import defaultdict

SAMPLE = re.compile(r"^(?P<name>[a-zA-Z_:][\w:]*)(?:\{(?P<labels>.*)\})? (?P<value>\S+)", re.MULTILINE)
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


def samples(text: str) -> dict[str, list[dict[str, str]]]:
    """The labels of every sample, by metric."""
    found: dict[str, list[dict[str, str]]] = defaultdict(list)
    for sample in SAMPLE.finditer(text):
        found[sample["name"]].append(dict(LABEL.findall(sample["labels"] or "")))
    return dict(found)


SELECTOR = re.compile(r"\b(ray_\w+)(?:\{([^}]*)\})?")
MATCHER = re.compile(r'(\w+)\s*(=~|=)\s*"([^"]*)"')
GROUPING = re.compile(r"\bby \(([^)]*)\)")
GIVEN_BY_PROMETHEUS = {"instance", "job"}


def metrics_of(expression: str) -> set[str]:
    """The metrics that `expression` names."""
    return {name for name, _matchers in SELECTOR.findall(expression)}


def lacking(expression: str, scraped: dict[str, list[dict[str, str]]]) -> list[str]:
    """What `expression` asks for that is not in the scrape: metrics, label values, labels to group by."""
    lacks = []
    groups = {label.strip() for group in GROUPING.findall(expression) for label in group.split(",")}
    for name, matchers in SELECTOR.findall(expression):
        wanted = MATCHER.findall(matchers)
        fitting = [
            labels
            for labels in scraped.get(name, [])
            if all(re.fullmatch(value if sign == "=~" else re.escape(value), labels.get(label, ""))
                   for label, sign, value in wanted)
        ]  # fmt: skip
        if not fitting:
            lacks.append(f"{name}{{{matchers}}}")
        else:
            lacks.extend(f"{name} by {label}" for label in groups - GIVEN_BY_PROMETHEUS - set(fitting[0]))
    return lacks
