# Every target sets up what it needs: a fresh clone, python3 and make are enough.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help setup wheelhouse tools fix check test oldest proof matrix soak demo bench docs build
help: ## list the targets
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: $(VENV)/.done ## make the virtual environment, with everything the tests need

$(VENV)/.done: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'
	$(BIN)/python -m pip install --quiet --editable '.[httpx2,otel,cli]' --group dev
	touch $@

tools: .cache/tools/bin/promtool ## bring Prometheus and Alertmanager for the tests, without installing them

.cache/tools/bin/promtool:
	@sh tests/alerting/fetch-tools.sh .cache/tools

wheelhouse: .cache/wheelhouse/.done ## bring the wheels that the tests of the package install, without a network

.cache/wheelhouse/.done: pyproject.toml $(VENV)/.done
	rm -rf .cache/wheelhouse
	$(BIN)/python -m pip wheel --quiet --wheel-dir .cache/wheelhouse .
	rm .cache/wheelhouse/poolscope-*
	touch $@

fix: setup ## format and mend what a tool can mend
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

check: setup ## lint, formatting and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Three processes keep two cores busy: much of a test's time is waiting. A file stays in one, with what it set up.
SPREAD := -n 3 --dist loadscope --no-loadscope-reorder

test: setup tools wheelhouse .venv-docs/.done oldest ## run every test
	$(BIN)/python -m pytest $(SPREAD)

# What the oldest httpx and httpcore have not: private names that two tests reach for, the fault of the keep-alive limit
# (later versions have it), the mapping of a TLS failure to ConnectError.
# Its sync pool closes connections under other threads: bare, 8 threads on 4 connections, 118 of 4,800 requests failed
# with EBADF. So it is not asked for steady numbers under load.
# Transparency is asked for in two colours, for the sake of time. One test is about httpx2 alone.
OLDEST_LACKS := told_from_a_surplus or nobody_closed or never_exceed_the_limit or keepalive_limit_throws or \
	tls_failure or (wrapped_transport_shows and trio) or (every_scrape_under_load and httpx-sync) or \
	(every_single_collection and sync)
OLDEST_TESTS := $(addprefix tests/test_,moments.py close_reasons.py faults.py transparency.py sinks.py sinks_equal.py \
	sinks_load.py multiprocess.py)

oldest: .venv-oldest/.done ## run the transports' and sinks' tests with the oldest supported versions
	TEST_FLAVOURS=httpx .venv-oldest/bin/python -m pytest $(SPREAD) -p no:cacheprovider \
		$(OLDEST_TESTS) -k 'not ($(OLDEST_LACKS))'

.venv-oldest/.done: pyproject.toml tests/oldest.txt
	$(PYTHON) -m venv .venv-oldest
	.venv-oldest/bin/python -m pip install --quiet --constraint tests/oldest.txt --editable '.[otel]' 'httpx[http2,socks]' \
		anyio gunicorn hypercorn opentelemetry-exporter-prometheus pproxy pytest pytest-timeout \
		pytest-xdist trio trustme
	touch $@

proof: setup tools $(VENV)/.proof ## run what takes long, and write down what it found (MINUTES of soak)
	$(BIN)/python tests/proof/mutants.py
	$(BIN)/python tests/proof/matrix.py
	$(BIN)/python tests/alerting/mutants.py
	$(BIN)/python tests/proof/long_soak.py --minutes $(MINUTES)

$(VENV)/.proof: $(VENV)/.done
	$(BIN)/python -m pip install --quiet --group proof
	touch $@

matrix: setup ## run the transports' and sinks' tests with other versions (some alone: MATRIX=0.27.2)
	$(BIN)/python tests/proof/matrix.py $(MATRIX)

MINUTES ?= 10
soak: setup ## break connections every way for MINUTES (10), then judge: laws, logs, memory, descriptors
	$(BIN)/python tests/soak/soak.py --minutes $(MINUTES)

demo: setup ## show what the library shows, on real sockets (arguments in DEMO, such as DEMO=--fast)
	$(BIN)/poolscope demo $(DEMO)

bench: $(VENV)/.bench ## count what a request costs, in instructions, beside the bare client (BENCH='--only CASE')
	$(BIN)/python benchmarks/bench.py $(BENCH)

$(VENV)/.bench: $(VENV)/.done
	$(BIN)/python -m pip install --quiet --group bench
	touch $@

docs: .venv-docs/.done ## build the docs' pages into build/docs, warnings being errors
	.venv-docs/bin/python -m sphinx --fail-on-warning --keep-going --nitpicky --quiet --fresh-env --write-all \
		--builder html docs build/docs

# A place of its own: opentelemetry-distro pins an SDK, and the frameworks of the quick starts are not for the tests.
.venv-docs/.done: pyproject.toml
	$(PYTHON) -m venv .venv-docs
	.venv-docs/bin/python -m pip install --quiet --upgrade 'pip>=25.1'
	.venv-docs/bin/python -m pip install --quiet --editable '.[httpx2,otel,cli]' --group docs
	touch $@

build: setup ## build the sdist and the wheel into dist, and check them
	rm -rf dist
	$(BIN)/python -m hatchling build -d dist
	$(BIN)/python -m twine check --strict dist/*
