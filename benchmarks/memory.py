"""Shows if memory grows with the pages of a document: the peak of the whole process tree for a short and a long one.

    python -m benchmarks.memory [--pages 500 10000] [--in-flight 64] [--latency 1.0]

Memory is proportional set size, so what processes share counts once.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from benchmarks.llm import OURS, measure, write_documents


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pages", type=int, nargs="+", default=[500, 10_000])
    parser.add_argument("--in-flight", type=int, default=64)
    parser.add_argument("--latency", type=float, default=1.0)
    options = parser.parse_args()
    print(f"{'pages':>8}{'peak MB':>10}{'ratio':>8}{'wall s':>9}{'1st request s':>15}")
    first_bytes = 0
    with tempfile.TemporaryDirectory() as scratch:
        for pages in options.pages:
            folder = write_documents(Path(scratch) / str(pages), pages, pages)
            run = measure(OURS, folder, options.in_flight, options.latency)
            first_bytes = first_bytes or run.peak_bytes
            print(
                f"{pages:>8}{run.peak_bytes / 1e6:>10.0f}{run.peak_bytes / first_bytes:>8.2f}"
                f"{run.wall_s:>9.1f}{run.first_request_s:>15.2f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
