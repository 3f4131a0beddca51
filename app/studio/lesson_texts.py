"""Lessons as they are written: a text, something to try, a question with its answers."""

from __future__ import annotations

import re
from dataclasses import dataclass

from studio.places import ASSETS

LESSONS = ASSETS / "lessons"
_PARTS = re.compile(
    r"^# (?P<title>[^\n]+)\n(?P<text>.*?)^## Try\n(?P<trial>.*?)^## Check\n(?P<check>.*)", re.MULTILINE | re.DOTALL
)
_ANSWER = re.compile(r"^- (?P<words>.+) \| (?P<right>yes|no) \| (?P<why>.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Answer:
    """An answer on offer, whether it is right, and why."""

    words: str
    right: bool
    why: str


@dataclass(frozen=True)
class Lesson:
    """A lesson in its parts; texts are Markdown."""

    title: str
    text: str
    trial: str
    question: str
    answers: tuple[Answer, ...]


def read_lesson(name: str) -> Lesson:
    """The lesson in ``assets/lessons/NAME.md``.

    Raises:
        ValueError: it lacks a part, or does not have exactly one right answer.
    """
    written = (LESSONS / f"{name}.md").read_text(encoding="utf-8")
    parts = _PARTS.match(written)
    if parts is None:
        raise ValueError(f"lesson {name} needs a title, a text, '## Try' and '## Check'")
    check = parts["check"]
    answers = tuple(Answer(m["words"], m["right"] == "yes", m["why"]) for m in _ANSWER.finditer(check))
    if sum(answer.right for answer in answers) != 1:
        raise ValueError(f"lesson {name} needs exactly one right answer, marked '| yes |'")
    question = check[: check.index("\n- ")]
    return Lesson(parts["title"], parts["text"].strip(), parts["trial"].strip(), question.strip(), answers)
