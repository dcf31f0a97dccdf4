"""What the service is told beside what a run is told."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from one_ocr_ray.errors import UsageError
from one_ocr_ray.settings.run import load
from one_ocr_ray.settings.service import load_service

if TYPE_CHECKING:
    from pathlib import Path


def test_without_keys_only_loopback_is_served(tmp_path: Path) -> None:
    """Another address needs a file of API keys, and the sentence says so."""
    for host in ("127.0.0.1", "::1", "localhost"):
        assert load_service({"host": host}).host == host
    for host in ("0.0.0.0", "::", "10.0.0.1", "ocr.example"):
        with pytest.raises(UsageError, match="api_keys_file"):
            load_service({"host": host})
        assert load_service({"host": host, "api_keys_file": str(tmp_path / "keys")}).host == host


def test_names_come_parted_by_commas_or_as_a_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Flags and the environment give text, the file a list."""
    assert load_service({"engines": "openai, gemini"}).engines.keys() == {"openai", "gemini"}
    monkeypatch.setenv("ONE_OCR_ALLOWED_HOSTS", "a.example,b.example")
    assert load_service({}).allowed_hosts == ("a.example", "b.example")
    monkeypatch.delenv("ONE_OCR_ALLOWED_HOSTS")
    (tmp_path / "c.yaml").write_text("allowed_hosts: [a.example]\n")
    assert load_service({}, tmp_path / "c.yaml").allowed_hosts == ("a.example",)


def test_runs_and_the_service_may_share_an_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A setting of the one is no mistake for the other; what Kubernetes sets for a Service `one-ocr` is for neither."""
    monkeypatch.setenv("ONE_OCR_STORE", "s3://bucket/service")
    monkeypatch.setenv("ONE_OCR_RPM", "60")
    assert load({}).rpm == 60
    assert (load_service({}).store, load_service({}).rpm) == ("s3://bucket/service", 60)
    for name, value in {"PORT": "tcp://10.0.0.1:80", "PORT_80_TCP": "tcp://10.0.0.1:80", "SERVICE_PORT": "80"}.items():
        monkeypatch.setenv(f"ONE_OCR_{name}", value)
    assert (load({}).rpm, load_service({}).port, load_service({"port": 1}).port) == (60, 8000, 1)
