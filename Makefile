# One command each way. `make help` lists them; ARGS="…" hands arguments on, JOBS=n sets the number of processes.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

ARGS ?=
JOBS ?= 2
BIN := .venv/bin
PYTEST := $(BIN)/python -m pytest -n $(JOBS) --dist loadfile
FAST := not services and not foreign and not soak

# Other makers' programs that judge our signatures.
DEMO_PACKAGES := osslsigncode
TEST_PACKAGES := openssl osslsigncode postgresql

# What a publisher installs runs on Windows and macOS too, so mypy reads it for those as well.
CLIENT_ROOMS := domain structures formats schemes verification client cli/use
CLIENT_SIDE := $(wildcard $(addprefix src/sealwright/,__main__.py contracts.py cli/use.py)) \
	$(patsubst %/,%,$(sort $(dir $(wildcard $(CLIENT_ROOMS:%=src/sealwright/%/*.py)))))
SOURCES := src tests $(if $(wildcard benchmarks/*.py),benchmarks)

.PHONY: help
help: ## show this list
	@awk -F ':.*## ' '/^[a-z][a-z-]*:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

.PHONY: setup
setup: ## make .venv with the locked packages
	@scripts/bootstrap

.PHONY: demo
demo: setup ## sign a real program in a new deployment and prove it (ARGS="FILE… --serve")
	@scripts/debian-packages --try $(DEMO_PACKAGES)
	@$(BIN)/sealwright demo $(ARGS)

.PHONY: check
check: lint ## lint and the fast tests, under a minute: no services, no other makers' programs
	@$(PYTEST) -q -m '$(FAST)' $(wildcard tests/unit tests/architecture tests/contract) $(ARGS)

# Two runs that share no test: the core's under coverage, then all the rest.
.PHONY: test
test: setup ## everything but the soak, under 15 minutes: lint, the core's coverage, samples of the long tests
	@scripts/debian-packages $(TEST_PACKAGES)
	@$(MAKE) lint
	@JOBS=$(JOBS) scripts/coverage-core
	@$(PYTEST) --ignore=tests/unit --ignore=tests/contract $(ARGS)

.PHONY: soak
soak: setup ## the full counts of the long tests: 100 kills, 2,000 examples of each fuzz test
	@scripts/debian-packages $(TEST_PACKAGES)
	@$(BIN)/python -m pytest -m soak --soak $(ARGS)
	@$(PYTEST) --soak tests/unit $(ARGS)

.PHONY: interop
interop: setup ## other makers' programs judge our signatures, full counts
	@scripts/debian-packages $(TEST_PACKAGES)
	@$(PYTEST) --soak tests/interop $(ARGS)

.PHONY: bench
bench: setup ## measure, as ratios against the bare operations; a table and JSON
	@scripts/debian-packages --try $(TEST_PACKAGES)
	@$(BIN)/python benchmarks/run.py $(ARGS)

.PHONY: lint
lint: setup ## ruff, formatting, mypy for three platforms, the walls between the rooms
	@$(MAKE) --keep-going -j$(JOBS) lint-ruff lint-types lint-types-win32 lint-types-darwin lint-walls

.PHONY: format
format: setup ## format the code and mend what ruff can mend
	@$(BIN)/ruff format $(SOURCES)
	@$(BIN)/ruff check --fix $(SOURCES)

.PHONY: docs
docs: setup ## write the generated parts of the documents, then check all links
	@$(BIN)/python scripts/generate-docs
	@$(BIN)/python -m pytest -q tests/architecture/test_documents.py

.PHONY: clean
clean: ## remove caches and products; .venv and deployments stay
	@rm -rf build dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis .coverage .coverage.* \
		benchmarks/results
	@find src tests -name __pycache__ -type d -prune -exec rm -rf {} +

.PHONY: lint-ruff lint-types lint-types-win32 lint-types-darwin lint-walls
lint-ruff:
	@$(BIN)/ruff check --quiet $(SOURCES)
	@$(BIN)/ruff format --check --quiet $(SOURCES) || { echo "some files are not formatted: run 'make format'"; exit 1; }

lint-types:
	@$(BIN)/mypy --no-error-summary $(SOURCES)

lint-types-win32 lint-types-darwin: lint-types-%:
	@$(BIN)/mypy --no-error-summary --platform $* --cache-dir .mypy_cache/$* $(CLIENT_SIDE)

lint-walls:
	@$(BIN)/python -m pytest -q -p no:cacheprovider tests/architecture/test_layers.py
