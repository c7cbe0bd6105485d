# fineline: `make` lists what there is to do. Every target sets up what it needs, once.

.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
# no telemetry, no animated progress in logs; the stages' `python` is the one of the environment
export PATH := $(CURDIR)/$(BIN):$(PATH)
export DAGSTER_HOME := $(CURDIR)/.dagster
export DVC_NO_ANALYTICS := 1
export PYTHONUNBUFFERED := 1
# without compiled modules, each process needs 12 s more to import torch and transformers
unexport PYTHONDONTWRITEBYTECODE

SPELLED := fineline pipelines assets benchmarks tools docs suites Makefile dvc.yaml params.yaml $(wildcard *.md)

.PHONY: help setup demo announce shipped dagster ui test test-all test-consumers soak programs lint docs models accept golden bench lock clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY) ## virtual environment with the locked dependencies

$(READY): requirements-dev.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "fineline needs Python 3.11 or newer; set PYTHON=")'
	$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear .venv # a half-finished one is made again
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --retries 2 uv==0.13.9 || \
	  { echo "error: the packages cannot be fetched; check the network or the proxy, then run the same command again" >&2; exit 1; }
	$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes --requirement requirements-dev.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --editable .
	@touch $@

demo: announce ## a small adapter from raw rows to a judged, exported candidate
	@$(MAKE) --no-print-directory setup
	fineline run home-demo

announce:
	@$(PYTHON) tools/announce.py

shipped: setup ## the adapter of the README at full strength
	fineline run home-en

dagster: setup ## every stage that is stale, through Dagster without a browser
	dagster job execute --module-name assets.definitions --job everything

ui: setup ## the graph in Dagster, on http://127.0.0.1:3000
	dagster dev --workspace workspace.yaml --host 127.0.0.1 --port 3000

PYTEST := pytest --numprocesses logical --maxprocesses 4 --dist worksteal

test: setup ## every behavior, on a tiny model built on the spot
	$(PYTEST) -m "not slow and not soak and not consumers"

test-all: setup programs ## the same, whole chains, daemon, browser, README, eight weeks of faults, an installed wheel
	$(PYTEST) -m "not soak and not consumers"

test-consumers: setup ## each format in the programs that load it: transformers, PEFT, ONNX Runtime, vLLM
	pytest --numprocesses 0 -m consumers --record-consumers tests/consumers/results.json tests/consumers

soak: setup ## a simulated year and long sequences of random actions
	$(PYTEST) -m soak

programs: ## install Chromium, nginx, Postgres and SoftHSM for tests, as root where apt-get is at hand
	@tests/programs.sh

lint: setup ## ruff, mypy, layers of imports, stage versions, words, generated parts of the docs
	ruff check .
	ruff format --check .
	mypy
	lint-imports
	python tools/stage_digests.py check
	python tools/words.py
	python tools/parameters.py check
	python tools/consumers.py check
	codespell $(SPELLED)

docs: setup ## write docs/parameters.md, and the table of consumers in docs/deployment.md
	python tools/parameters.py
	python tools/consumers.py

models: setup ## write docs/models.md: how far every class of transformers comes, on tiny random models
	python tools/models.py

accept: setup ## record changed code of a stage whose results are the same: make accept STAGE=train, or STAGE=all
	python tools/stage_digests.py accept $(STAGE)

golden: setup ## record the results of the golden chain, after a raised stage version or other libraries
	pytest --numprocesses 0 --record-golden tests/golden

bench: setup ## speed against the usual tools, and what Dagster and DVC add (after `make demo`)
	python benchmarks/curation.py
	python benchmarks/training.py
	python benchmarks/scoring.py
	python benchmarks/agreement.py
	python benchmarks/governance.py
	python benchmarks/loading.py
	python benchmarks/overhead.py

LOCK := uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes --quiet \
  --custom-compile-command 'make lock' --constraint constraints.txt --constraint corpora/home-assistant.txt

lock: setup ## pin the newest versions that pyproject.toml allows: what runs, and what develops it
	$(LOCK) --extra dev --output-file requirements-dev.lock --upgrade
	$(LOCK) --extra gguf --extra home-assistant --constraint requirements-dev.lock --output-file requirements.lock --upgrade

clean: ## remove the environment and scratch files; data and models stay
	rm -rf .venv .fineline/building .fineline/scores .pytest_cache .mypy_cache .ruff_cache
