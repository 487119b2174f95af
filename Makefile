# Two commands for a newcomer: `make demo` and `make test`. Both set themselves up in .venv and install nothing
# outside this folder. Needs python3 (3.11 or newer) with venv, and make.
SHELL := /bin/sh
.DELETE_ON_ERROR:
.SUFFIXES:

# The system's Python first: a Python inside somebody's home cannot be run by the ordinary user that some tests need.
PYTHON ?= $(shell for p in /usr/bin/python3 python3; do \
	$$p -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
SOURCES := $(shell find agent policies systemd -type f -not -name '*.pyc')

# The fault table is run against these versions of supervisor, each in an environment of its own, and the locked one.
OLDER := $(patsubst tests/harness/locks/%.txt,$(VENV)/%/.installed,$(wildcard tests/harness/locks/supervisor-*.txt))

.PHONY: help demo test check unit bench chaos mutants docs lock wheel clean
help:  ## What can be made
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/'

$(VENV)/.locked: requirements.lock
	@test -n "$(PYTHON)" || { echo "cannot set up: no python3 >= 3.11 with venv (on Debian: apt install python3-venv)"; exit 1; }
	@echo "setting up $(VENV) (once)"
	@rm -rf $(VENV)
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) install --require-hashes --only-binary :all: -r requirements.lock
	@touch $@

$(VENV)/.installed: $(VENV)/.locked pyproject.toml README.md $(SOURCES)
	@rm -rf dist
	@$(PIP) wheel --no-deps --no-build-isolation --wheel-dir dist .
	@$(PIP) install --no-deps --no-index --force-reinstall dist/*.whl
	@touch $@

$(OLDER): $(VENV)/%/.installed: tests/harness/locks/%.txt $(VENV)/.locked
	@rm -rf $(@D)
	@$(PYTHON) -m venv --without-pip $(@D)
	@$(BIN)/python -m pip --disable-pip-version-check --quiet --python $(@D)/bin/python install --require-hashes \
		--only-binary :all: -r $<
	@touch $@

demo: $(VENV)/.installed  ## Play the incident on a real stack in a temporary folder (under 120 s)
	@PYTHONPATH=tests $(BIN)/python -m demo

check: $(VENV)/.installed
	@$(BIN)/ruff check agent tests
	@$(BIN)/ruff format --check --quiet agent tests
	@$(BIN)/mypy
	@PYTHONPATH=agent $(BIN)/lint-imports

test: check $(OLDER)  ## Every check and every test that this machine can run (under 10 minutes)
	@$(BIN)/python -m pytest -n 4 --dist load --maxschedchunk 1

unit: $(VENV)/.installed  ## The fast tests only
	@$(BIN)/python -m pytest tests/unit tests/scenarios

bench: $(VENV)/.installed  ## What the product costs, and the deleted socket beside Monit and SIGHUP (under 8 minutes)
	@PYTHONPATH=tests $(BIN)/python -m bench

chaos: $(VENV)/.installed  ## Two hundred random sequences of faults on a real stack, into docs/chaos.md (under 30 minutes)
	@PYTHONPATH=tests $(BIN)/python -m stack.chaos 200

mutants: $(VENV)/.installed  ## Would a test notice a wrong line in evaluate, track or decide? (under 5 minutes)
	@PYTHONPATH=tests $(BIN)/python -m mutation

docs: $(VENV)/.installed  ## Write the generated pages anew
	@$(BIN)/paramedic check --reference > docs/policy-reference.md

lock: $(VENV)/.locked  ## Resolve requirements.lock anew
	@$(BIN)/pip-compile --quiet --all-extras --all-build-deps --allow-unsafe --generate-hashes --strip-extras --upgrade \
		--no-emit-index-url --no-emit-find-links --no-emit-trusted-host --no-emit-options --no-annotate --no-header \
		--output-file requirements.lock pyproject.toml

wheel: $(VENV)/.installed  ## Build dist/*.whl

clean:  ## Remove what was made here
	@rm -rf $(VENV) dist build .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .mutants
