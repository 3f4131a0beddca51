"""The page of names: ours exist, and none of theirs is missing."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

from tilewright.parameters import Parameters

DOCS = Path(__file__).resolve().parents[2] / "assets" / "docs"
PAGE = (DOCS / "names.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| `([^`]+)` \| (.+?) \| (.*)\|$", PAGE, flags=re.MULTILINE)


def find(name):
    """The object of a dotted name below ``tilewright``; of a parameter class also its fields."""
    parts, here = name.split("."), importlib.import_module("tilewright")
    for depth, part in enumerate(parts):
        if isinstance(here, type) and issubclass(here, Parameters) and part in here.model_fields:
            return here.model_fields[part]
        if not hasattr(here, part):
            importlib.import_module(".".join(["tilewright", *parts[: depth + 1]]))
        here = getattr(here, part)
    return here


def test_the_page_has_rows_of_three_columns_only():
    lines = [line for line in PAGE.splitlines() if line.startswith("| `")]
    assert len(lines) == len(ROWS) > 150
    assert len({theirs for theirs, _, _ in ROWS}) == len(ROWS), "a name is listed twice"


@pytest.mark.parametrize("theirs", [row[0] for row in ROWS])
def test_our_name_exists(theirs):
    ours, remark = next((ours, remark) for name, ours, remark in ROWS if name == theirs)
    if ours == "no counterpart":
        assert remark.strip(), "say what to do instead"
        return
    room, _, name = ours.strip("`").rpartition(".")
    assert find(ours.strip("`")) is not None
    assert name == theirs or not room or not hasattr(find(room), theirs), "we have that very name"


def test_names_elsewhere_in_the_remarks_exist():
    for _, _, remark in ROWS:
        for name in re.findall(r"`(tile\.AnalogTile|optim\.\w+|nn\.\w+|runs\.\w+)`", remark):
            assert name == "nn.init" or find(name) is not None


def test_what_is_not_offered_is_not():
    section = PAGE.partition("## Not offered yet")[2]
    names = re.findall(r"`(\w+)`", section)
    assert len(names) > 20
    for name in names:
        assert name not in Parameters._registry
        for room in ("nn", "configs", "presets", "tile", "runs"):
            assert not hasattr(find(room), name), f"{room}.{name} is offered: move it to a table"


# Words of the specification that look like names of the toolkit and are none, or are named by a whole group.
NOT_PUBLIC = {"Parameter", "HiddenStep", "AnalogContext", "Preset", "PresetDevice", "NoneWithDevice", "SingleDevice"}


def test_no_public_name_of_the_reference_is_missing(shared_data):
    text = "\n".join(page.read_text(encoding="utf-8") for page in sorted((shared_data / "spec").glob("*.md")))
    kinds = r"(?:Device|Compound|UnitCell|RPUConfig|IOParameters|UpdateParameters|Preset|Parameter|Tile|NoiseModel)"
    names = set(re.findall(rf"`([A-Z]\w*{kinds})`", text)) | set(re.findall(r"`?\b(Analog[A-Z]\w+)\b`?", text))
    names |= set(re.findall(r"`(analog_summary|convert_to_\w+|plot_\w+|compute_pulse_\w+|fit_measurements)\b", text))
    assert len(names) > 50
    missing = sorted(name for name in names - NOT_PUBLIC if f"`{name}`" not in PAGE)
    assert missing == []
