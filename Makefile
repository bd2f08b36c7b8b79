# Everything starts from `make run`. Needs only Python 3.11 or newer and make.
SHELL := /bin/bash
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# Which torch build uv takes when no folder of wheels is configured: cpu, auto, cu128, ..., or nothing for the
# package index's own (with CUDA, several GB).
TORCH_BACKEND ?= cpu
# Sets UV_FIND_LINKS to the folder of wheels that pip is told of, if any; otherwise uv chooses the torch build.
UV_SOURCES = links="$${PIP_FIND_LINKS:-$$($(BIN)/python -m pip config get global.find-links 2>/dev/null || true)}"; \
	if [ -n "$$links" ]; then export UV_FIND_LINKS="$$links"; \
	elif [ -n "$(TORCH_BACKEND)" ]; then export UV_TORCH_BACKEND="$(TORCH_BACKEND)"; fi
UV_PIP = VIRTUAL_ENV="$(CURDIR)/$(VENV)" $(BIN)/uv pip
NOTEBOOK_TIMEOUT ?= 600
export MLFLOW_DISABLE_TELEMETRY := true

.PHONY: help env run test lint format unit notebooks browser lab ui app gallery lock clean

help:
	@echo "make run    install, then the quick start: measure this machine, train, predict, report"
	@echo "make test   install, then ruff, pytest and the notebooks"
	@echo "make lab    JupyterLab on notebooks/        make ui     the MLflow pages"
	@echo "make app    notebooks as apps, no code         make gallery  every notebook run and rendered to HTML"
	@echo "make env    only install                    make lint   only ruff"
	@echo "make lock   new requirements.lock           make clean  remove caches, reports and the environment"

env: $(STAMP)

# uv installs the whole lock in seconds where pip needs minutes. Compiled at once, because many machines (containers above
# all) keep Python from doing it later, and then every process spends seconds on it.
$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
		{ echo "This project needs Python 3.11 or newer, but '$(PYTHON)' is $$($(PYTHON) --version 2>/dev/null || echo missing); install one and run 'make PYTHON=python3.11 ...'." >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }
	@test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	@$(UV_SOURCES); $(UV_PIP) install --compile-bytecode -r requirements.lock || \
		{ echo "The packages could not be installed; if only torch's CPU builds cannot be reached, run 'make env TORCH_BACKEND='." >&2; exit 1; }
	@$(UV_PIP) install --quiet --no-deps --no-build-isolation --editable .
	@touch $(STAMP)

run: env
	$(BIN)/workbench quickstart

test: lint unit notebooks

lint: env
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: env
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Processes side by side with threads of their own would fight for the cores: one thread each is several times faster.
unit notebooks: export OMP_NUM_THREADS := 1

# Browser tests are long, and begin first; they wait for pages half of their time, so that a third process pays on two
# cores.
unit: env
	$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder -m "not slow and not gpu"

# Every cell runs, as the tiny run that WORKBENCH_SMOKE asks for, with an MLflow home of its own.
notebooks: env
	home=$$(mktemp -d) && trap 'rm -rf "$$home"' EXIT && WORKBENCH_SMOKE=1 WORKBENCH_HOME="$$home" \
		$(BIN)/python -m pytest -n 2 --dist loadfile --nbval-lax --nbval-current-env --nbval-cell-timeout=$(NOTEBOOK_TIMEOUT) notebooks

browser: env
	$(BIN)/python -m pytest -m browser tests/browser

lab: env
	$(BIN)/workbench lab

ui: env
	$(BIN)/workbench ui

app: env
	$(BIN)/workbench app

gallery: env
	$(BIN)/workbench gallery

# For the oldest Python that is supported, and into a new file: uv would prefer what stands in the old one, and so
# never see the torch build of another source.
# The build's own suffix (+cpu) is dropped, so that the lock installs wherever some build of that version is.
lock: env
	@rm -f requirements.lock.new
	@$(UV_SOURCES); $(UV_PIP) compile --quiet --python-version 3.11.0 --extra dev --extra onnx --extra openvino --no-annotate --no-header \
		--no-emit-index-url --no-emit-find-links $(LOCK_ARGS) pyproject.toml --output-file requirements.lock.new
	@if grep -q '^nvidia-' requirements.lock.new; then rm requirements.lock.new; \
		echo "The lock would install CUDA; name a source of torch's CPU build with TORCH_BACKEND or PIP_FIND_LINKS." >&2; exit 1; fi
	@{ echo "# Exact versions of everything that 'make env' installs. Made by 'make lock'; do not edit by hand."; \
		sed -E 's/^(torch==[0-9.]+)\+.*/\1/' requirements.lock.new; } > requirements.lock
	@rm requirements.lock.new

clean:
	rm -rf $(VENV) build reports *.egg-info .pytest_cache .ruff_cache .hypothesis tests/browser/artifacts
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
