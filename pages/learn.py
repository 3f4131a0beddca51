"""Learn: one effect at a time, with a figure that answers, something to try, and a question."""

import streamlit as st

from studio.errors import guarded, live
from studio.experiments import EXPERIMENTS
from studio.lesson_texts import Lesson, read_lesson
from studio.places import carry, go, heading, next_step


def show_check(name: str, lesson: Lesson) -> None:
    st.markdown(f"**Check.** {lesson.question}")
    words = [answer.words for answer in lesson.answers]
    chosen = st.radio(lesson.question, words, index=None, key=f"answer.{name}", label_visibility="collapsed")
    for answer in lesson.answers:
        if answer.words == chosen:
            show = st.success if answer.right else st.warning
            show(answer.why, icon=":material/check:" if answer.right else ":material/replay:")


@live()
def show_lesson(name: str) -> None:
    lesson = read_lesson(name)
    words, view = st.columns([1, 1.6], gap="large")
    with words:
        st.subheader(lesson.title, anchor=False)
        st.markdown(lesson.text)
    with view, guarded():
        EXPERIMENTS[name]()
    trial, check = st.columns([1, 1.6], gap="large")
    with trial.container(border=True):
        st.markdown(f"**Try**\n\n{lesson.trial}")
    with check.container(border=True):
        show_check(name, lesson)


place = heading(
    "Learn", "Five short lessons. The figures are computed as you move a knob, by the kernels that train networks."
)
lessons = {f"{number} {name.capitalize()}": name for number, name in enumerate(EXPERIMENTS, 1)}
chosen = st.segmented_control(
    "Lesson", lessons, default=next(iter(lessons)), required=True, key="lesson", bind="query-params",
    label_visibility="collapsed",
)  # fmt: skip
show_lesson(lessons[chosen])
after = list(lessons)[list(lessons).index(chosen) + 1 :]
with place:
    if after and next_step("Next lesson", "lesson"):
        carry(lesson=after[0])
        st.rerun()
    if not after and next_step("Train a network", "train"):
        go("train")
