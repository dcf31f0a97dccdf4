"""PDFs for tests, written byte by byte: ordinary ones whose every page says who it is, and hostile ones.

Every function returns the bytes of one file. Pages are US letter unless said otherwise.
"""

from __future__ import annotations

import hashlib
import zlib
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

CATALOG = b"<</Type/Catalog/Pages 2 0 R>>"
FONT = b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>"
LETTER = b"0 0 612 792"
GIB = 1 << 30


class Stream(NamedTuple):
    """A stream object: the entries of its dictionary without /Length, and its bytes as stored."""

    entries: bytes
    data: bytes


# ---------------------------------------------------------------- the writer


def write(
    objects: Sequence[bytes | Stream], trailer: bytes = b"", cipher: Callable[[int, bytes], bytes] | None = None
) -> bytes:
    """A PDF whose object n is `objects[n - 1]`, the first one its catalog; `cipher` encrypts each stream."""
    out = bytearray(b"%PDF-1.7\n")
    offsets = []
    for number, content in enumerate(objects, 1):
        offsets.append(len(out))
        out += b"%d 0 obj\n" % number
        if isinstance(content, Stream):
            data = cipher(number, content.data) if cipher else content.data
            out += b"<<%s/Length %d>>\nstream\n%s\nendstream" % (content.entries, len(data), data)
        else:
            out += content
        out += b"\nendobj\n"
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    out += b"trailer\n<</Size %d/Root 1 0 R%s>>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, trailer, start)
    return bytes(out)


def page_objects(
    contents: Sequence[bytes],
    *,
    box: bytes = LETTER,
    page_entries: Sequence[bytes] = (),
    resources: bytes = b"",
    count: int | None = None,
) -> list[bytes | Stream]:
    """The objects of a plain document: catalog, page tree, font /F1, then each page (4, 6, 8 ...) and its content."""
    kids = b" ".join(b"%d 0 R" % (4 + 2 * index) for index in range(len(contents)))
    tree = b"<</Type/Pages/Kids[%s]/Count %d>>" % (kids, len(contents) if count is None else count)
    objects: list[bytes | Stream] = [CATALOG, tree, FONT]
    for index, content in enumerate(contents):
        entries = page_entries[index] if page_entries else b""
        objects += [
            b"<</Type/Page/Parent 2 0 R/MediaBox[%s]/Contents %d 0 R/Resources<</Font<</F1 3 0 R>>%s>>%s>>"
            % (box, 5 + 2 * index, resources, entries),
            Stream(b"", content),
        ]
    return objects


def text(line: str, size_pt: float = 24, x_pt: float = 72, y_pt: float = 700, gray: float = 0) -> bytes:
    """The content of a page: one line of ASCII text."""
    escaped = line.replace("\\", r"\\").replace("(", r"\(").replace(")", r"\)").encode()
    return b"%g g BT /F1 %g Tf %g %g Td (%s) Tj ET\n" % (gray, size_pt, x_pt, y_pt, escaped)


def identity(name: str, page_number: int, page_count: int) -> str:
    """What stands on a page of `text_pdf`."""
    return f"{name} page {page_number} of {page_count}"


# ---------------------------------------------------------------- ordinary documents


def text_pdf(page_count: int = 1, name: str = "document") -> bytes:
    """`page_count` pages; each carries its `identity`."""
    return write(page_objects([text(identity(name, n, page_count)) for n in range(1, page_count + 1)]))


def content_pdf(*contents: bytes, box: bytes = LETTER) -> bytes:
    """One page for each content stream; `b""` is a blank page."""
    return write(page_objects(contents, box=box))


def rotated_pdf() -> bytes:
    """Four pages with /Rotate 0, 90, 180 and 270, each with one line at the top left of the unrotated page."""
    turns = (0, 90, 180, 270)
    return write(
        page_objects(
            [text(f"turned by {turn}") for turn in turns], page_entries=[b"/Rotate %d" % turn for turn in turns]
        )
    )


