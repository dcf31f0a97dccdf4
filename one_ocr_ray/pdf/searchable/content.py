"""Reads a page's content for a text layer, and removes an earlier hidden one.

A part of the child program. Hidden is what is drawn in render mode 3. Only whole text objects are taken out, so that
nothing that is seen moves: text of another mode in the same object stays, and the hidden text beside it.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from typing import Any

import pikepdf
from pikepdf import Dictionary, Name

MOST_BYTES = 4 << 20  # of a content stream that is looked through; a larger one stays as it is
MOST_FORMS = 64  # of a page
_MOST_DEPTH = 3  # of forms in forms
_UNKNOWN_FILTER_BYTES = 256 << 10

_HIDDEN = 3
_SHOWING = frozenset({"Tj", "TJ", "'", '"'})
_MOVING = frozenset({"Td", "Tm", "T*"})


@dataclass(slots=True)
class Content:
    """What was found in a content stream. `data`: what it is without hidden text, None where it has none."""

    visible_bytes: int = 0
    unclosed: int = 0  # graphics states that it saves and does not restore
    data: bytes | None = None


@dataclass(slots=True)
class _Scan:
    """The state on the way through a content stream."""

    mode: int = 0
    saved: list[int] = field(default_factory=list)
    visible_bytes: int = 0
    stripped: bool = False
    kept: list[Any] = field(default_factory=list)
    text: list[Any] | None = None  # the instructions of the text object that is open
    modes: set[int] = field(default_factory=set)  # of what it shows

    def take(self, instruction: Any) -> None:
        name = str(instruction.operator)
        if name == "q":
            self.saved.append(self.mode)
        elif name == "Q" and self.saved:
            self.mode = self.saved.pop()
        elif name == "Tr":
            self.mode = int(instruction.operands[0])
        elif name == "BT":
            self.text, self.modes = [], set()
        elif name in _SHOWING:
            operand = instruction.operands[-1]
            pieces = operand if isinstance(operand, pikepdf.Array) else [operand]
            size = sum(len(bytes(piece)) for piece in pieces if isinstance(piece, pikepdf.String))
            if self.mode != _HIDDEN:
                self.visible_bytes += size
            self.modes.add(self.mode)
        if self.text is None:
            self.kept.append(instruction)
            return
        self.text.append(instruction)
        if name == "ET":
            if self.modes == {_HIDDEN}:
                self.stripped = True
                self.text = _without_text(self.text)
            self.kept += self.text
            self.text = None


def _without_text(instructions: list[Any]) -> list[Any]:
    """A text object that shows nothing. It keeps the last operator of each state: these outlive the object."""
    states: dict[str, Any] = {}
    for instruction in instructions[1:-1]:
        name = str(instruction.operator)
        if name not in _SHOWING and name not in _MOVING:
            states.pop(name, None)
            states[name] = instruction
    return [instructions[0], *states.values(), instructions[-1]]


def look_through(pdf: pikepdf.Pdf, streams: list[Any]) -> Content:
    """What text the streams show, one after another, and the streams without hidden text."""
    parts = [_decoded(stream) for stream in streams]
    known = [part for part in parts if part is not None]
    if len(known) < len(parts) or sum(map(len, known)) > MOST_BYTES:
        return Content()
    scan = _Scan()
    for instruction in pikepdf.parse_content_stream(pdf.make_stream(b"\n".join(known))):
        scan.take(instruction)
    instructions = [*scan.kept, *(scan.text or [])]
    data = pikepdf.unparse_content_stream(instructions) if scan.stripped else None
    return Content(scan.visible_bytes, len(scan.saved), data)


def look_through_forms(pdf: pikepdf.Pdf, resources: Any, depth: int = 0) -> tuple[int, Any]:
    """The visible bytes of text in the forms of `resources`, and these without hidden text.

    A form may be used by pages that keep their layers, so it is never changed itself. None: nothing was hidden.
    """
    objects = resources.get("/XObject")
    if depth == _MOST_DEPTH or not isinstance(objects, Dictionary):
        return 0, None
    visible, changed = 0, {}
    forms = [(name, form) for name, form in objects.items() if form.get("/Subtype") == Name.Form]
    for name, form in forms[:MOST_FORMS]:
        content = look_through(pdf, [form])
        inner_visible, inner = look_through_forms(pdf, form.get("/Resources") or Dictionary(), depth + 1)
        visible += content.visible_bytes + inner_visible
        if content.data is not None or inner is not None:
            data = content.data if content.data is not None else form.read_bytes()
            copy: Any = compressed(pdf, data)
            for key, value in form.items():
                if key not in ("/Filter", "/DecodeParms", "/Length"):
                    copy[key] = value
            if inner is not None:
                copy["/Resources"] = inner
            changed[name] = copy
    if not changed:
        return visible, None
    copy, copied = shallow(resources), shallow(objects)
    for name, form in changed.items():
        copied[name] = form
    copy["/XObject"] = copied
    return visible, copy


def compressed(pdf: pikepdf.Pdf, data: bytes) -> pikepdf.Stream:
    """`data` as a stream of `pdf`."""
    return pdf.make_stream(zlib.compress(data), Filter=Name.FlateDecode)


def shallow(values: Dictionary) -> Dictionary:
    """A dictionary of its own with the same values: pages may share theirs."""
    return Dictionary(dict(values.items()))


def _decoded(stream: Any) -> bytes | None:
    """The bytes of a content stream. None where they are more than are looked through, or cannot be decoded."""
    raw = stream.read_raw_bytes()
    filters = stream.get("/Filter")
    names = [str(each) for each in filters] if isinstance(filters, pikepdf.Array) else [str(filters)] if filters else []
    try:
        if names == ["/FlateDecode"] and "/DecodeParms" not in stream:
            # A deflated stream; also one that is cut off, as readers show those.
            inflater = zlib.decompressobj()
            data = inflater.decompress(raw, MOST_BYTES + 1)
            return data if len(data) <= MOST_BYTES else None
        if not names or len(raw) <= _UNKNOWN_FILTER_BYTES:
            return bytes(stream.read_bytes())
    except (pikepdf.PdfError, zlib.error):
        return None
    return None
