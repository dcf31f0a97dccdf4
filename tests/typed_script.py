"""A program of somebody who uses the Python API; `make types` checks it strictly, as theirs would be."""

from __future__ import annotations

import one_ocr_ray as ocr


def main() -> int:
    """Run, read the results, ask a service."""
    summary = ocr.run(["a.pdf"], "out", engine="local", say=print)
    with ocr.Client("http://127.0.0.1:8000") as client:
        names: list[str] = [task.filename for task in client.upload("a.pdf")]
    document = ocr.read("a.pdf", engine="local")
    kinds = [block.kind.value for page in document.pages for block in page.blocks]
    print(names, ocr.open("out").root, document.markdown, kinds, ocr.PageReader(pages="1"))
    cost: float | None = ocr.estimate("a.pdf", engine="openai").as_json()["cost_usd"]
    print(
        cost,
        ocr.export("out", "files", "html").documents,
        ocr.verify("out"),
        ocr.evaluate("out", "truth").all.figures(),
    )
    return summary.exit_code


def wrong() -> None:
    """Arguments of a wrong type are found: an ignore that is not needed is an error."""
    ocr.run(["a.pdf"], "out", say=3)  # type: ignore[arg-type]
    ocr.read(3)  # type: ignore[arg-type]
    ocr.Client(url=8000)  # type: ignore[arg-type]
