"""Help: the documentation, offline."""

import streamlit as st

from studio.documents import passages
from studio.errors import guarded
from studio.places import DOCS, heading
from tilewright.kernels import capabilities

TOPICS = {
    "start": "First steps",
    "measurements": "Measurements",
    "fitting": "Fitting",
    "device": "Devices",
    "models": "Device models",
    "tile": "Tiles",
    "algorithms": "Algorithms",
    "training": "Training",
    "compare": "Comparing",
    "costs": "Costs",
    "clusters": "Other machines",
    "warnings": "Settings that cannot learn",
    "scripting": "Scripts and notebooks",
    "networks": "Networks on tiles",
    "reproducibility": "Reproducibility",
    "gpu": "Graphics processors",
    "yardsticks": "What learns",
    "benchmarks": "How fast",
    "names": "Names elsewhere",
    "differences": "Differences",
}


def title_of(name: str) -> str:
    return TOPICS.get(name, name.replace("-", " ").capitalize())


heading("Help", "Everything here is on your own machine; nothing is fetched.")
names = [name for name in TOPICS if (DOCS / f"{name}.md").is_file()]
names += sorted(path.stem for path in DOCS.glob("*.md") if path.stem not in TOPICS)

contents, text = st.columns([1, 3.2], gap="large")
with contents:
    topic = st.radio("Topic", names, format_func=title_of, key="topic", bind="query-params")
    with st.expander("This machine"), guarded():
        for name, value in capabilities().items():
            listed = ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else value
            st.caption(f"{name.replace('_', ' ')}: {listed}")
with text:
    if topic:
        for text_before, picture, caption in passages(topic):
            st.markdown(text_before)
            if picture:
                st.image(picture, caption=caption)
    else:
        st.info("The documentation is missing from this installation.")
