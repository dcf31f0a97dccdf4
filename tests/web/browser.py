"""The browser of these tests: where it is, and `python -m tests.web.browser`, which installs it with its fonts."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

# Taken out of the environment: it is no setting of the product.
CHOSEN = os.environ.pop("ONE_OCR_CHROMIUM", None)
SYSTEM = Path("/usr/bin/chromium")
PACKAGES = ("chromium", "fonts-noto-cjk")  # of Debian and Ubuntu; the fonts have glyphs for Chinese


def executable() -> Path | None:
    """The chosen browser, else the system's; None for the one that Playwright has installed."""
    if CHOSEN is not None:
        return Path(CHOSEN)
    return SYSTEM if SYSTEM.is_file() else None


def install() -> None:
    """Install what is missing: by apt where there is apt, else Playwright's own browser."""
    if CHOSEN is not None:
        return
    if shutil.which("apt-get") is None:
        subprocess.run([sys.executable, "-m", "playwright", "install", "chromium"], check=True)
    elif not _are_installed(PACKAGES):
        as_root = [] if os.geteuid() == 0 else ["sudo"]
        quiet = [*as_root, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq"]
        subprocess.run([*quiet, "update"], check=True)
        subprocess.run(
            [*quiet, "install", "-y", "--no-install-recommends", *PACKAGES], check=True, stdout=subprocess.DEVNULL
        )


def _are_installed(packages: tuple[str, ...]) -> bool:
    asked = subprocess.run(["dpkg", "-s", *packages], check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return asked.returncode == 0


if __name__ == "__main__":
    install()
