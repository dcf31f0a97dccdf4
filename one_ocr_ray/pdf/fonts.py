"""The fonts that a page is drawn with where its PDF names one and does not hold it: those of the machine, and ours.

Ours is Noto Sans CJK, a dependency of this package: without it the Chinese, Japanese and Korean text of such a page is
not drawn at all. Latin glyphs pdfium has itself.
"""

from __future__ import annotations

from importlib.util import find_spec

# Where pdfium looks by itself on Linux. Elsewhere it knows the system's folders, which hold such fonts, and no others.
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
    """Where pdfium finds fonts."""
    return (*SYSTEM_FOLDERS, *cjk_folders())


def cjk_folders() -> tuple[str, ...]:
    """The folder of our font; nothing where its package is not installed."""
    spec = find_spec(CJK_PACKAGE)
    return tuple(spec.submodule_search_locations or ()) if spec else ()


def fault_of_fonts() -> str | None:
    """What `one-ocr doctor` says of this machine."""
    if cjk_folders():
        return None
    what = "Chinese, Japanese and Korean text whose font a PDF does not hold cannot be drawn"
    return f"{what}: {CJK_PACKAGE.replace('_', '-')} is not installed. Install this package with its dependencies."
