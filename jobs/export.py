"""Files from a dataset: `python jobs/export.py OUTPUT --to DIR --format md|txt|jsonl|dolma`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # a submitted folder is not an installed package

from one_ocr_ray.cli import main

if __name__ == "__main__":
    sys.exit(main(["export", *sys.argv[1:]]))
