"""A picture file in Pillow's hands: a document of one page, a TIFF of many. A part of the child program.

Pillow decodes only what the first bytes say, within a bound of pixels that is checked before anything is decoded.
"""

from __future__ import annotations

import importlib
import math
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from PIL import Image

from one_ocr_ray.pdf.drawing import Drawn, RefusedError, size_px
from one_ocr_ray.pdf.kinds import DocumentKind

if TYPE_CHECKING:
    from typing import BinaryIO

MAX_PICTURE_PIXELS = 140_000_000  # an A2 sheet at 600 dpi; 560 MB in memory, twice that while it is turned
DEFAULT_DPI = 72.0  # of a file that does not say: a pixel is a point
DPI_RANGE = 50.0, 1200.0  # others are mistakes, such as the 1 of a TIFF without resolution
MAX_DPI_RATIO = 4.0  # across to down; a fax has 204 by 98
SHEET_PT = 792.0  # a letter page: how large the paper was is not known by 72 dpi, which everybody writes

_ORIENTATION, _SUBFILE_TYPE = 0x0112, 0x00FE
_NO_PAGE = 0b101  # a smaller copy of a page, or its mask
_TURNS = {  # by EXIF orientation: how to stand upright, and the clockwise turn in it
    2: (Image.Transpose.FLIP_LEFT_RIGHT, 0),
    3: (Image.Transpose.ROTATE_180, 180),
    4: (Image.Transpose.FLIP_TOP_BOTTOM, 180),
    5: (Image.Transpose.TRANSPOSE, 90),
    6: (Image.Transpose.ROTATE_270, 90),
    7: (Image.Transpose.TRANSVERSE, 270),
    8: (Image.Transpose.ROTATE_90, 270),
}
_BACK = {  # by clockwise turn: from an upright picture to what is stored, and the orientation of that
    90: (Image.Transpose.ROTATE_90, 6),
    180: (Image.Transpose.ROTATE_180, 3),
    270: (Image.Transpose.ROTATE_270, 8),
}
# The others are loaded anyway.
_PLUGINS = {DocumentKind.TIFF: "Tiff", DocumentKind.WEBP: "WebP", DocumentKind.JPEG2000: "Jpeg2K"}

Image.MAX_IMAGE_PIXELS = None  # the bound above is ours, and a page's failure
warnings.simplefilter("ignore")  # they could quote a document


@dataclass(frozen=True, slots=True)
class _Frame:
    """A page of the file: its place among the frames, EXIF orientation and dpi."""

    place: int
    orientation: int
    dpi: tuple[float, float]


class Pictures:
    """A picture file of `kind`. Raises RefusedError when it cannot be opened."""

    encrypted = False

    def __init__(self, kind: DocumentKind, stream: BinaryIO) -> None:
        self._kind = kind
        self._stream = stream
        if kind is DocumentKind.HEIF:
            try:
                heif: Any = importlib.import_module("pi_heif")
            except ImportError as error:
                raise RefusedError("no_heif") from error
            heif.register_heif_opener(thumbnails=False)
        elif kind in _PLUGINS:
            importlib.import_module(f"PIL.{_PLUGINS[kind]}ImagePlugin")
        self._image = self._opened()
        self._frames = _pages_of_tiff(self._image) if kind is DocumentKind.TIFF else [_Frame(0, 1, (0, 0))]
        self.page_count = len(self._frames)

    def close(self) -> None:
        """Let go of the file."""
        self._image.close()
        self._stream.close()

    def draw(self, page_number: int, longest_side_px: int, *, layer: bool) -> Drawn:
        """Draw a page. Raises RefusedError."""
        try:
            frame = self._frames[page_number - 1]
            if self._kind is DocumentKind.TIFF:
                self._image.seek(frame.place)
            else:  # from the start: a JPEG that was read at a smaller size cannot be read at a larger one
                self._image = self._opened()
            return _drawn(self._image, frame, longest_side_px, is_tiff=self._kind is DocumentKind.TIFF)
        except (RefusedError, MemoryError):
            raise
        except Exception as error:  # Pillow's plugins raise whatever a damaged file leads them to
            raise RefusedError("picture") from error

    def stored(self, page_number: int) -> tuple[Image.Image, int]:
        """The picture of a page as it is stored, and its EXIF orientation. Raises RefusedError."""
        frame = self._frames[page_number - 1]
        try:
            self._image.seek(frame.place)
            if self._image.width * self._image.height <= MAX_PICTURE_PIXELS:
                self._image.load()
                if self._kind is not DocumentKind.TIFF:
                    return self._image, _orientation(self._image)
                # Pillow has turned it upright, and flipped it: only the turn is taken back.
                back, orientation = _BACK.get(_TURNS.get(frame.orientation, (None, 0))[1], (None, 1))
                return self._image if back is None else self._image.transpose(back), orientation
        except MemoryError:
            raise
        except Exception as error:  # as above
            raise RefusedError("picture") from error
        raise RefusedError("picture_pixels")

    @staticmethod
    def on_white(image: Image.Image) -> Image.Image:
        """`image` as it is drawn, with 8 bits of red, green and blue."""
        return _on_white(_resized(image, image.size))

    def _opened(self) -> Image.Image:
        self._stream.seek(0)
        try:
            return Image.open(self._stream, formats=[self._kind])
        except MemoryError:
            raise
        except Exception as error:
            raise RefusedError("open") from error


