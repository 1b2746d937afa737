# Two commands do it all from a fresh clone: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: setup demo test parts check bench soak docs clean

setup: $(STAMP)

$(STAMP): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'
	$(BIN)/python -m pip install --quiet --editable . --group dev
	touch $@

demo: setup
	$(BIN)/harvester demo

check: setup
	$(BIN)/ruff format --check harvester tests
	$(BIN)/ruff check harvester tests
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

test: check parts
	$(BIN)/pytest -n 2 --dist loadgroup --durations 15

# Programs that tests use and pip can't bring; what can't be had is said, and its tests are skipped.
parts:
	tests/setup/parts

# The figures, as tables and in .bench/: `make bench`, or some of them: `make bench ONLY=cost,quota`.
bench: setup
	$(BIN)/python -m tests.bench --only '$(ONLY)'

# A hundred kills over every kind of output, and a list of a million: `make soak`, or `make soak SEED=7 KILLS=20`.
SEED ?=
KILLS ?= 100
soak: setup
	$(BIN)/python -m tests.whole.soak $(or $(SEED),$(shell date +%s)) $(KILLS)

# The tables of the README that come from the code; a test compares.
docs: setup
	$(BIN)/python -m tests.docs.tables

clean:
	rm -rf $(VENV) .azurite .venv-singer .bench .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist demo-output
