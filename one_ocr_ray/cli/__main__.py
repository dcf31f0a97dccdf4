"""`python -m one_ocr_ray.cli` is `one-ocr`."""

import sys

from one_ocr_ray.cli import main

if __name__ == "__main__":
    sys.exit(main())
