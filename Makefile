# make study   the whole study: install, train, report
# make test    formatting, lint, types and all tests
# make quick   the same without the slow tests

PYTHON ?= python3
RUNS ?= runs

.PHONY: study test quick check clean

study: .venv/installed
	.venv/bin/study sweep sweeps/thread.yaml --runs-dir $(RUNS)
	.venv/bin/study report $(RUNS) --sweep sweeps/thread.yaml

test: check
	.venv/bin/pytest

quick: check
	.venv/bin/pytest -m "not slow"

check: .venv/installed
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy

.venv/installed: requirements.lock pyproject.toml
	$(PYTHON) -m venv .venv
	.venv/bin/pip install --quiet --requirement requirements.lock
	.venv/bin/pip install --quiet --no-deps --editable .
	touch $@

clean:
	rm -rf .venv
