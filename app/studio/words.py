"""Texts of visitors among texts of ours: a name or a message is shown as it is, whatever marks it holds."""

from __future__ import annotations

import re

# Marks that begin something in Markdown as Streamlit reads it: emphasis, code, formulas, links, strokes, and its own
# ":red[...]" and ":material/...:". An underscore within a word begins nothing.
_MARKS = re.compile(r"[\\`*$~\[\]|]|(?<!\w)_|_(?!\w)|:(?=[\w/+-]+[:\[])|^(?=[#>+-]\s)", re.MULTILINE)


def plain(text: str) -> str:
    """A text that Markdown shows letter by letter."""
    return _MARKS.sub(lambda found: f"\\{found.group()}", text)