def filled_form_pdf() -> bytes:
    """A blank page with one filled-in text field and, at its foot, one red square annotation."""
    objects = page_objects([b""], page_entries=[b"/Annots[6 0 R 8 0 R]"])
    objects[0] = b"<</Type/Catalog/Pages 2 0 R/AcroForm<</Fields[6 0 R]/DA(/F1 24 Tf 0 g)/DR<</Font<</F1 3 0 R>>>>>>>>"
    appearance = b"/Type/XObject/Subtype/Form/Resources<</Font<</F1 3 0 R>>>>/BBox"
    return write(
        [
            *objects,
            b"<</Type/Annot/Subtype/Widget/FT/Tx/T(name)/V(FILLED IN)/F 4/Rect[72 600 372 640]/AP<</N 7 0 R>>>>",
            Stream(appearance + b"[0 0 300 40]", text("FILLED IN", x_pt=4, y_pt=8)),
            b"<</Type/Annot/Subtype/Square/F 4/Rect[72 72 172 172]/AP<</N 9 0 R>>>>",
            Stream(appearance + b"[0 0 100 100]", b"1 0 0 rg 0 0 100 100 re f"),
        ]
    )


def scan_pdf(jpeg: bytes, width_px: int, height_px: int, *, colour: bool = False) -> bytes:
    """One page that is a JPEG, gray or in colour, from edge to edge."""
    image = b"/Type/XObject/Subtype/Image/BitsPerComponent 8/Filter/DCTDecode/Width %d/Height %d/ColorSpace"
    image += b"/DeviceRGB" if colour else b"/DeviceGray"
    objects = page_objects([b"612 0 0 792 0 0 cm /X Do"], resources=b"/XObject<</X 6 0 R>>")
    return write([*objects, Stream(image % (width_px, height_px), jpeg)])


class CidFont(NamedTuple):
    """A font that a PDF names and does not hold, and how its text is written."""

    name: str
    cmap: str
    ordering: str
    codec: str


SIM_SUN = CidFont("SimSun", "GBK-EUC-H", "GB1", "gbk")
MS_MINCHO = CidFont("MS-Mincho", "90ms-RKSJ-H", "Japan1", "shift_jis")
HYSM_MYEONG_JO = CidFont("HYSMyeongJo-Medium", "KSCms-UHC-H", "Korea1", "cp949")
MING_LIU = CidFont("MingLiU", "ETen-B5-H", "CNS1", "big5")
IDENTITY = CidFont("SomeFont", "Identity-H", "Identity", "utf-16-be")  # only its /ToUnicode tells what it says


def unembedded_pdf(line: str, font: CidFont, *, size_pt: float = 18, render_mode: int = 0) -> bytes:
    """One page with one line in a font that is not in the file."""
    content = b"BT %d Tr /F1 %g Tf 72 700 Td <%s> Tj ET" % (
        render_mode,
        size_pt,
        line.encode(font.codec).hex().encode(),
    )
    objects = page_objects([content])
    codes = b" ".join(b"<%04x> <%04x>" % (ord(character), ord(character)) for character in dict.fromkeys(line))
    unicode_map = b"begincmap 1 begincodespacerange <0000> <ffff> endcodespacerange %d beginbfchar %s endbfchar endcmap"
    name, ordering = font.name.encode(), font.ordering.encode()
    unicode_entry = b"/ToUnicode 8 0 R" if font.cmap == "Identity-H" else b""
    objects[2] = b"<</Type/Font/Subtype/Type0/BaseFont/%s/Encoding/%s/DescendantFonts[6 0 R]%s>>" % (
        name, font.cmap.encode(), unicode_entry,
    )  # fmt: skip
    descendant = b"<</Type/Font/Subtype/CIDFontType2/BaseFont/%s/DW 1000/CIDSystemInfo<</Registry(Adobe)/Ordering(%s)"
    described = b"<</Type/FontDescriptor/FontName/%s/Flags 4/FontBBox[0 -200 1000 900]/ItalicAngle 0/Ascent 880"
    return write(
        [
            *objects,
            descendant % (name, ordering) + b"/Supplement 0>>/FontDescriptor 7 0 R>>",
            described % name + b"/Descent -120/CapHeight 700/StemV 80>>",
            Stream(b"", unicode_map % (len(set(line)), codes)),
        ]
    )


