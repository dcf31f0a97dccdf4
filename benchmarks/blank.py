"""Pages with print and pages without, drawn at several sizes: how many are taken for what they are not.

    python -m benchmarks.blank

Print taken for blank is lost text; a blank page taken for print costs a needless look.
"""

from __future__ import annotations

from one_ocr_ray.model import PageImage
from one_ocr_ray.pdf.reader import PdfChild
from one_ocr_ray.policy.page.blank import is_blank
from tests.sheets import sheets

SIZES_PX = (512, 800, 1600, 3200)


def main() -> None:
    lost: dict[int, list[str]] = {px: [] for px in SIZES_PX}
    needless: dict[int, list[str]] = {px: [] for px in SIZES_PX}
    printed = blank = 0
    with PdfChild() as child:
        for sheet in list(sheets(child)):
            printed, blank = printed + sheet.printed, blank + (not sheet.printed)
            child.inspect(sheet.data)
            for px in SIZES_PX:
                page = child.render(1, px)
                assert isinstance(page, PageImage), (sheet.name, page)
                if is_blank(page.ink_cells) == sheet.printed:
                    (lost if sheet.printed else needless)[px].append(sheet.name)
    print(f"{printed} pages with print, {blank} without\n")
    print("| longest side | print taken for blank | blank taken for print |\n|---|---|---|")
    for px in SIZES_PX:
        print(f"| {px} px | {len(lost[px])} | {len(needless[px])} |")
    for px in SIZES_PX:
        for name in lost[px]:
            print(f"{px} px, lost: {name}")
        for name in needless[px]:
            print(f"{px} px, needless: {name}")


if __name__ == "__main__":
    main()
