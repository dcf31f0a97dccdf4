"""Text in XML, without characters that XML has no way to write."""

from __future__ import annotations

import re
from html import escape

# All that XML 1.0 does not allow: most control characters, halves of surrogate pairs, two non-characters.
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def xml_text(text: str) -> str:
    """`text` for an element or a quoted attribute; what XML does not allow becomes U+FFFD."""
    return escape(_NOT_XML.sub("\ufffd", text))
