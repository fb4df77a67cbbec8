# make study   the whole study: install, train, report
# make test    formatting, lint, types and all tests; with Debian's chromium installed, those of report.html too
# make quick   the same without the slow tests
# make tune-demo   two conditions, tuned fairly and compared on held-out seeds: minutes
# make site    the documentation, into site/, with warnings as errors
# make lock    pin anew what pyproject.toml asks for

PYTHON ?= python3
PYTEST = .venv/bin/pytest --dist worksteal --durations 10
CORES = $$(getconf _NPROCESSORS_ONLN)
RUNS ?= runs

.PHONY: study tune-demo test quick check site lock clean

study: .venv/installed
	.venv/bin/study sweep sweeps/thread.yaml --runs-dir $(RUNS)
	.venv/bin/study report $(RUNS) --sweep sweeps/thread.yaml
	@echo "Ten seeds exaggerate what they find: the report says by how much. docs/results.md has the study of 300 seeds."

tune-demo: .venv/installed
	.venv/bin/study tune sweeps/demo/design.yaml --space sweeps/demo/space.yaml --trials 12 --seeds 6 --held-out 10 \
		--runs-dir $(RUNS)

# Slow tests wait for other processes: one more than there are cores.
test: check site
	$(PYTEST) --numprocesses $$(( $(CORES) + 1 ))

quick: check
	$(PYTEST) --numprocesses $(CORES) -m "not slow"

check: .venv/installed
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy --num-workers auto

site: .venv/installed
	NO_MKDOCS_2_WARNING=1 .venv/bin/mkdocs build --strict

.venv/installed: requirements.lock pyproject.toml
	@echo "Installing into .venv: some minutes"
	$(PYTHON) -m venv .venv
	.venv/bin/pip install --quiet --requirement requirements.lock
	.venv/bin/pip install --quiet --no-deps --editable .
	touch $@

# torch's local version, such as +cpu, depends on where it was found: any build of 2.13.0 will do.
lock: .venv/installed
	.venv/bin/pip install --quiet pip-tools
	.venv/bin/pip-compile --quiet --upgrade --extra dev --extra docs --strip-extras --no-header --annotation-style line \
		--no-emit-find-links --no-emit-index-url --no-emit-trusted-host --no-emit-options \
		--output-file requirements.lock pyproject.toml
	sed -i 's/^\(torch==[0-9.]*\)+[a-z0-9]*/\1/' requirements.lock
	sed -i '1i # Every package of the project and its tests, pinned. Made by `make lock`.' requirements.lock

clean:
	rm -rf .venv