def _pages_of_tiff(image: Any) -> list[_Frame]:
    """The pages, without the smaller copies and the masks of them. Where the file breaks off, one more that fails."""
    frames: list[_Frame] = []
    everything: list[_Frame] = []
    place = 0
    while True:
        try:
            image.seek(place)
            frame = _Frame(place, _orientation(image), _dpi(image))
            kind = image.tag_v2.get(_SUBFILE_TYPE, 0)
        except EOFError:
            return frames or everything
        except MemoryError:
            raise
        except Exception:
            return [*frames, _Frame(place, 1, (0, 0))]
        everything.append(frame)
        if not (isinstance(kind, int) and kind & _NO_PAGE):
            frames.append(frame)
        place += 1


def _drawn(image: Image.Image, frame: _Frame, longest_side_px: int, *, is_tiff: bool) -> Drawn:
    if image.width * image.height > MAX_PICTURE_PIXELS:
        raise RefusedError("picture_pixels")
    orientation, dpi = (frame.orientation, frame.dpi) if is_tiff else (_orientation(image), _dpi(image))
    is_known = all(DPI_RANGE[0] <= each <= DPI_RANGE[1] for each in dpi) and max(dpi) <= MAX_DPI_RATIO * min(dpi)
    across, down = dpi if is_known else (DEFAULT_DPI, DEFAULT_DPI)
    is_lying = orientation >= 5
    if is_tiff and is_lying:  # Pillow turns these itself, and gives the size after that
        across, down = down, across
    box_pt = image.width * 72 / across, image.height * 72 / down
    sides_px = size_px(*box_pt, longest_side_px)
    image.draft(None, (2 * longest_side_px, 2 * longest_side_px))  # a JPEG can be decoded at a half, a quarter ...
    image.load()
    picture = _on_white(_resized(image, sides_px))
    turn, rotate_deg = _TURNS.get(orientation, (None, 0))
    if turn is not None and not is_tiff:
        picture = picture.transpose(turn)
        box_pt = box_pt[::-1] if is_lying else box_pt
    sheet_pt = SHEET_PT if DEFAULT_DPI in (across, down) else max(box_pt)
    return Drawn(picture, *box_pt, rotate_deg, sheet_pt=sheet_pt)


def _resized(image: Image.Image, sides_px: tuple[int, int]) -> Image.Image:
    """The picture at its final size, with 8 bits a channel."""
    if image.mode in ("1", "P", "PA"):  # their values cannot be mixed
        image = image.convert("L" if image.mode == "1" else "RGBA" if image.has_transparency_data else "RGB")
    elif image.has_transparency_data and image.mode not in ("LA", "RGBA"):  # one colour is transparent
        image = image.convert("RGBA")
    is_deep = image.mode.startswith("I;16")
    if is_deep and image.mode != "I;16":  # in the other order of bytes
        image = image.convert("I")
    # Pillow cannot first halve pictures of 16 bits, which is only quicker.
    gap = None if image.mode == "I;16" else 2.0
    small = image.resize(sides_px, Image.Resampling.BICUBIC, reducing_gap=gap)
    if is_deep:
        return small.point(lambda level: level * (1 / 256)).convert("L")
    if image.mode in ("I", "F"):  # of no known range: the darkest is black, the lightest white
        darkest, lightest = (float(level) for level in image.getextrema())  # type: ignore[arg-type]
        if not math.isfinite(lightest - darkest):
            raise RefusedError("picture")
        scale = 255 / (lightest - darkest) if lightest > darkest else 0.0
        return small.point(lambda level: level * scale + (255 - lightest * scale)).convert("L")
    return small.getchannel(0) if image.mode == "LAB" else small


def _on_white(picture: Image.Image) -> Image.Image:
    if picture.has_transparency_data:
        layer = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), layer)
    return picture.convert("RGB")


def _orientation(image: Image.Image) -> int:
    try:
        orientation = image.getexif().get(_ORIENTATION, 1)
    except MemoryError:
        raise
    except Exception:
        return 1
    return orientation if orientation in _TURNS else 1


def _dpi(image: Image.Image) -> tuple[float, float]:
    try:
        across, down = image.info["dpi"]
        return round(float(across), 1), round(float(down), 1)  # many formats count by metres
    except (KeyError, TypeError, ValueError, ArithmeticError):
        return 0.0, 0.0
