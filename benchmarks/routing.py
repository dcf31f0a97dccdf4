"""How often a text layer is trusted rightly: pages of good PDFs, and mutations of them that break their layers.

    python benchmarks/routing.py FOLDER [--pages N] [--seed N] [--check] [--json FILE]

FOLDER is searched for PDFs, such as /usr/share/doc of a machine with documentation packages. Up to eight pages of each
are taken by chance. Each is read as it is, and some are read again as a mutation:

    shifted   one font's table says the letter that comes next       swapped   it has two common letters exchanged
    hidden    the page as a picture over its own invisible text       covered   over its visible text
    picture   half of the page's text stands in a picture alone
    white     white text is added                                     doubled   every text is painted twice
    off page  text is added beyond the edge

A layer is right when what is taken from it differs by 2 % at most from the page's text as it was before the mutation.
An unchanged page that is refused, or a document without Latin or Chinese letters, is compared with the embedded engine
when --check is given: a good layer may be wrong from the start.
"""

from __future__ import annotations

import argparse
import io
import json
import random
import sys
import time
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import pikepdf
from PIL import Image
from pypdfium2 import PdfDocument

from one_ocr_ray.engines.ocr.engine import LocalEngine
from one_ocr_ray.model import Failure, PageImage
from one_ocr_ray.pdf.reader import PdfChild
from one_ocr_ray.policy.page.plain_text import plain_text
from one_ocr_ray.policy.text_layer.layer import unpacked
from one_ocr_ray.policy.text_layer.lines import layer_lines, text_of
from one_ocr_ray.policy.text_layer.seen import seen_of
from one_ocr_ray.routing import Route

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from one_ocr_ray.policy.text_layer.spot_check import KnownFonts

ROUTE = Route(("text-layer", "local"))
LONGEST_SIDE_PX = 1600
PAGES_OF_A_DOCUMENT = 8
WRONG = 0.02


class Case(NamedTuple):
    """One page as it was read: by which mutation, whether its layer is right, and what was said of it."""

    document: str
    page: int
    mutation: str
    right: bool
    trusted: bool
    reason: str
    cpu_s: float


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--pages", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=20260801)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--check", action="store_true", help="read refused pages by the embedded engine, too")
    options = parser.parse_args()
    cases: list[Case] = []
    out = options.json.open("w") if options.json else None
    engine = LocalEngine()
    engine.page_reader()
    for case in all_cases(options.folder, engine, options.seed, check=options.check):
        cases.append(case)
        if out:
            out.write(json.dumps(case) + "\n")
            out.flush()
        if len(cases) >= options.pages:
            break
    report(cases)
    return 0


def all_cases(folder: Path, engine: LocalEngine, seed: int, *, check: bool) -> Iterator[Case]:
    chance = random.Random(seed)
    files = [path for path in sorted(folder.rglob("*.pdf")) if path.is_file() and not path.is_symlink()]
    chance.shuffle(files)
    with PdfChild() as child, PdfChild() as other:
        for file in files:
            info = child.inspect(file)
            if isinstance(info, Failure):
                continue
            count = min(PAGES_OF_A_DOCUMENT, info.page_count)
            known: KnownFonts = {}
            for number in sorted(chance.sample(range(1, info.page_count + 1), count)):
                image = child.render(number, LONGEST_SIDE_PX, layer=True)
                if not isinstance(image, PageImage) or image.ink_cells == 0:
                    continue
                text = text_in(image)
                case = judged(file.name, "none", image, text, engine, known)
                if check and not case.trusted:
                    case = case._replace(right=agrees(image, text, engine))
                yield case
                if case.trusted and len(text) > 200:
                    for name in chance.sample(sorted(MUTATIONS), 2):
                        if (mutated := mutation(name, file, number, image)) is not None:
                            other.inspect(mutated)
                            changed = other.render(1, LONGEST_SIDE_PX, layer=True)
                            if isinstance(changed, PageImage):
                                yield judged(file.name, name, changed, text, engine, {}, number)


def judged(  # noqa: PLR0917 - all of them tell which page it is
    name: str, mutation: str, image: PageImage, text: str, engine: LocalEngine, known: KnownFonts, number: int = 0
) -> Case:
    """What the reader says of a page; its layer is right where it still says `text`."""
    started = time.process_time()
    reading = engine.read_layer(image, known, ROUTE)
    cpu_s = time.process_time() - started
    for key, record in reading.fonts.items():
        known[key] = known[key] + record if key in known else record
    verdict = reading.answer.verdict
    assert verdict is not None
    right = mutation not in LACKING and distance(text, text_in(image)) <= WRONG
    return Case(
        name, number or image.page_number, mutation, right, verdict.accepted, str(verdict.reason), round(cpu_s, 3)
    )


