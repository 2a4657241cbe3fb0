# Everything from one word. Each target first makes .venv with the locked packages; nothing else is needed.

VENV := .venv
PY := $(VENV)/bin/python
LOCK := requirements.lock
STAMP := $(VENV)/installed
# Each worker has a database server of its own. The tests of a file stay together: they share what is costly to start.
SIDE_BY_SIDE := -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help setup packages run stories doctor reset test test-unit test-fuzz test-browser test-faults test-long screenshots bench lint fmt types lock

help:
	@echo "make run     the whole product on http://127.0.0.1:8000 (AJO_PORT=8001 make run for another port)"
	@echo "make stories  tells the three stories to the product that runs, and checks them"
	@echo "make test    all tests; make test-unit, -fuzz, -browser, -faults, -long for a part"
	@echo "make bench   all benchmarks; make bench BENCH=ingest for one"
	@echo "make screenshots   the README's pictures, taken anew"
	@echo "make lint    ruff; make fmt repairs what it can; make types runs mypy"
	@echo "make doctor  what is wrong, in sentences; make reset deletes the data; make lock renews the lock file"

# The stamp holds the lock's checksum and is written last: an interrupted installation is done again.
setup: packages
	@$(PY) -m ajo.runtime.frontend

packages:
	@set -e; \
	sum=$$(cksum < $(LOCK)); \
	if [ -x $(PY) ] && [ "$$(cat $(STAMP) 2>/dev/null)" = "$$sum" ] && $(PY) -c '' 2>/dev/null; then exit 0; fi; \
	python=; \
	for candidate in $(PYTHON) python3 python3.14 python3.13 python3.12 python3.11; do \
		if $$candidate -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then \
			python=$$candidate; break; \
		fi; \
	done; \
	if [ -z "$$python" ]; then \
		echo "No Python 3.11 or newer was found. Install one, or name it: make PYTHON=/path/to/python3.11" >&2; exit 1; \
	fi; \
	if ! $(PY) -c '' 2>/dev/null; then rm -rf $(VENV); $$python -m venv $(VENV); fi; \
	echo "Installing the locked packages into $(VENV); the first time takes a minute or two."; \
	$(PY) -m pip install --quiet --disable-pip-version-check --require-hashes -r $(LOCK); \
	echo "$$sum" > $(STAMP)

run: setup
	@$(PY) manage.py up

stories: setup
	@$(PY) manage.py stories

doctor: setup
	@$(PY) manage.py doctor

reset: setup
	@$(PY) manage.py reset

test: test-unit test-fuzz test-browser test-faults

test-unit: setup
	$(PY) -m pytest $(SIDE_BY_SIDE) -m "not browser and not faults and not long and not fuzz"

test-fuzz: setup
	$(PY) -m pytest -m "fuzz and not long"

test-browser: setup
	$(PY) -m pytest $(SIDE_BY_SIDE) -m "browser and not long"

test-faults: setup
	$(PY) -m pytest -m "faults and not long"

test-long: setup
	$(PY) -m pytest -m long

# The pictures of the README, taken by the tests that walk its tour.
screenshots: setup
	AJO_REQUIRE_BROWSER=1 AJO_SCREENSHOTS=$(CURDIR)/static/client/tour $(PY) -m pytest tests/browser/test_story.py tests/browser/test_stories.py

bench: setup
	@$(PY) -m tests.benchmarks $(BENCH)

lint: setup
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .

fmt: setup
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

types: setup
	$(PY) -m mypy
	cd static && PATH="$(CURDIR)/$(VENV)/bin:$$PATH" npm run --silent check

lock: setup
	$(PY) -m uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
		--group build --group dev pyproject.toml -o $(LOCK)
