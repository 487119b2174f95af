# Two commands for a newcomer: `make demo` and `make test`. Both set themselves up in .venv and install nothing
# outside this folder; `make install` does. Needs python3 (3.11 or newer) with venv, and make.
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

# uWSGI as its authors release it: source only. Without a C compiler and Python's headers its tests are skipped.
BUILT := $(patsubst tests/harness/locks/%.txt,$(VENV)/%/.installed,$(wildcard tests/harness/locks/uwsgi-*.txt))

.PHONY: help install uninstall demo test test-system check unit bench chaos crash soak fuzz mutants docs lock wheel clean
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

$(BUILT): $(VENV)/%/.installed: tests/harness/locks/%.txt $(VENV)/.locked
	@rm -rf $(@D)
	@$(PYTHON) -m venv --without-pip $(@D)
	@echo "building $* (once)"
	@if $(PIP) wheel --require-hashes --no-deps --no-binary :all: --no-build-isolation --wheel-dir $(@D) -r $< >$(@D)/log 2>&1; then \
		$(PIP) --python $(@D)/bin/python install --no-deps --no-index $(@D)/*.whl && touch $@; \
	else tail -n 3 $(@D)/log; echo "cannot build $*: on Debian: apt install gcc libc6-dev python3-dev"; test -z "$$CI"; fi

# The agent's own environment is made beside the installed one and takes its place as a whole: what fails on the way
# changes nothing, and a running agent never sees half of a new version.
DESTDIR :=
PREFIX := /usr/local
HOME_DIR := /opt/paramedic
STAGED := $(DESTDIR)$(HOME_DIR).new
STAGING := umask 022; build/install/bin/python -m pip --disable-pip-version-check --quiet
PLACED := bin/paramedic lib/systemd/system/paramedic.service lib/tmpfiles.d/paramedic.conf lib/sysusers.d/paramedic.conf \
	share/man/man1/paramedic.1 share/bash-completion/completions/paramedic share/zsh/site-functions/_paramedic \
	share/fish/vendor_completions.d/paramedic.fish
place = install -D -m 644 $(1) $(DESTDIR)$(PREFIX)/$(2)
# `systemctl X || true` would hide a unit that does not start: on the live system every one of them counts.
LIVE := test -z "$(DESTDIR)"
BOOTED := test -z "$(DESTDIR)" && test -d /run/systemd/system

install:  ## Install into /opt/paramedic, with the unit; an older version is upgraded, the configuration kept (as root)
	@test -n "$(PYTHON)" || { echo "cannot install: no python3 >= 3.11 with venv (on Debian: apt install python3-venv)"; exit 1; }
	@rm -rf build/install $(STAGED)
	@$(PYTHON) -m venv build/install
	@$(STAGING) install --require-hashes --only-binary :all: -r locks/build.txt
	@$(STAGING) wheel --no-deps --no-build-isolation --wheel-dir build/install .
	@umask 022; mkdir -p $(dir $(STAGED)) && $(PYTHON) -m venv --without-pip $(STAGED)
	@$(STAGING) --python $(STAGED)/bin/python install --require-hashes --only-binary :all: --no-compile -r locks/run.txt
	@$(STAGING) --python $(STAGED)/bin/python install --no-deps --no-index --no-compile build/install/*.whl
	@grep -rlI '$(STAGED)' $(STAGED)/bin $(STAGED)/pyvenv.cfg | xargs sed -i 's,$(STAGED),$(HOME_DIR),g'
	@umask 022; $(STAGED)/bin/python -m compileall -q -s $(STAGED) -p $(HOME_DIR) $(STAGED)/lib
	@rm -rf build/install $(DESTDIR)$(HOME_DIR).old
	@if test -e $(DESTDIR)$(HOME_DIR); then mv $(DESTDIR)$(HOME_DIR) $(DESTDIR)$(HOME_DIR).old; fi
	@mv $(STAGED) $(DESTDIR)$(HOME_DIR)
	@rm -rf $(DESTDIR)$(HOME_DIR).old
	@umask 022; mkdir -p $(DESTDIR)$(PREFIX)/bin && ln -sf $(HOME_DIR)/bin/paramedic $(DESTDIR)$(PREFIX)/bin/paramedic
	@$(call place,systemd/paramedic.service,lib/systemd/system/paramedic.service)
	@$(call place,systemd/tmpfiles.conf,lib/tmpfiles.d/paramedic.conf)
	@$(call place,systemd/sysusers.conf,lib/sysusers.d/paramedic.conf)
	@$(call place,docs/paramedic.1,share/man/man1/paramedic.1)
	@$(call place,systemd/completions/paramedic,share/bash-completion/completions/paramedic)
	@$(call place,systemd/completions/_paramedic,share/zsh/site-functions/_paramedic)
	@$(call place,systemd/completions/paramedic.fish,share/fish/vendor_completions.d/paramedic.fish)
	@if ! test -e $(DESTDIR)/etc/paramedic/paramedic.yaml; then \
		install -D -m 644 systemd/paramedic.yaml $(DESTDIR)/etc/paramedic/paramedic.yaml; fi
	@if $(LIVE); then systemd-sysusers $(PREFIX)/lib/sysusers.d/paramedic.conf; fi
	@if $(BOOTED); then systemctl daemon-reload && systemctl try-restart paramedic.service; fi
	@echo "installed. Configuration: /etc/paramedic/paramedic.yaml (mode: observe). Start: systemctl enable --now paramedic"

uninstall:  ## Remove what `make install` installed; configuration and journal stay (as root)
	@if $(BOOTED) && test -e $(PREFIX)/lib/systemd/system/paramedic.service; then systemctl disable --now paramedic.service; fi
	@rm -rf $(DESTDIR)$(HOME_DIR)
	@rm -f $(addprefix $(DESTDIR)$(PREFIX)/,$(PLACED))
	@if $(BOOTED); then systemctl daemon-reload; fi
	@echo "uninstalled. Left: $(DESTDIR)/etc/paramedic (configuration), $(DESTDIR)/var/lib/paramedic (journal, recipes), the group"
	@echo "paramedic; .paramedic-0 beside each guarded socket; relays, which leave with their daemon. All of it may be removed."

demo: $(VENV)/.installed  ## Play the incident on a real stack in a temporary folder (under 120 s)
	@PYTHONPATH=tests $(BIN)/python -m demo

check: $(VENV)/.installed
	@$(BIN)/ruff check agent tests
	@$(BIN)/ruff format --check --quiet agent tests
	@$(BIN)/mypy
	@PYTHONPATH=agent $(BIN)/lint-imports

test: check $(OLDER) $(BUILT)  ## Every check and every test that this machine can run (about a quarter of an hour on two cores)
	@$(BIN)/python -m pytest -n 5 --dist load --maxschedchunk 1 --ignore tests/system

build/wheels/.downloaded: locks/run.txt locks/build.txt $(VENV)/.locked
	@rm -rf $(@D)
	@for lock in locks/*.txt; do $(PIP) download --require-hashes --only-binary :all: --dest $(@D) -r $$lock || exit 1; done
	@touch $@

test-system: $(VENV)/.installed $(BUILT) build/wheels/.downloaded  ## What is installed, under a real systemd, as root (under 15 minutes)
	@$(BIN)/python -m pytest tests/system -n 0 -x

unit: $(VENV)/.installed  ## The fast tests only: no stack, no process but their own (under 5 s)
	@$(BIN)/python -m pytest -n 2 --dist loadfile tests/unit tests/scenarios

bench: $(VENV)/.installed  ## What the product costs, idle and repairing, beside Monit and SIGHUP (under 14 minutes)
	@PYTHONPATH=tests $(BIN)/python -m bench

chaos: $(VENV)/.installed  ## Two hundred random sequences of faults on a real stack, into docs/chaos.md (under 30 minutes)
	@PYTHONPATH=tests $(BIN)/python -m stack.chaos 200

crash: $(VENV)/.installed $(BUILT)  ## Kill the agent after every step of every action, into docs/reliability.md (under 20 minutes)
	@CRASH=1 $(BIN)/python -m pytest -n 2 --dist load --maxschedchunk 1 tests/stack/test_crash.py

soak: $(VENV)/.installed  ## A week of passes with its clock put on, into docs/reliability.md (under 30 minutes)
	@SOAK=100000 $(BIN)/python -m pytest -n 0 tests/stack/test_soak.py

mutants: $(VENV)/.installed  ## Would a test notice a wrong line in evaluate, track or decide? (under 5 minutes)
	@PYTHONPATH=tests $(BIN)/python -m mutation

fuzz: $(VENV)/.installed  ## Feed what reads strangers' bytes with mutated examples, into build/figures/fuzz.json (under 10 minutes)
	@PYTHONPATH=agent:tests $(BIN)/python -m fuzz $(FUZZ)

docs: $(VENV)/.installed  ## Write the generated pages anew
	@$(BIN)/paramedic check --reference > docs/policy-reference.md
	@$(BIN)/python -m paramedic.cli.pages man > docs/paramedic.1
	@$(BIN)/python -m paramedic.cli.pages bash > systemd/completions/paramedic
	@$(BIN)/python -m paramedic.cli.pages zsh > systemd/completions/_paramedic
	@$(BIN)/python -m paramedic.cli.pages fish > systemd/completions/paramedic.fish
	@PYTHONPATH=tests $(BIN)/python -m harness.reliability

LOCKING := $(BIN)/pip-compile --quiet --allow-unsafe --generate-hashes --strip-extras --upgrade --no-emit-index-url \
	--no-emit-find-links --no-emit-trusted-host --no-emit-options --no-annotate --no-header
lock: $(VENV)/.locked  ## Resolve the locks anew: of everything, of what runs, of what builds
	@$(LOCKING) --all-extras --all-build-deps --output-file requirements.lock pyproject.toml
	@$(LOCKING) --constraint requirements.lock --output-file locks/run.txt pyproject.toml
	@$(LOCKING) --constraint requirements.lock --all-build-deps --only-build-deps --output-file locks/build.txt pyproject.toml

wheel: $(VENV)/.installed  ## Build dist/*.whl

clean:  ## Remove what was made here
	@rm -rf $(VENV) dist build .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .mutants
