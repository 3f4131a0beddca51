"""Driving the studio's pages by Streamlit's own test driver."""

import time
from pathlib import Path

from streamlit.testing.v1 import AppTest

from tilewright.presets import EcRamPresetDevice
from tilewright.runs import DataSource, Perceptron, RunSpec, recommend

ROOT = Path(__file__).resolve().parents[2]
PAGES = ["start", "measure", "fit", "device", "tile", "train", "compare", "presets", "learn", "help"]


def small_run(name="small", algorithm="fp", **fields):
    advice = recommend(algorithm, EcRamPresetDevice())
    return RunSpec(
        name=name,
        data=DataSource(name="digits8x8"),
        network=Perceptron(layer_sizes=[64, 8, 10]),
        rpu_config=advice.rpu_config,
        learning_rate=advice.learning_rate,
        epochs=1,
        batch_size=20,
        train_limit=100,
        **fields,
    )


def open_page(name, **state):
    """The page after its first run."""
    app = AppTest.from_file(str(ROOT / "app" / "main.py"), default_timeout=30)
    for key, value in state.items():
        app.session_state[key] = value
    app.run()
    if name != "start":
        app.switch_page(str(ROOT / "pages" / f"{name}.py")).run()
    return app


def messages(app):
    """Every text that reports an error, unexpected ones included."""
    assert not app.exception, [item.value for item in app.exception]
    return [item.value for item in app.error]


def settled(app, seconds=30):
    """The fit page once no task of this process is running."""
    finish(seconds)
    return go_on(app, "fit")


def finish(seconds=30):
    """Wait until no task of this process is running."""
    from studio.background import _tasks

    end = time.monotonic() + seconds
    while any(task.running for task in list(_tasks())):
        assert time.monotonic() < end
        time.sleep(0.05)


def go_on(app, page):
    """The page that a button of the page before has switched to; the driver itself would stay where it was."""
    app.switch_page(str(ROOT / "pages" / f"{page}.py")).run()
    return app
