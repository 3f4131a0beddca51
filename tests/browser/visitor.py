"""Somebody at the studio, who notices whatever goes wrong."""

import time
from urllib.parse import urlparse

PATIENCE = 60_000
PROBES = ("/_stcore/health", "/_stcore/host-config")


def wait_until(condition, complaint, seconds=90):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, complaint
        time.sleep(0.2)


class Visitor:
    """A page of a browser, with what it complained about."""

    def __init__(self, browser, address):
        self.address = address
        self.context = browser.new_context(viewport={"width": 1280, "height": 800})
        self.page = self.context.new_page()
        self.page.set_default_timeout(PATIENCE)
        self.complaints = []
        self.page.on("console", self._hear)
        self.page.on("pageerror", lambda error: self.complaints.append(f"exception in the page: {error}"))
        self.page.on("request", self._watch)

    def _hear(self, message):
        if message.type != "error":
            return
        where = urlparse(message.location.get("url", "")).path
        # A page opened by its own address first asks below that address whether the server is well; Streamlit means it.
        if where.endswith(PROBES):
            return
        self.complaints.append(f"console: {message.text} ({where})")

    def _watch(self, request):
        found = urlparse(request.url)
        if found.scheme in ("http", "https", "ws", "wss") and found.hostname != "127.0.0.1":
            self.complaints.append(f"left this machine: {request.url}")

    def open(self, path="/"):
        self.page.goto(self.address + path)
        self.settle()

    def settle(self):
        """Wait until the page has been drawn, then make sure that it shows no failure."""
        page = self.page
        page.get_by_role("heading").first.wait_for()
        page.wait_for_function("() => !document.querySelector('[data-testid=\"stSkeleton\"]')")
        page.wait_for_function(
            "() => [...document.querySelectorAll('.tilewright-chart')].every("
            "node => !node.offsetWidth || node.querySelector('.main-svg'))"
        )
        self.check()

    def check(self):
        assert self.page.get_by_test_id("stException").count() == 0
        assert self.page.get_by_text("Something unexpected").count() == 0
        assert self.page.get_by_text("Traceback").count() == 0
        assert self.complaints == []

    def visit(self, title):
        """Go to a page by the bar."""
        self.page.get_by_test_id("stTopNavLink").filter(has_text=title).click()
        self.page.get_by_role("heading", name=title, exact=True).wait_for()
        self.settle()

    def press(self, name, then=None):
        """Press a button; ``then`` is the title of the page it leads to."""
        self.page.get_by_role("button", name=name, exact=True).first.click()
        if then:
            self.page.get_by_role("heading", name=then, exact=True).wait_for()
            self.settle()

    def metric(self, label):
        box = self.page.get_by_test_id("stMetric").filter(has_text=label).first
        return box.get_by_test_id("stMetricValue").inner_text()

    def choose(self, label, option):
        """Pick an option of a selection."""
        self.page.get_by_role("combobox", name=label).first.click()
        self.page.get_by_role("option", name=option, exact=True).click()

    def fill(self, label, text):
        """Type into a number field."""
        field = self.page.get_by_role("spinbutton", name=label)
        field.fill(text)
        field.press("Enter")

    def points(self):
        """Last values of the lines in the first chart."""
        return self.page.evaluate(
            "() => [...document.querySelector('.tilewright-chart').calcdata].map(line => line.at(-1).y)"
        )

    def close(self):
        self.check()
        self.context.close()
