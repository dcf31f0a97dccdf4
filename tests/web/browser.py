"""The browser of these tests: where it is, and `python -m tests.web.browser`, which installs it with its fonts."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

# Taken out of the environment: it is no setting of the product.
CHOSEN = os.environ.pop("ONE_OCR_CHROMIUM", None)
# Either will do. The first, Debian's build without windows and the kind that Playwright itself would start, needs less
# than half the CPU time of the second for a page.
SYSTEM = (Path("/usr/bin/chromium-headless-shell"), Path("/usr/bin/chromium"))
FONTS = "fonts-noto-cjk"  # glyphs for Chinese


def executable() -> Path | None:
    """The chosen browser, else the system's; None for the one that Playwright has installed."""
    if CHOSEN is not None:
        return Path(CHOSEN)
    return next((each for each in SYSTEM if each.is_file()), None)


def install() -> None:
    """Install what is missing: by apt where there is apt, else Playwright's own browser."""
    if CHOSEN is not None:
        return
    if shutil.which("apt-get") is None:
        subprocess.run([sys.executable, "-m", "playwright", "install", "chromium"], check=True)
    elif executable() is None or not _is_installed(FONTS):
        as_root = [] if os.geteuid() == 0 else ["sudo"]
        quiet = [*as_root, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq"]
        subprocess.run([*quiet, "update"], check=True)
        install = [*quiet, "install", "-y", "--no-install-recommends", FONTS]
        if executable() is None:
            install.append(next((each.name for each in SYSTEM if _is_known(each.name)), "chromium"))
        subprocess.run(install, check=True, stdout=subprocess.DEVNULL)


def _is_installed(package: str) -> bool:
    return subprocess.run(["dpkg", "-s", package], check=False, capture_output=True).returncode == 0


def _is_known(package: str) -> bool:
    return subprocess.run(["apt-cache", "show", package], check=False, capture_output=True).returncode == 0


if __name__ == "__main__":
    install()
