"""From settings to the endpoints of an engine: address, key, limits and name of each."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from pydantic import ValidationError
from yarl import URL

from one_ocr_ray.engines.defaults import DEFAULT_BASE_URLS
from one_ocr_ray.errors import UsageError
from one_ocr_ray.job import Endpoint
from one_ocr_ray.policy.ratelimit.messages import NO_QUOTA, Limits
from one_ocr_ray.settings.engines import EndpointSettings
from one_ocr_ray.settings.run import base_urls

if TYPE_CHECKING:
    from collections.abc import Iterable

    from one_ocr_ray.engines.options import EngineOptions
    from one_ocr_ray.settings.run import Settings


def endpoint_settings_of(settings: Settings) -> tuple[EndpointSettings, ...]:
    """The endpoints as set; without any, the provider's own. Raises UsageError for one that is given in two ways."""
    if settings.endpoints and settings.base_url:
        raise UsageError("Give the addresses either as base_url or as endpoints, not both.")
    if settings.endpoints:
        return settings.endpoints
    parted = (url.partition("#") for url in base_urls(settings))
    try:
        return tuple(
            EndpointSettings(base_url=url, api_key_env=variable or settings.api_key_env) for url, _, variable in parted
        ) or (EndpointSettings(api_key_env=settings.api_key_env),)
    except ValidationError as error:
        raise UsageError(
            "--base-url: behind # stands the name of the variable that holds the key, such as "
            "https://host/v1#KEY_OF_HOST, and not the key."
        ) from error


def endpoints_of(settings: Settings, options: EngineOptions) -> tuple[Endpoint, ...]:
    """The endpoints of the engine of `options`. Limits that one does not name are those of the engine, for each.

    Raises UsageError for two that are the same.
    """
    found: list[Endpoint] = []
    names: Counter[str] = Counter()
    for each in endpoint_settings_of(settings):
        url = address_of(each, options.name)
        own = replace(options, base_url=url, key_variable=each.api_key_env or settings.api_key_env)
        limits = Limits(
            each.rpm or settings.rpm, each.tpm or settings.tpm, each.rpd or settings.rpd, settings.max_in_flight
        )
        if any((url, own.key_variable) == (other.options.base_url, other.options.key_variable) for other in found):
            raise UsageError("Two endpoints have the same address and the same key: give each once.")
        host = URL(url)
        name = each.name or f"{host.host}" + (f":{host.explicit_port}" if host.explicit_port else "")
        names[name] += 1
        found.append(Endpoint(name if names[name] == 1 else f"{name}-{names[name]}", own, limits, each.weight))
    return tuple(found)


def address_of(endpoint: EndpointSettings, engine: str) -> str:
    """The address of an endpoint; without one the provider's own."""
    return (endpoint.base_url or DEFAULT_BASE_URLS[engine]).rstrip("/")


def total_limits(endpoints: Iterable[Endpoint]) -> Limits:
    """What the endpoints allow together; None where one of them has no such limit."""
    limits = [endpoint.limits for endpoint in endpoints]
    return Limits(
        _sum([each.requests_per_minute for each in limits]),
        _sum([each.tokens_per_minute for each in limits]),
        None if (days := _sum([each.requests_per_day for each in limits])) is None else int(days),
        limits[0].max_in_flight,
    )


def _sum(numbers: list[float | None] | list[int | None]) -> float | None:
    known = [number for number in numbers if number not in {None, NO_QUOTA}]
    return sum(known) if len(known) == len(numbers) else None
