# make demo | test | check | clean: each makes what it needs first.
PYTHON ?= python3
# Lava wants Python 3.10; a version manager's shim may exist and still fail, so it is tried.
LAVA_PYTHON ?= $(shell python3.10 -c 'import ensurepip, sys; print(sys.executable)' 2>/dev/null || command -v $(PYTHON))
SIZE ?= default
BIN := .venv/bin

.PHONY: demo test check clean

demo: .venv/ready .venv-lava/ready
	$(BIN)/neuva demo --size $(SIZE)

test: .venv/ready .venv-lava/ready
	$(BIN)/python -m pytest -q -n 2 --dist loadfile

check: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

.venv/ready: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "neuva needs Python 3.11 or later: make PYTHON=python3.11")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,bench]'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --no-deps norse
	touch $@

.venv-lava/ready: hardware/loihi/lava-requirements.txt
	$(LAVA_PYTHON) -m venv --clear .venv-lava
	.venv-lava/bin/python -m pip install --quiet --disable-pip-version-check --ignore-requires-python -r $<
	.venv-lava/bin/python hardware/loihi/lava_runner.py --help >/dev/null
	touch $@

clean:
	rm -rf .venv .venv-lava runs build *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