# ---------------------------------------------------------------- encryption (ISO 32000-1, 7.6.3: RC4, 40 bits)

_PADDING = bytes.fromhex("28bf4e5e4e758a4164004e56fffa01082e2e00b6d0683e802f0ca9fe6453697a")


def encrypted_pdf(user_password: str = "open sesame", owner_password: str = "owner", page_count: int = 1) -> bytes:
    """`text_pdf` behind a password; an empty `user_password` leaves only the owner's, and the file opens for all."""
    permissions = b"\xfc\xff\xff\xff"  # -4: everything allowed
    file_id = b"0123456789abcdef"
    user = (user_password.encode("latin-1") + _PADDING)[:32]
    owner_key = hashlib.md5((owner_password.encode("latin-1") + _PADDING)[:32]).digest()[:5]
    owner_entry = _rc4(owner_key, user)
    key = hashlib.md5(user + owner_entry + permissions + file_id).digest()[:5]
    entries = (owner_entry.hex().encode(), _rc4(key, _PADDING).hex().encode(), file_id.hex().encode())

    def cipher(number: int, data: bytes) -> bytes:
        return _rc4(hashlib.md5(key + number.to_bytes(3, "little") + b"\0\0").digest()[:10], data)

    contents = [text(identity("encrypted", n, page_count)) for n in range(1, page_count + 1)]
    trailer = b"/Encrypt<</Filter/Standard/V 1/R 2/P -4/O<%s>/U<%s>>>/ID[<%s><00>]" % entries
    return write(page_objects(contents), trailer, cipher)


def unknown_security_pdf() -> bytes:
    """Encrypted by a security handler that no one knows."""
    return write(page_objects([b""]), b"/Encrypt<</Filter/Nobody.Knows/V 1/R 2/P -4/O<00>/U<00>>>/ID[<00><00>]")


def _rc4(key: bytes, data: bytes) -> bytes:
    state = list(range(256))
    j = 0
    for i in range(256):
        j = (j + state[i] + key[i % len(key)]) % 256
        state[i], state[j] = state[j], state[i]
    out = bytearray()
    i = j = 0
    for byte in data:
        i = (i + 1) % 256
        j = (j + state[i]) % 256
        state[i], state[j] = state[j], state[i]
        out.append(byte ^ state[(state[i] + state[j]) % 256])
    return bytes(out)


# ---------------------------------------------------------------- damaged documents


def zero_pages_pdf() -> bytes:
    """A faultless document without a page."""
    return write([CATALOG, b"<</Type/Pages/Kids[]/Count 0>>"])


