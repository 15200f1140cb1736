"""Makes text from devices harmless: control characters, escape sequences and bidirectional overrides become visible."""

from __future__ import annotations

import re

_HOSTILE = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e007f\ud800-\udfff]"
)
_PICTURES = {code: chr(0x2400 + code) for code in range(0x20)} | {0x7F: "\u2421"}


def _visible(match: re.Match[str]) -> str:
    code = ord(match[0])
    return _PICTURES.get(code) or f"<{code:04X}>"


def clean(text: str) -> str:
    """The text with everything that could move a cursor, change a colour or turn the reading direction made visible.

    `ESC [ 31m` becomes `␛[31m`, U+202E becomes `<202E>`. Tabs and line ends are shown too: one line stays one line.
    """
    if text.isascii() and text.isprintable():
        return text
    return _HOSTILE.sub(_visible, text)