def text_in(image: PageImage) -> str:
    """The characters of a layer that are seen, in the order of the layer, without spaces."""
    assert image.layer is not None
    layer = unpacked(image.layer)
    lines = layer_lines(layer, seen_of(layer, glyphs_missing=image.glyphs_missing).glyphs)
    marks = sorted((mark for line in lines for mark in line.marks), key=lambda mark: mark.glyph.place)
    return text_of(marks)


def distance(text: str, other: str) -> float:
    """The share of characters that differ, whatever their order."""
    lost, added = Counter(text) - Counter(other), Counter(other) - Counter(text)
    return max(lost.total(), added.total()) / max(1, len(text))


def agrees(image: PageImage, text: str, engine: LocalEngine) -> bool:
    """True if the embedded engine reads about the same letters and digits."""
    read = "".join(filter(str.isalnum, plain_text(engine.read_page(image).text)))
    return distance("".join(filter(str.isalnum, text)), read) <= 5 * WRONG


# --- mutations --------------------------------------------------------------------------------------------------------


def mutation(name: str, file: Path, number: int, image: PageImage) -> bytes | None:
    """The page alone in a PDF, broken in that way; None where it does not have what would be broken."""
    with pikepdf.open(io.BytesIO(page_alone(file, number))) as pdf:
        if not MUTATIONS[name](pdf, pdf.pages[0], image):
            return None
        data = io.BytesIO()
        pdf.save(data)
    return data.getvalue()


def page_alone(file: Path, number: int) -> bytes:
    """A PDF of that page, taken out by pdfium: other libraries number the pages of a damaged tree otherwise."""
    data = io.BytesIO()
    with closing(PdfDocument(file)) as source, closing(PdfDocument.new()) as target:
        target.import_pages(source, [number - 1])
        target.save(data)
    return data.getvalue()


def fonts_of(page: pikepdf.Page) -> list[pikepdf.Object]:
    resources = page.obj.get("/Resources")
    fonts = resources.get("/Font") if resources is not None else None
    return [fonts[key] for key in fonts.keys()] if fonts is not None else []  # noqa: SIM118 - no dict


def with_map(change: Callable[[int], int]) -> Callable[[pikepdf.Pdf, pikepdf.Page, PageImage], bool]:
    """Give each simple font of the page a table in which its letters are changed."""

    def mutate(pdf: pikepdf.Pdf, page: pikepdf.Page, _: PageImage) -> bool:
        found = False
        for font in fonts_of(page):
            if font.get("/Subtype") in {"/Type1", "/TrueType"}:
                codes = [*range(0x41, 0x5B), *range(0x61, 0x7B)]
                pairs = b" ".join(b"<%02x> <%04x>" % (code, change(code)) for code in codes)
                table = (
                    b"begincmap 1 begincodespacerange <00> <ff> endcodespacerange %d beginbfchar %s endbfchar endcmap"
                )
                font["/ToUnicode"] = pdf.make_stream(table % (len(codes), pairs))
                found = True
        return found

    return mutate


def painted(before: bytes, after: bytes) -> Callable[[pikepdf.Pdf, pikepdf.Page, PageImage], bool]:
    """Add content before and after what the page paints."""

    def mutate(pdf: pikepdf.Pdf, page: pikepdf.Page, _: PageImage) -> bool:
        fonts = fonts_of(page)
        if not fonts:
            return False
        font = next(iter(page.obj["/Resources"]["/Font"].keys())).encode()
        page.contents_coalesce()
        content = page.obj["/Contents"].read_bytes()
        page.obj["/Contents"] = pdf.make_stream(
            before.replace(b"/F ", font + b" ") + b"q " + content + b" Q " + after.replace(b"/F ", font + b" ")
        )
        return True

    return mutate


def with_picture(*, hidden: bool) -> Callable[[pikepdf.Pdf, pikepdf.Page, PageImage], bool]:
    """Cover the page by its own picture: over invisible text, or over what it paints."""

    def mutate(pdf: pikepdf.Pdf, page: pikepdf.Page, image: PageImage) -> bool:
        if page.obj.get("/Rotate"):
            return False
        add_picture(pdf, page, image.data, (image.width_px, image.height_px), (0.0, 1.0), hide=hidden)
        return True

    return mutate