def truncated_pdf() -> bytes:
    """The first 60 % of a document of three pages."""
    whole = text_pdf(3)
    return whole[: len(whole) * 6 // 10]


def junk_before_header_pdf(page_count: int = 2) -> bytes:
    """A good document with 200 bytes of a mail's head before it."""
    return b"Content-Type: application/pdf\r\n".ljust(200, b"-") + text_pdf(page_count)


def bad_page_pdf(page_count: int = 3, bad_page: int = 2) -> bytes:
    """`text_pdf` in which the page tree's entry for `bad_page` points at nothing."""
    whole = text_pdf(page_count)
    return whole.replace(b"%d 0 R" % (2 + 2 * bad_page), b"0 0 R".ljust(len(b"%d 0 R" % (2 + 2 * bad_page))), 1)


def lying_count_pdf(claimed_pages: int = 5000) -> bytes:
    """One page, and a page tree that claims many."""
    return write(page_objects([text("the only page")], count=claimed_pages))


def cyclic_tree_pdf() -> bytes:
    """A page tree that contains itself, beside one real page."""
    objects = page_objects([text("the only real page")])
    objects[1] = b"<</Type/Pages/Kids[4 0 R 2 0 R 6 0 R]/Count 3>>"
    return write([*objects, b"<</Type/Pages/Parent 2 0 R/Kids[2 0 R]/Count 1>>"])


def deep_tree_pdf(depth: int = 3000) -> bytes:
    """One page under `depth` nested nodes of the page tree."""
    first = 3
    nodes = [
        b"<</Type/Pages/Parent %d 0 R/Kids[%d 0 R]/Count 1>>" % (n - 1, n + 1) for n in range(first, first + depth)
    ]
    leaf = b"<</Type/Page/Parent %d 0 R/MediaBox[%s]>>" % (first + depth - 1, LETTER)
    return write([CATALOG, b"<</Type/Pages/Kids[3 0 R]/Count 1>>", *nodes, leaf])


# ---------------------------------------------------------------- hostile documents


def endless_page_pdf(page_count: int = 3, bad_page: int = 2) -> bytes:
    """`text_pdf` in which loading `bad_page` never ends and eats memory: a form that draws itself twice."""
    contents = [text(identity("endless", n, page_count)) for n in range(1, page_count + 1)]
    contents[bad_page - 1] = b"/X Do"
    objects = page_objects(contents, resources=b"/XObject<</X %d 0 R>>" % (4 + 2 * page_count))
    own = 4 + 2 * page_count
    form = b"/Type/XObject/Subtype/Form/BBox[0 0 600 700]/Resources<</XObject<</X %d 0 R/Y %d 0 R>>>>" % (own, own)
    return write([*objects, Stream(form, b"0 0 10 10 re f /X Do /Y Do")])


def spaces_bomb_pdf(size_bytes: int = 2 * GIB) -> bytes:
    """A page whose content, a few kilobytes stored, is `size_bytes` of spaces; a second page is fine."""
    objects = page_objects([b"", text("the page after the bomb")])
    objects[4] = Stream(b"/Filter[/FlateDecode/FlateDecode]", _twice_deflated(b" ", size_bytes))
    return write(objects)


def image_bomb_pdf(side_px: int = 30_000) -> bytes:
    """A page with a black gray image of `side_px` squared, a few kilobytes stored."""
    image = b"/Type/XObject/Subtype/Image/ColorSpace/DeviceGray/BitsPerComponent 8/Width %d/Height %d"
    entries = image % (side_px, side_px) + b"/Filter[/FlateDecode/FlateDecode]"
    objects = page_objects([b"612 0 0 792 0 0 cm /X Do"], resources=b"/XObject<</X 6 0 R>>")
    return write([*objects, Stream(entries, _twice_deflated(b"\0", side_px * side_px))])


def huge_page_pdf(width_pt: int = 14_400, height_pt: int = 14_400) -> bytes:
    """A page of five metres squared, the format's limit, or of any other size; its line is as tall as a tenth of it."""
    size_pt = min(width_pt, height_pt) / 10
    return content_pdf(text("huge", size_pt, size_pt, size_pt), box=b"0 0 %d %d" % (width_pt, height_pt))


def _twice_deflated(byte: bytes, size_bytes: int) -> bytes:
    """zlib(zlib(byte * size_bytes)) without ever holding or compressing that much: one block, repeated."""
    block_bytes = 1 << 20
    deflate = zlib.compressobj(9, wbits=-15)
    # After a full flush a block stands on byte borders and looks back at nothing: it can be repeated.
    block = deflate.compress(byte * block_bytes) + deflate.flush(zlib.Z_FULL_FLUSH)
    rest = zlib.compressobj(9, wbits=-15)
    end = rest.compress(byte * (size_bytes % block_bytes)) + rest.flush()
    checksum = zlib.adler32(b"")  # of nothing: readers of PDFs do not check it
    return zlib.compress(b"\x78\xda" + block * (size_bytes // block_bytes) + end + checksum.to_bytes(4, "big"), 9)
