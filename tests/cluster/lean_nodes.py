"""What the nodes of `ray.cluster_utils.Cluster` do without in tests that make several of them on this machine."""

from __future__ import annotations

from typing import Any

# Helpers that nobody asks for anything there. Each node would start a log monitor, and the first an autoscaler.
NO_HELPERS: dict[str, Any] = {"include_dashboard": False, "include_log_monitor": False, "no_monitor": True}
# Workers start as in the Ray of a run: none ahead of its work, and none anew after an idle second.
ENVIRONMENT = {
    "RAY_AUTH_MODE": "disabled",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_prestart_worker_first_driver": "0",
    "RAY_idle_worker_killing_time_threshold_ms": "30000",
}
