# Two commands do it all from a fresh clone: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PROGRAM := $(VENV)/.program
TOOLS := $(VENV)/.tools

.PHONY: program setup lock demo test parts check bench soak docs clean

# The program alone, which is all that the demo needs.
program: $(PROGRAM)

$(PROGRAM): pyproject.toml
	@echo "Installing harvester into $(VENV) (once; takes as long as pip does) ..."
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

# The rest of what development needs, in the versions that the lock names.
setup: $(TOOLS)

$(TOOLS): $(PROGRAM) requirements-dev.txt
	@echo "Installing what the tests need into $(VENV) (once; takes a few minutes) ..."
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements-dev.txt
	@touch $@

# The newest versions of everything that development needs, for each supported Python: `make lock test`, then commit.
lock: setup
	$(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --all-extras --group dev \
		--custom-compile-command 'make lock' --output-file requirements-dev.txt pyproject.toml

demo: program
	$(BIN)/harvester demo

check: setup
	$(BIN)/ruff format --check harvester tests
	$(BIN)/ruff check harvester tests config
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

test: check parts
	$(BIN)/pytest -n 4 --dist loadgroup --durations 15

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
	$(BIN)/python -m tests.e2e.soak $(or $(SEED),$(shell date +%s)) $(KILLS)

# The tables of the manual that are generated from the code; a test compares.
docs: setup
	$(BIN)/python -m tests.docs.tables

clean:
	rm -rf $(VENV) .azurite .venv-singer .bench .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist demo-output
