"""Runs leave a workspace as files: archives that others take in, reports, tables, logs."""

from __future__ import annotations

import csv
import io
import json
import re
import sys
import zipfile

import pytest
import torch

from runs.recipes import history, same_state, small_spec
from tilewright import cli
from tilewright.report import html_report
from tilewright.runs import RunStore, Seeds, SyncEngine, archive, fresh_accuracies, tensorboard_logs, trained_network
from tilewright.runs.archive import ArchiveError
from tilewright.runs.tensorboard import MissingPackage


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Two settings with two seeds each, trained."""
    store = RunStore(tmp_path_factory.mktemp("finished"))
    with SyncEngine(store) as engine:
        specs = [
            small_spec(a, name=f"{a} <b>", epochs=1, train_limit=40, seeds=Seeds(data=s, weights=s, devices=s))
            for s in (1, 2) for a in ("mp", "sgd")
        ]  # fmt: skip
        ids = engine.submit_all(specs, "a sweep", ["kept"])
        for run_id in ids:
            assert engine.wait(run_id, 60).state == "finished"
    store.annotate(ids[0], notes="the best, or so")
    yield store, ids
    store.close()


def test_another_workspace_takes_runs_in_and_repeats_them_to_the_same_numbers(finished, store):
    source, ids = finished
    taken = archive.take_in(store, archive.pack(source, ids))
    assert len(taken) == 4
    for old, new in zip((source.get(i) for i in ids), (store.get(i) for i in taken), strict=True):
        for name in ("name", "digest", "state", "batch", "tags", "notes", "results", "test_accuracy", "loss", "step"):
            assert getattr(new, name) == getattr(old, name), name
        assert history(store.metrics(new.id)) == history(source.metrics(old.id))
        assert same_state(trained_network(store, new.id).state_dict(), trained_network(source, old.id).state_dict())
    with SyncEngine(store) as engine:
        again = engine.submit(store.get(taken[0]).spec)
        engine.wait(again, 60)
        assert history(store.metrics(again)) == history(source.metrics(ids[0]))
        engine.extend(taken[0], 1)
        assert engine.wait(taken[0], 60).state == "finished"


def _changed(good: bytes, change) -> bytes:
    content = {}
    with zipfile.ZipFile(io.BytesIO(good)) as packed:
        content = {name: packed.read(name) for name in packed.namelist()}
    change(content)
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, data in content.items():
            packed.writestr(name, data)
    return target.getvalue()


class _Harmful:
    def __reduce__(self):
        return (exec, ("raise SystemExit('executed')",))


def _harmful_checkpoint() -> bytes:
    buffer = io.BytesIO()
    torch.save({"format": 2, "model": _Harmful()}, buffer)
    return buffer.getvalue()


HOSTILE = {
    "not a zip": (lambda c: None, "not an archive"),
    "a path upwards": (lambda c: c.update({"../../evil.txt": b"x"}), "does not belong"),
    "an absolute path": (lambda c: c.update({"/etc/cron.d/evil": b"x"}), "does not belong"),
    "another file": (lambda c: c.update({"runs/0/payload.py": b"x"}), "does not belong"),
    "a bomb": (lambda c: c.update({"runs/0/spec.yaml": b"a" * (5 * 2**20)}), "larger than"),
    "no specification": (lambda c: c.pop("runs/0/spec.yaml"), "has no spec.yaml"),
    "yaml that builds objects": (
        lambda c: c.update({"runs/0/spec.yaml": b"!!python/object/apply:os.system ['true']"}), "cannot be read"),
    "an unknown field": (lambda c: c.update({"runs/0/spec.yaml": b"type: RunSpec\nepoch: 3"}), "epochs"),
    "json of another kind": (lambda c: c.update({"runs/0/run.json": b"[1]"}), "not an object"),
    "deep json": (lambda c: c.update({"runs/0/run.json": b"[" * 100_000}), "not JSON"),
    "metrics of words": (lambda c: c.update({"runs/0/metrics.csv": b"name,step,value\nloss,one,2\n"}), "metrics.csv"),
    "metrics not a number": (lambda c: c.update({"runs/0/metrics.csv": b"name,step,value\nloss,1,nan\n"}), "no metric"),
    "names of markup": (lambda c: c.update({"runs/0/metrics.csv": b"name,step,value\n<b>,1,1\n"}), "no metric"),
    "code for weights": (lambda c: c.update({"runs/0/checkpoint.pt": _harmful_checkpoint()}), "cannot be used"),
    "another format": (lambda c: c.update({"tilewright.json": b'{"format": 99}'}), "another format"),
    "nothing": (lambda c: c.clear(), "holds none"),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_what_does_not_belong_is_refused_and_nothing_is_kept(finished, store, tmp_path, name):
    source, ids = finished
    change, message = HOSTILE[name]
    good = archive.pack(source, ids[:1])
    bad = b"PK but not a zip" if name == "not a zip" else _changed(good, change)
    with pytest.raises(ArchiveError, match=message):
        archive.take_in(store, bad)
    assert store.list() == []
    assert not list(tmp_path.rglob("evil*"))


def test_a_report_is_one_file_that_asks_for_nothing(finished):
    source, ids = finished
    text = html_report(source, ids)
    drawings = text.split("</script>", 1)[1]  # after the library itself
    assert drawings.count("Plotly.newPlot(") == drawings.count('"showSendToCloud": false') > 0
    assert "<b>" not in re.sub(r"<script.*?</script>", "", text, flags=re.S), "names are text, not markup"
    outside = re.findall(
        r"""(?:src|href)\s*=\s*["'](?!data:|#)[^"']+""", re.sub(r"<script.*?</script>", "", text, flags=re.S)
    )
    assert outside == []
    assert "default-src 'none'" in text
    for words in ("Paired differences", "paired t, Holm", "Every run", "the best, or so", "schema_version"):
        assert words in text


