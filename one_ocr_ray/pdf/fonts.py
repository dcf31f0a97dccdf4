"""Fonts for text whose PDF does not embed them: the machine's and our own.

Ours is Noto Sans CJK, a dependency of this package; without it, such Chinese, Japanese and Korean text is not drawn at
all. pdfium has Latin glyphs of its own.
"""

from __future__ import annotations

from importlib.util import find_spec

# pdfium's default folders on Linux. On other systems it searches the system's folders, which hold such fonts.
SYSTEM_FOLDERS = (
    "/usr/share/fonts",
    "/usr/share/X11/fonts/Type1",
    "/usr/share/X11/fonts/TTF",
    "/usr/local/share/fonts",
)
CJK_PACKAGE = (
    "noto_cjk_sans_jp_regular"  # the glyphs of all four languages, in their Japanese shapes where these differ
)


def font_folders() -> tuple[str, ...]:
    """The folders in which pdfium finds fonts."""
    return (*SYSTEM_FOLDERS, *cjk_folders())


def cjk_folders() -> tuple[str, ...]:
    """The folder of our font; empty if its package is not installed."""
    spec = find_spec(CJK_PACKAGE)
    return tuple(spec.submodule_search_locations or ()) if spec else ()


def fault_of_fonts() -> str | None:
    """What `one-ocr doctor` reports about fonts on this machine; None if all is well."""
    if cjk_folders():
        return None
    what = "Chinese, Japanese and Korean text whose font a PDF does not hold cannot be drawn"
    return f"{what}: {CJK_PACKAGE.replace('_', '-')} is not installed. Install this package with its dependencies."
