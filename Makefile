# `make demo` and `make test` each suffice on a fresh machine with Python 3.11 or newer.

PYTHON ?= python3
PYTEST_ARGS ?= -n 2
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip -qq --disable-pip-version-check
TORCH := $(shell grep '^torch==' constraints.txt)
BENCHMARKS := benchmarks/engine.py

.DEFAULT_GOAL := help
.PHONY: help demo test check bench clean

help:
	@echo "make demo    train and try a miniature reward model"
	@echo "make test    run the checks and the tests (PYTEST_ARGS='-n 2')"
	@echo "make check   formatting, lint, types and layers alone"
	@echo "make bench   measure the engine against plain padded rows"
	@echo "make clean   remove caches and .venv"

demo: $(VENV)/.core
	@$(BIN)/vlreward demo

test: check
	@$(BIN)/pytest $(PYTEST_ARGS)

check: $(VENV)/.dev
	@$(BIN)/ruff format --check
	@$(BIN)/ruff check
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache

bench: $(VENV)/.core
	@for benchmark in $(BENCHMARKS); do echo "$$benchmark"; $(BIN)/python $$benchmark || exit 1; done

clean:
	rm -rf $(VENV) build dist src/*.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.dev: $(VENV)/.core
	@echo "Installing the development tools…"
	@$(PIP) install -c constraints.txt -e '.[dev]'
	@touch $@

$(VENV)/.core: pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing vlreward and what it needs into $(VENV); this takes some minutes the first time…"
	@$(PIP) install $(TORCH)
	@$(PIP) install -c constraints.txt -e .
	@touch $@

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "vlreward needs Python 3.11 or newer, and $(PYTHON) is not."; \
		echo "Name one that is: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 2; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
		echo "Could not make $(VENV); on Debian and Ubuntu: apt install python3-venv"; exit 2; }