def half_picture(pdf: pikepdf.Pdf, page: pikepdf.Page, image: PageImage) -> bool:
    """Replace the upper half of the page by its picture: white over its text, and the picture on it."""
    if page.obj.get("/Rotate"):
        return False
    with Image.open(io.BytesIO(image.data)) as picture:
        upper = io.BytesIO()
        half = picture.crop((0, 0, image.width_px, image.height_px // 2))
        half.save(upper, "JPEG", quality=90)
    add_picture(pdf, page, upper.getvalue(), half.size, (0.5, 0.5), hide=False)
    return True


def add_picture(
    pdf: pikepdf.Pdf, page: pikepdf.Page, jpeg: bytes, size: tuple[int, int], span: tuple[float, float], *, hide: bool
) -> None:
    """`span`: where the picture begins from below and how high it is, as shares of the page."""
    with Image.open(io.BytesIO(jpeg)) as picture:
        space = pikepdf.Name.DeviceGray if picture.mode == "L" else pikepdf.Name.DeviceRGB
    entries = {
        "/Type": pikepdf.Name.XObject, "/Subtype": pikepdf.Name.Image, "/Width": size[0], "/Height": size[1],
        "/ColorSpace": space, "/BitsPerComponent": 8, "/Filter": pikepdf.Name.DCTDecode,
    }  # fmt: skip
    name = page.add_resource(pikepdf.Stream(pdf, jpeg, entries), pikepdf.Name.XObject)
    x0, y0, x1, y1 = (float(side) for side in page.cropbox)
    page.contents_coalesce()
    content = page.obj["/Contents"].read_bytes()
    if hide:
        content = b"3 Tr " + content.replace(b" Tr", b" pop").replace(b"BT", b"BT 3 Tr")
    place = (x1 - x0, span[1] * (y1 - y0), x0, y0 + span[0] * (y1 - y0))
    draw = b"q %f 0 0 %f %f %f cm %s Do Q" % (*place, str(name).encode())
    page.obj["/Contents"] = pdf.make_stream(b"q " + content + b" Q " + draw)


def exchanged(code: int) -> int:
    return {ord("e"): ord("a"), ord("a"): ord("e"), ord("t"): ord("n"), ord("n"): ord("t")}.get(code, code)


MORE = b"BT /F 12 Tf 1 0 0 1 %d %d Tm (secret words that nobody sees) Tj ET "
MUTATIONS = {
    "shifted": with_map(lambda code: code + 1),
    "swapped": with_map(exchanged),
    "hidden": with_picture(hidden=True),
    "covered": with_picture(hidden=False),
    "picture": half_picture,
    "white": painted(b"", b"1 g " + MORE % (100, 20)),
    "off page": painted(b"", MORE % (100, -300)),
    "doubled": painted(b"", b""),
}
LACKING = {"picture", "hidden", "covered"}  # what is taken from the layer lacks text, or may be any OCR's


# --- the table --------------------------------------------------------------------------------------------------------


def report(cases: list[Case]) -> None:
    """The confusion table by mutation, and the two figures."""
    heads = f"{'right, trusted':>15} {'right, not':>11} {'wrong, trusted':>15} {'wrong, not':>11}"
    print(f"{'mutation':10} {'pages':>6} {heads}")
    for name in ("none", *sorted(MUTATIONS), "all"):
        of_name = [case for case in cases if name in {case.mutation, "all"}]
        counts = Counter((case.right, case.trusted) for case in of_name)
        figures = [counts[each] for each in ((True, True), (True, False), (False, True), (False, False))]
        print(f"{name:10} {len(of_name):6} {figures[0]:15} {figures[1]:11} {figures[2]:15} {figures[3]:11}")
    trusted = [case for case in cases if case.trusted]
    right = [case for case in cases if case.right]
    print(f"of trusted layers right: {sum(case.right for case in trusted) / max(1, len(trusted)):.4f}")
    print(f"of right layers trusted: {sum(case.trusted for case in right) / max(1, len(right)):.4f}")
    cpu_s = sorted(case.cpu_s for case in cases if case.mutation == "none" and case.trusted)
    print(f"CPU s a trusted page as it is: median {cpu_s[len(cpu_s) // 2]:.3f}, mean {sum(cpu_s) / len(cpu_s):.3f}")
    print("reasons:", Counter((case.mutation, case.reason) for case in cases if not case.trusted).most_common(20))


if __name__ == "__main__":
    sys.exit(main())
