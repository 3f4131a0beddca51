"""The Python that pages offer: it runs as it stands, without anything that the page has, and agrees with it."""

import plotly.graph_objects as go
import pytest
from studio_driver import messages, open_page, settled

from studio.experiments import EXPERIMENTS


@pytest.fixture
def drawn(monkeypatch):
    """Figures that were shown; the workspace is not that of the environment any more."""
    shown = []
    monkeypatch.setattr(go.Figure, "show", lambda figure: shown.append(figure))
    return shown


def run_alone(code, monkeypatch):
    monkeypatch.delenv("TILEWRIGHT_WORKSPACE")
    names = {}
    exec(compile(code, "exported", "exec"), names)
    return names


def scripts(app):
    assert messages(app) == []
    return [item.value for item in app.code if ".show()" in item.value or "print(" in item.value]


@pytest.mark.parametrize(
    ("page", "state"),
    [
        ("measure", {}),
        ("measure", {"source": "Saved", "shown": "min-max"}),
        ("device", {"look": "F and G"}),
        ("device", {"look": "Symmetry search", "device": "mine"}),
        ("tile", {"algorithm": "agad"}),
        ("compare", {"view": "Curves"}),
        *(("learn", {"lesson": f"{number} {name.capitalize()}"}) for number, name in enumerate(EXPERIMENTS, 1)),
    ],
)
def test_the_python_of_a_page_runs(filled, drawn, monkeypatch, page, state):
    found = scripts(open_page(page, **state))
    assert found
    for code in found:
        monkeypatch.setenv("TILEWRIGHT_WORKSPACE", "elsewhere")
        run_alone(code, monkeypatch)
    assert len(drawn) == sum(code.count(".show()") for code in found)


def test_a_file_is_read_as_it_was_corrected(filled, drawn, monkeypatch, tmp_path):
    text = "pulse;G\n" + "\n".join(f"{k};{10 + k % 100 if k < 100 else 110 - k % 100},5" for k in range(200))
    (tmp_path / 'own "file".csv').write_text(text)
    app = open_page("measure", source="My file")
    app.file_uploader(key="upload").upload('own "file".csv', text.encode(), "text/csv").run()
    app.text_input(key="read.own-file.p.protocol").set_value("60 up, 140 down").run()
    app.selectbox(key="read.own-file.p.sampling").set_value("after").run()
    (code,) = scripts(app)
    monkeypatch.chdir(tmp_path)
    measurement = run_alone(code, monkeypatch)["measurement"]
    assert measurement.protocol == "60 up, 140 down"
    assert measurement.records[0].response[0] == 10.5


@pytest.mark.parametrize("way", ["one model", "weights and noise", "all models", "many devices"])
def test_the_python_of_a_fit_gives_the_numbers_of_the_page(filled, drawn, monkeypatch, way):
    name = "array" if way == "many devices" else "ramp"
    app = open_page("fit", measurement=name, model="SoftBoundsDevice", method="least_squares")
    if way == "weights and noise":
        app.number_input(key="weight0").set_value(2.0).run()
        app.selectbox(key="start").set_value("free").run()
    app.button(key="fit-all" if way == "all models" else "fit").click().run()
    settled(app, seconds=120)
    if way == "weights and noise":
        app.button(key="more-second-pass").click().run()
        settled(app, seconds=120)
    (code,) = scripts(app)
    (shown,) = [table.value for table in app.dataframe if "95 % interval" in table.value.columns]
    fit = run_alone(code, monkeypatch)["fit"]
    assert [item.text for item in fit.parameters] == list(shown["Value ± standard error"])
    assert [item.interval_text for item in fit.parameters] == list(shown["95 % interval"])
    assert len(drawn) == 1
