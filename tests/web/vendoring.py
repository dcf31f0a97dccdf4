"""`python -m tests.web.vendoring`: fetches the front-end files of others that this repository carries, as locked.

Each `vendor/lock.json` names packages of npm with version, integrity and licence, and the SHA-256 of every file taken
from them. The program fetches the packages with npm, checks their integrity, writes the files and their hashes anew;
to move to another version, change version and integrity in the lock and run it.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import subprocess
import tarfile
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = (ROOT / "one_ocr_ray/service/web/static/vendor", ROOT / "tests/web/vendor")


def main() -> None:
    for folder in FOLDERS:
        lock = json.loads((folder / "lock.json").read_text())
        for name, package in lock.items():
            package["files"] = _unpack(_package(name, package), folder / name, package["files"])
        (folder / "lock.json").write_text(json.dumps(lock, indent=2) + "\n")


def _package(name: str, package: dict[str, str]) -> bytes:
    with tempfile.TemporaryDirectory() as scratch:
        subprocess.run(["npm", "pack", "--silent", f"{package['npm']}@{package['version']}"], check=True, cwd=scratch)
        data = next(Path(scratch).iterdir()).read_bytes()
    integrity = "sha512-" + base64.b64encode(hashlib.sha512(data).digest()).decode()
    if integrity != package["integrity"]:
        raise SystemExit(f"{name}: the package is not the one in the lock: {integrity}")
    return data


def _unpack(data: bytes, folder: Path, files: dict[str, str]) -> dict[str, str]:
    hashes = {}
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        for source in files:
            member = archive.extractfile(f"package/{source}")
            assert member is not None, source
            content = member.read()
            target = folder / source.removeprefix("dist/")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
            hashes[source] = hashlib.sha256(content).hexdigest()
    return hashes


if __name__ == "__main__":
    main()
