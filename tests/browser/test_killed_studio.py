"""The studio dies in the middle of a run; the run does not, and the next studio tells how it ended."""

import pytest
from runs.recipes import history
from studio_server import free_port, started_studio, stop_workers
from visitor import Visitor, wait_until

from tilewright.runs import RunStore, SyncEngine
from tilewright.workspace import Workspace

pytestmark = pytest.mark.browser
LONG = 25  # epochs, some seconds


def test_a_killed_studio_takes_no_run_with_it(tmp_path, chromium):
    port, folder, log = free_port(), tmp_path / "workspace", tmp_path / "studio.log"
    address = f"http://127.0.0.1:{port}"
    server = started_studio(folder, port, log)
    try:
        visitor = Visitor(chromium, address)
        visitor.open("/train?algorithms=Mixed%20precision&epochs=1")
        visitor.choose("Data", "digits8x8")
        visitor.press("Train 1 run")
        runs = Workspace(folder).runs
        wait_until(lambda: [row.state for row in runs.list()] == ["finished"], "the short run did not end")
        (short,) = runs.list()
        visitor.fill("Epochs", str(LONG))
        visitor.press("Train 1 run")
        wait_until(lambda: len(runs.list()) == 2 and runs.list()[0].step > 0, "the long run did not begin")
        long = runs.list()[0]
        server.kill()
        server.wait(timeout=30)
        before = runs.get(long.id)
        assert (before.state, before.step < before.total_steps) == ("running", True), "it was killed too late"
        wait_until(lambda: runs.get(long.id).step > before.step, "the run ended with the studio")
        visitor.context.close()  # it rightly complains that the studio is gone

        server = started_studio(folder, port, log)
        visitor = Visitor(chromium, address)
        visitor.open("/train")
        visitor.page.get_by_text("Latest runs").wait_for()
        row = runs.get(long.id)
        assert (row.state, row.step, row.attempt) == ("finished", row.total_steps, 1)
        assert runs.get(short.id) == short, "what was finished is untouched"
        for done in (short, row):
            shown = f"Test accuracy {100 * done.test_accuracy:.1f} %"
            visitor.page.get_by_text(shown).first.wait_for()
        visitor.close()
    finally:
        server.kill()
        server.wait(timeout=30)
        stop_workers(folder)
        print(log.read_text(errors="replace")[-4000:])
    reference = RunStore(tmp_path / "reference")
    with SyncEngine(reference) as engine:
        run_id = engine.submit(row.spec)
        assert engine.wait(run_id, 120).state == "finished"
        assert history(engine.follow(run_id)) == history(runs.metrics(long.id))
    for store in (reference, runs):
        store.close()
