"""Text that people upload is read, never run."""

from __future__ import annotations

import builtins
import contextlib
import os
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tilewright import configs
from tilewright.parameters import ParameterError, Parameters

HOSTILE_PYTHON = [
    "__import__('os').system('touch {file}')",
    "ConstantStepDevice(dw_min=__import__('os').system('touch {file}'))",
    "config = ConstantStepDevice(dw_min=open('{file}', 'w').close() or 0.1)",
    "import os\nos.system('touch {file}')\nConstantStepDevice()",
    "ConstantStepDevice(dw_min=(lambda: open('{file}', 'w'))())",
    "[open('{file}', 'w') for _ in range(1)]",
    "ConstantStepDevice(**{{'dw_min': open('{file}', 'w')}})",
    "exec(\"open('{file}', 'w')\")",
    "def f():\n    open('{file}', 'w')\nf()",
    "class X:\n    open('{file}', 'w')",
    "ConstantStepDevice(dw_min=0.1) if open('{file}', 'w') else 1",
    "ConstantStepDevice(dw_min=f\"{{open('{file}', 'w')}}\")",
    "ConstantStepDevice.__class__.__base__.__subclasses__()",
    "x = ConstantStepDevice()\ny = open('{file}', 'w')",
    "with open('{file}', 'w') as handle:\n    pass",
    "Parameters(dw_min=1)",
    "os.ConstantStepDevice(dw_min=open('{file}', 'w'))",
    "ConstantStepDevice(0.1)",
    "ConstantStepDevice(dw_min=0.1, dw_min=0.2)",
    "ConstantStepDevice(dw_min=2 ** 8 ** 8 ** 8)",
    "",
    "import os",
    "42",
    "'text'",
    "ConstantStepDevice(",
    "\x00",
]

HOSTILE_YAML = [
    "!!python/object/apply:os.system ['touch {file}']",
    "type: ConstantStepDevice\ndw_min: !!python/object/apply:os.system ['touch {file}']",
    "!!python/object/new:subprocess.Popen [['touch', '{file}']]",
    "- 1\n- 2",
    "just text",
    "",
    "type: os.system\ncommand: touch {file}",
    "type: [1, 2]",
    "type: ConstantStepDevice\ndw_min: {{a: 1}}",
    "schema_version: 999\ntype: ConstantStepDevice",
    "dw_min: 0.1",
    "a: &a [*a]",
    "type: ConstantStepDevice\n? [1, 2]\n: 3",
    "type: ConstantStepDevice\n1: 2",
    "\x00",
    "type: ConstantStepDevice\nconstruction_seed: 2001-01-01",
]

HOSTILE_JSON = ["", "[]", "null", "42", '"x"', '{"type": 3}', '{"type": "ConstantStepDevice", "dw_min": NaN}', "{"]


@pytest.fixture
def _nothing_runs(monkeypatch, tmp_path):
    """Fails the test if anything is executed, started or written while text is read."""

    def refuse(name):
        def refused(*args, **kwargs):
            raise AssertionError(f"{name} was reached from uploaded text")

        return refused

    monkeypatch.setattr(os, "system", refuse("os.system"))
    monkeypatch.setattr(subprocess, "Popen", refuse("subprocess.Popen"))
    monkeypatch.setattr(builtins, "eval", refuse("eval"))


@pytest.mark.usefixtures("_nothing_runs")
@pytest.mark.parametrize("text", HOSTILE_PYTHON)
def test_python_text_is_never_executed(text, tmp_path):
    target = tmp_path / "written"
    with pytest.raises(ParameterError) as caught:
        Parameters.from_python(text.format(file=target))
    assert not target.exists()
    assert str(caught.value).strip()


@pytest.mark.usefixtures("_nothing_runs")
@pytest.mark.parametrize("text", HOSTILE_YAML)
def test_yaml_tags_are_never_constructed(text, tmp_path):
    target = tmp_path / "written"
    with pytest.raises(ParameterError) as caught:
        Parameters.from_yaml(text.format(file=target))
    assert not target.exists()
    assert str(caught.value).strip()


@pytest.mark.parametrize("text", HOSTILE_JSON)
def test_bad_json_is_refused_in_words(text):
    with pytest.raises(ParameterError) as caught:
        configs.ConstantStepDevice.from_json(text)
    assert str(caught.value).strip()


@pytest.mark.parametrize(
    ("reader", "text"),
    [
        (Parameters.from_python, "[" * 5000 + "]" * 5000),
        (Parameters.from_python, "[" * 150 + "]" * 150),
        (Parameters.from_python, "-" * 20000 + "1"),
        (Parameters.from_python, "-" * 500 + "1"),
        (Parameters.from_json, '{"type":' * 5000 + "1" + "}" * 5000),
        (Parameters.from_json, "[" * 100000),
        (Parameters.from_yaml, "[" * 3000 + "]" * 3000),
        (Parameters.from_yaml, "type: ConstantStepDevice\ndw_min: " + "[" * 3000 + "]" * 3000),
    ],
    ids=["python brackets", "some brackets", "python signs", "some signs", "json", "json open", "yaml", "yaml field"],
)
def test_deeply_nested_text_is_refused_in_words(reader, text):
    """No recursion error reaches the user."""
    with pytest.raises(ParameterError):
        reader(text)


def test_expanding_yaml_does_not_grow_without_end():
    """Aliases that multiply (the 'billion laughs') end in a refusal, quickly and without the memory."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    for k in range(1, 30):
        lines.append(f"a{k}: &a{k} [{', '.join([f'*a{k - 1}'] * 10)}]")
    with pytest.raises(ParameterError):
        Parameters.from_yaml("\n".join(lines))


def test_reading_names_the_place():
    text = configs.SingleRPUConfig().to_yaml(full=True).replace("dw_min: 0.001", "dw_min: -3")
    with pytest.raises(ParameterError, match=r"dw_min.*-3"):
        configs.SingleRPUConfig.from_yaml(text)
    with pytest.raises(ParameterError, match="ConstantStepDevic'"):
        configs.ConstantStepDevice.from_yaml("type: ConstantStepDevic")
    with pytest.raises(ParameterError, match="expected IOParameters, found ConstantStepDevice"):
        configs.IOParameters.from_yaml("type: ConstantStepDevice")


@given(text=st.text(max_size=200))
def test_any_text_is_read_or_refused(text):
    """Whatever is pasted, the only error is the readable one."""
    for reader in (Parameters.from_yaml, Parameters.from_json, Parameters.from_python):
        with contextlib.suppress(ParameterError):
            reader(text)


@given(
    text=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
        max_leaves=10,
    ),
    kind=st.sampled_from(["ConstantStepDevice", "SingleRPUConfig", "ChoppedTransferCompound", "nothing", 3]),
    field=st.sampled_from(["device", "unit_cell_devices", "dw_min", "mapping", "forward", "other"]),
)
def test_any_plain_data_is_read_or_refused(text, kind, field):
    with contextlib.suppress(ParameterError):
        assert isinstance(Parameters.from_dict({"type": kind, field: text}), Parameters)
