# Every target sets up what it needs: a fresh clone, python3 and make are enough.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help setup fix check tools test demo bench
help: ## list the targets
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

setup: $(VENV)/.done ## make the virtual environment, with everything the tests need

$(VENV)/.done: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'
	$(BIN)/python -m pip install --quiet --editable '.[httpx2,otel,cli]' --group dev
	touch $@

tools: .cache/tools/bin/promtool ## bring Prometheus and Alertmanager for the tests, without installing them

.cache/tools/bin/promtool:
	@sh tests/alerting/fetch-tools.sh .cache/tools

fix: setup ## format and mend what a tool can mend
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

check: setup ## lint, formatting and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: setup tools ## run every test
	$(BIN)/python -m pytest

demo: setup ## show what the library shows, on real sockets (arguments in DEMO, such as DEMO=--fast)
	$(BIN)/poolscope demo $(DEMO)

bench: setup ## count what a warm request costs, in instructions, against the bare transport
	$(BIN)/python benchmarks/warm_path.py
