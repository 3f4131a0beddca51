"""The studio: page set-up and navigation. Start it with ``tilewright studio``."""

from __future__ import annotations

import streamlit as st

from studio.chart import offer_plotly
from studio.errors import guarded
from studio.places import LOGO, WORDMARK, begin_visit, pages, take_carried

# Streamlit marks a link of the bar that has the keyboard's focus by a hardly visible ground.
FOCUS = '[data-testid="stTopNavLink"]:focus-visible { outline: 3px solid #3f92ca; outline-offset: 1px; }'

st.set_page_config(page_title="Tilewright", page_icon=str(LOGO), layout="wide")
st.logo(str(WORDMARK), size="medium", icon_image=str(WORDMARK))

st.html(f"<style>{FOCUS}</style>")
take_carried()
offer_plotly()
page = st.navigation(pages(), position="top")
begin_visit(page.url_path)
with guarded():
    page.run()
