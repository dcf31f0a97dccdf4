"""The whole job, for a laptop or for `ray job submit --working-dir . -- python jobs/ocr.py INPUT... --output URI`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # a submitted folder is not an installed package

from one_ocr_ray.cli import main

if __name__ == "__main__":
    sys.exit(main(["run", *sys.argv[1:]]))