def test_the_shell_compares_and_exports(finished, tmp_path, capsys, monkeypatch):
    source, ids = finished
    monkeypatch.setenv("TILEWRIGHT_WORKSPACE", str(source.folder))
    files = {kind: tmp_path / f"out.{kind}" for kind in ("csv", "html", "zip")}
    assert cli.main(["compare", *(f"--{kind}={path}" for kind, path in files.items())]) == 0
    output = capsys.readouterr().out
    assert "test_accuracy, mean and 95 % interval" in output
    assert "p (t, Holm)" in output
    rows = list(csv.DictReader(io.StringIO(files["csv"].read_text())))
    assert {row["run"] for row in rows} == set(ids)
    assert float(rows[0]["test_accuracy"]) == source.get(rows[0]["run"]).test_accuracy
    monkeypatch.setenv("TILEWRIGHT_WORKSPACE", str(tmp_path / "other"))
    assert cli.main(["compare", "--take-in", str(files["zip"])]) == 0
    assert "took in 4 runs" in capsys.readouterr().out
    assert cli.main(["compare", "--batch", "no such"]) == 2
    assert "nothing to compare" in capsys.readouterr().err


def test_a_grid_is_trained_from_the_shell(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("TILEWRIGHT_WORKSPACE", str(tmp_path / "work"))
    from tilewright.runs import Grid, Variation

    plan = Grid(
        name="rates", base=small_spec(epochs=1, train_limit=20), seeds=2,
        variations=[Variation(field="learning_rate", values=[0.1, 0.5])],
    )  # fmt: skip
    path = tmp_path / "grid.yaml"
    path.write_text(plan.to_yaml())
    assert cli.main(["run", str(path), "--estimate"]) == 0
    assert "4 runs" in capsys.readouterr().out
    assert cli.main(["run", str(path)]) == 0
    assert capsys.readouterr().out.count("finished") == 4
    store = RunStore(tmp_path / "work")
    assert {row.batch for row in store.list()} == {"rates"}
    store.close()


def test_logs_for_tensorboard_or_the_name_of_what_is_missing(finished, tmp_path, monkeypatch):
    source, ids = finished
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(MissingPackage, match="pip install tensorboard"):
        tensorboard_logs(source, ids, tmp_path / "logs")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of TensorBoard's own packages
def test_logs_for_tensorboard_hold_every_value_once(finished, tmp_path):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    source, ids = finished
    for _ in range(2):  # the second time replaces what the first one wrote
        tensorboard_logs(source, ids, tmp_path)
    for run_id in ids:
        log = accumulator.EventAccumulator(str(tmp_path / run_id), size_guidance={accumulator.SCALARS: 0})
        log.Reload()
        read = [(name, e.step, e.value) for name in log.Tags()["scalars"] for e in log.Scalars(name)]
        kept = [(row.name, row.step, torch.tensor(row.value).item()) for row in source.metrics(run_id)]
        assert sorted(read) == sorted(kept), "values are kept in single precision"
        assert "specification/text_summary" in log.Tags()["tensors"]


def test_fresh_devices_are_others_and_hold_the_same_weights(finished):
    source, ids = finished
    values = list(fresh_accuracies(source, ids[0], instances=3))
    assert len(values) == 3
    assert all(0 <= value <= 1 for value in values)
    results = source.get(ids[0]).results
    assert results["fresh_test_accuracy"] == pytest.approx(sum(values) / 3)
    assert results["fresh_test_accuracy_low"] <= results["fresh_test_accuracy"]
    from tilewright.runs.fresh_devices import programmed
    from tilewright.runs.health import tiles_of

    trained = trained_network(source, ids[0])
    spec = source.get(ids[0]).spec
    one, other = (programmed(spec, trained, seed) for seed in (1, 2))
    for a, b, c in zip(tiles_of(one), tiles_of(other), tiles_of(trained), strict=True):
        arrays = [next(iter(tile.cell.device_arrays().values())) for tile in (a, b)]
        assert not torch.equal(arrays[0].max_bound, arrays[1].max_bound)
        assert (a.get_weights() - c.get_weights()).abs().mean() < 0.2 * c.get_weights().abs().mean() + 0.1


def test_json_of_an_archive_says_what_the_run_was(finished):
    source, ids = finished
    with zipfile.ZipFile(io.BytesIO(archive.pack(source, ids[:1], weights=False))) as packed:
        assert set(packed.namelist()) == {
            "tilewright.json", "runs/0/spec.yaml", "runs/0/run.json", "runs/0/metrics.csv"
        }  # fmt: skip
        about = json.loads(packed.read("runs/0/run.json"))
    assert about["versions"]["torch"] == torch.__version__
