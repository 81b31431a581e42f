# Needs Python 3.11 or newer, make and a package index. Everything is kept in .venv.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin

.PHONY: run test lint format generate lock screenshots bench clean

## Serve: CONFIG=file or credentials in the environment watch the real services; otherwise the demo.
run: .venv/installed
	@if [ -n "$(CONFIG)" ]; then \
	    echo "Watching the services of $(CONFIG)."; \
	    exec $(BIN)/transcoding-exporter serve --config.file "$(CONFIG)"; \
	elif [ -n "$$LIVEPEER_API_KEY$$QENCODE_TASK_TOKENS" ]; then \
	    echo "Watching the accounts given in the environment."; \
	    exec $(BIN)/transcoding-exporter serve; \
	else \
	    echo "No CONFIG=file, LIVEPEER_API_KEY or QENCODE_TASK_TOKENS given: running the demo."; \
	    exec $(BIN)/transcoding-exporter demo; \
	fi

## Run all tests, several files at once: most of them wait for something.
test: .venv/installed
	$(BIN)/python -m pytest --numprocesses 3 --dist loadfile

## What CI checks before the tests.
lint: .venv/installed
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy

format: .venv/installed
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

## Write anew what is generated and committed: the dashboards, the rules, the reference pages, the chart.
generate: .venv/installed
	$(BIN)/python -m grafana
	$(BIN)/transcoding-exporter rules --directory prometheus/rules
	$(BIN)/python -m docs.generator
	$(BIN)/python -m helm

## Write anew what the image is made of: the newest versions, for every Python and machine, with their hashes.
LOCK := $(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --custom-compile-command 'make lock'
lock: .venv/installed
	$(LOCK) --extra postgresql --output-file requirements.lock setup.cfg
	$(BIN)/python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"], sep="\n")' \
	    | $(LOCK) --no-annotate --output-file requirements-build.lock -

## Take the pictures of the status page anew; needs Chromium.
screenshots: .venv/installed
	$(BIN)/python -m tests.screenshots

## Measure how fast and frugal it is, against other ways; about five minutes, best on an idle machine.
bench: .venv/installed
	$(BIN)/python -m benchmarks

.venv/installed: setup.cfg pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; set PYTHON=")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install -qq --editable '.[dev]'
	@touch $@

clean:
	rm -rf .venv .tools build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
