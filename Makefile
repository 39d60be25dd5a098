# Brikke. `make` alone explains itself. Needs Python 3.11 or newer and make; nothing is compiled.

SHELL := /bin/sh
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check -q
# The environment is as new as its lock: the stamp's name carries the lock's checksum, so that
# switching branch rebuilds what differs and nothing else.
sum = $(shell cat requirements/$(1).txt pyproject.toml | cksum | cut -d' ' -f1)
APP := $(VENV)/.app-$(call sum,app)
DEV := $(VENV)/.dev-$(call sum,dev)
UV ?= uv
# The second opinion has an environment of its own: nothing of it is the product's or the tests'.
OPINION := var/second-opinion
OPINED := $(OPINION)/.whole-$(shell cat requirements/second-opinion-build.txt requirements/second-opinion.txt | cksum | cut -d' ' -f1)
LOCKED := $(OPINION)/bin/python -m pip --disable-pip-version-check -q install --require-hashes
LOCK := $(UV) pip compile --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --no-header -q
# How many tests at once; `make test JOBS=0` runs them one by one in one process.
JOBS ?= auto
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help run test second-opinion demo bench bench-large lint format lock clean

help: ## this text
	@echo "Brikke: the billing backend of a toll tag issuer."
	@echo
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-14s %s\n", $$1, $$2}' Makefile
	@echo
	@echo "The first of them makes $(VENV) from requirements/ (hash-locked) and takes a minute."
	@echo "Settings: .env.example. Everything Brikke writes is under var/."

run: $(APP) ## web, worker and scheduler with a small world in it, on http://127.0.0.1:8000
	@exec $(BIN)/brikke run $(ARGS)

test: $(DEV) ## every test (ARGS="-k name" for some, JOBS=0 for one at a time)
	@sh tests/browser.sh prepare
	@$(BIN)/python -m pytest -n $(JOBS) $(ARGS); code=$$?; sh tests/browser.sh report; exit $$code

second-opinion: $(DEV) $(OPINED) ## our Stripe client against another's stand-in for Stripe (localstripe)
	@SECOND_OPINION=must $(BIN)/python -m pytest -n0 --noconftest $(ARGS) tests/second_opinion

demo: $(APP) ## plays three months through the public faces and prints a report
	@$(BIN)/python -m simulator.demo $(ARGS)

bench: $(APP) ## how fast, against what the database can do at best (ONLY=name for one; under 5 minutes)
	@$(BIN)/python -m benchmarks $(if $(ONLY),--only $(ONLY)) $(ARGS)

bench-large: $(APP) ## the same on a large database, some half an hour (SCALE=0.01 for a sample)
	@$(BIN)/python -m benchmarks --large $(if $(ONLY),--only $(ONLY)) $(if $(SCALE),--scale $(SCALE)) $(ARGS)

lint: $(DEV) ## ruff, format and mypy --strict over everything
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy --strict .

format: $(DEV) ## puts the code in shape
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

lock: ## renews the lock files from requirements/*.in (needs uv)
	@cd requirements && for name in app dev second-opinion-build second-opinion; do \
		$(LOCK) $(ARGS) $$name.in -o $$name.txt || exit 1; done

clean: ## removes the environment and caches; var/ with its data stays
	@rm -rf $(VENV) build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis

# A half-made environment is never taken for a whole one: the stamp is written last.
$(APP):
	@$(call venv)
	@$(call install,app)
	@rm -f $(VENV)/.app-*; touch $@

$(DEV):
	@$(call venv)
	@$(call install,dev)
	@rm -f $(VENV)/.app-* $(VENV)/.dev-*; touch $(APP) $@

# localstripe comes as source only: what builds it is locked too, and there before it.
$(OPINED):
	@echo "Installing requirements/second-opinion.txt into $(OPINION) ..." >&2
	@mkdir -p var && $(PYTHON) -m venv --clear $(OPINION)
	@$(LOCKED) --only-binary :all: -r requirements/second-opinion-build.txt
	@$(LOCKED) --only-binary :all: --no-binary localstripe --no-build-isolation -r requirements/second-opinion.txt
	@touch $@

define venv
$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	{ echo "Brikke needs Python 3.11 or newer; say which with: make PYTHON=python3.12 ..." >&2; exit 1; }; \
test -x $(BIN)/python && $(BIN)/python -m pip --version >/dev/null 2>&1 || \
	$(PYTHON) -m venv --clear $(VENV) || \
	{ echo "Python cannot make a virtual environment here (on Debian: apt install python3-venv)." >&2; exit 1; }
endef

define install
echo "Installing requirements/$(1).txt into $(VENV) ..." >&2; \
$(PIP) install --only-binary :all: --require-hashes -r requirements/$(1).txt && \
$(PIP) install --no-build-isolation --no-deps --config-settings editable_mode=compat -e .
endef
