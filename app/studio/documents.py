"""The documentation as the Help page shows it: text, and the pictures that lie beside it."""

from __future__ import annotations

import re

from studio.places import DOCS

_PICTURE = re.compile(r"^!\[(?P<caption>[^\]]*)\]\((?P<file>[\w.-]+)\)$", re.MULTILINE)
_LINK = re.compile(r"\]\((?P<topic>[\w-]+)\.md(?P<place>#[\w-]+)?\)")
_COMMENT = re.compile(r"^<!--.*?-->\n", re.MULTILINE)


def passages(topic: str) -> list[tuple[str, str, str]]:
    """A document in parts: text, the path of the picture that follows it, its caption; both empty after the last."""
    text = _COMMENT.sub("", (DOCS / f"{topic}.md").read_text(encoding="utf-8"))
    text = _LINK.sub(r"](?topic=\g<topic>\g<place>)", text)  # on the page a document is an address, not a file
    parts = _PICTURE.split(text)
    found = [
        (before, str(DOCS / file), caption)
        for before, caption, file in zip(parts[0::3], parts[1::3], parts[2::3], strict=False)
    ]
    return [*found, (parts[-1], "", "")]
