# The two commands of the README. Each sets up what it needs; run again, they start at once.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SOURCES := pyproject.toml constraints.txt CMakeLists.txt $(wildcard cmake/* csrc/* csrc/gpu/*)

.PHONY: studio test check sanitize clean

studio: $(VENV)/studio.stamp  ## open the studio in the browser
	$(BIN)/tilewright studio

test: $(VENV)/test.stamp  ## run the test suite, one process a processor
	$(BIN)/python -m pytest -n auto --dist loadfile $(PYTEST_ARGS)

check: $(VENV)/test.stamp  ## lint, format and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

sanitize: $(VENV)/test.stamp  ## run the kernel tests over kernels built with sanitizers
	$(BIN)/python tests/sanitizers/run.py

clean:  ## remove the environment and build output
	rm -rf $(VENV) build

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Tilewright needs Python 3.11 or newer")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/studio.stamp: $(BIN)/python $(SOURCES)
	$(BIN)/python -m pip install --disable-pip-version-check -q -c constraints.txt -e .
	touch $@

$(VENV)/test.stamp: $(BIN)/python $(SOURCES)
	$(BIN)/python -m pip install --disable-pip-version-check -q -c constraints.txt -e '.[test]'
	touch $@ $(VENV)/studio.stamp
