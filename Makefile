# Everything is done in .venv, with versions held by constraints.txt. `make help` lists what there is.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

VENV := .venv
BIN := $(VENV)/bin
SOURCES := pyproject.toml agent/pyproject.toml constraints.txt
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet
export PIP_CONSTRAINT := $(CURDIR)/constraints.txt

.PHONY: help demo test check bench bench-rollouts screenshots images images-test format clean system-packages demo-packages

help: ## what can be made
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 22

demo: $(VENV)/.installed demo-packages ## a living fleet of 60 devices with something wrong in it
	@$(BIN)/fleetview demo

test: $(VENV)/.installed-dev system-packages ## all tests, on real servers
	@# Real servers on a loaded machine: what fails gets one more go, and is named in the summary, for it wants mending.
	$(BIN)/python -m pytest -n 3 --reruns 1 -rfER

check: $(VENV)/.installed-dev ## linters, formatter, types, and which room may know which
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/hadolint deploy/docker/*.Dockerfile

bench: $(VENV)/.installed-dev system-packages ## the figures, beside the bare library in the same run
	PYTHONPATH=tests $(BIN)/python -m benchmarks

bench-rollouts: $(VENV)/.installed-dev ## how good the decisions of rollouts are, beside those of other engines
	PYTHONPATH=tests $(BIN)/python -m benchmarks.rollouts

screenshots: $(VENV)/.installed-dev ## screenshots/*.svg, from the demo's fleet at a fixed moment
	PYTHONPATH=tests $(BIN)/python -m benchmarks.screenshots

images: ## container images of the agent and of fleetview, with docker, podman or buildah; options stand in tools/build-images
	@tools/build-images

images-test: images $(VENV)/.installed-dev ## run them, confined as deploy/compose has it, against a real broker
	$(BIN)/python -m pytest -m images -rs tests/deploy

format: $(VENV)/.installed-dev ## put the code into shape
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean: ## take away what was made
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache build dist agent/dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@command -v python3 >/dev/null || { echo "fleetview needs Python 3.11 or newer: install python3"; exit 1; }
	@python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "fleetview needs Python 3.11 or newer; this is $$(python3 --version)"; exit 1; }
	@if ! python3 -c 'import ensurepip, venv' 2>/dev/null; then \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    echo "installing python3-venv ..."; apt-get update -qq; apt-get install -y -qq --no-install-recommends python3-venv >/dev/null; \
	  else echo "this Python has no venv module: as root, apt-get install python3-venv"; exit 1; fi; fi
	@echo "making $(VENV) ..."
	@python3 -m venv $(VENV)

$(VENV)/.installed: $(SOURCES) | $(BIN)/python
	@echo "installing fleetview into $(VENV) ..."
	@$(PIP) -e ./agent -e '.[demo]'
	@$(BIN)/python -m compileall -q $(VENV)/lib fleetview agent/fleetview_agent || true
	@touch $@

$(VENV)/.installed-dev: $(SOURCES) | $(BIN)/python
	@echo "installing fleetview and what its tests need into $(VENV) ..."
	@$(PIP) -e ./agent -e '.[demo,dev]'
	@touch $@ $(VENV)/.installed

system-packages:
	@tools/debian-programs mosquitto prometheus prometheus-alertmanager victoria-metrics systemd

demo-packages:
	@tools/debian-programs --optional mosquitto prometheus prometheus-alertmanager
