# Testigo. `make` alone lists what there is. Every target sets up first what it needs.
.DEFAULT_GOAL := help
.PHONY: help setup demo run test long check bench
SHELL := /bin/bash
export PATH := $(CURDIR)/.venv/bin:$(PATH)

READY := .venv/.ready
PYTEST := .venv/bin/python -m pytest -q -n 3 --dist loadfile --no-loadscope-reorder

help: ## list what there is
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(READY) ## install what is missing and make .venv with `testigo` in it

$(READY): scripts/setup pyproject.toml $(wildcard requirements*.txt) $(wildcard tests/interop/package*.json web/frontend/package*.json)
	@scripts/setup
	@touch $@

demo: $(READY) ## the main job on real sample files, from an empty archive to a verified packet
	@.venv/bin/python demo/run.py

run: $(READY) ## the door for observers, for the archive in ./var (or TESTIGO_HOME)
	@testigo serve

test: $(READY) ## everything a stranger needs to believe that it works, within 15 minutes
	@$(PYTEST)

long: $(READY) ## sweeps, hammers, power cuts and gigabyte files; figures go to docs/evidence.md
	@.venv/bin/python -m pytest -q -m long --durations=0

check: $(READY) ## format, lint and types
	@ruff format --check --quiet .
	@ruff check --quiet .
	@mypy

bench: $(READY) ## figures against the peers, in one run
	@scripts/setup --bench
	@.venv/bin/python tests/bench/run.py
