# Every recipe works on a fresh machine with Python 3.11 or newer: uv is taken from the PATH, or installed with pip
# into a private environment.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
FEED ?= simulated
UV := $(shell command -v uv || echo .pmp/uv/bin/uv)
RUN := .venv/bin
STAMP := .venv/.synced

# What deploy/terraform runs; every folder's image is called pmp-FOLDER.
IMAGES := collector writer dlq-replayer feature-launcher dashboard beam
TAG ?= dev
REGISTRY ?=
TERRAFORM := $(shell command -v terraform || command -v tofu)
TERRAFORM_CHECKED := .pmp/terraform.checked
TERRAFORM_READS := $(shell find deploy/terraform -type f -not -path '*/.*')

# Tests that have nothing to do with each other run side by side, at most one per core.
PYTEST = $(RUN)/pytest --numprocesses=auto --maxprocesses=4 --hypothesis-profile=$(EXAMPLES)
EXAMPLES := few
# Tests start many Python processes: these share compiled modules, even where the environment forbids to write them.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help setup demo up down check check-terraform fmt test test-rest test-all faults compose-test images bench \
  bench-features clean install

help: ## Show this help
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sort | awk -F ':.*## ' '{printf "  %-15s %s\n", $$1, $$2}'

setup: $(STAMP) ## Install everything into .venv (uv itself included)
install: setup ## The same as setup

.pmp/uv/bin/uv:
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed; name one by PYTHON=...")'
	@$(PYTHON) -m venv .pmp/uv
	@.pmp/uv/bin/pip install --quiet --disable-pip-version-check 'uv>=0.11,<0.14'

$(STAMP): pyproject.toml uv.lock $(wildcard */pyproject.toml shared/*/pyproject.toml) $(filter .pmp/uv/bin/uv,$(UV))
	@echo 'Installing into .venv ...'
	@$(UV) sync --quiet --frozen --all-packages --all-extras --no-python-downloads
	@touch $@

demo: setup ## Start the stack, drive the pipeline, show rows, stop  (FEED=simulated|live|PATH)
	@$(RUN)/pmpctl demo --feed '$(FEED)'

up: setup ## Start the stack and keep it running               (FEED=simulated|live|PATH)
	@$(RUN)/pmpctl up --detach --feed '$(FEED)'

down: setup ## Stop what `make up` started
	@$(RUN)/pmpctl down

check: setup check-terraform ## Lint, format check, types, spelling, lock file, Terraform
	$(RUN)/ruff check .
	$(RUN)/ruff format --check .
	$(RUN)/mypy shared/schema/src shared/runtime/src shared/curation/src collector/src simulator/src writer/src dlq-replayer/src feature-launcher/src dashboard/src beam/src deploy/src
	$(RUN)/codespell
	$(UV) lock --check --quiet

check-terraform: $(TERRAFORM_CHECKED) ## Terraform: format and checkov

$(TERRAFORM_CHECKED): Makefile $(STAMP) $(TERRAFORM_READS) $(filter .pmp/uv/bin/uv,$(UV))
	$(if $(TERRAFORM),$(TERRAFORM) fmt -check -diff deploy/terraform)
	$(UV) tool run --quiet --from 'checkov==3.3.30' checkov -d deploy/terraform --framework terraform --compact --quiet --skip-download
	@mkdir -p $(@D) && touch $@

fmt: setup ## Format and fix what can be fixed
	$(RUN)/ruff check --fix .
	$(RUN)/ruff format .
	$(if $(TERRAFORM),$(TERRAFORM) fmt deploy/terraform)

test: setup ## Run unit and contract tests, and the pipeline once on the local stack
	$(PYTEST) -m 'not rest and not compose and not faults'

test-rest: setup # What `make test` leaves to `make test-all`
	$(PYTEST) -m 'rest and not compose and not faults'

test-all: EXAMPLES := many
test-all: test test-rest ## Run the tests with emulators, stacks and a browser besides

faults: setup ## Run the long fault and replay tests; print a table of faults
	$(RUN)/pytest -m faults

compose-test: setup ## Build the containers, drive one snapshot through them, stop
	$(RUN)/pytest -m compose tests/compose

images: ## Build the images that Terraform runs            (TAG=dev, REGISTRY=HOST/PROJECT/REPOSITORY)
	@docker=$$(for client in $$(type -ap docker); do \
	  if DOCKER_BUILDKIT=1 "$$client" build --help 2>/dev/null | grep -q -- --secret; then echo "$$client"; break; fi; \
	done); \
	[ -n "$$docker" ] || { echo 'A docker client with BuildKit is needed' >&2; exit 1; }; \
	for folder in $(IMAGES); do \
	  image='$(REGISTRY:%=%/)pmp-'"$$folder:$(TAG)"; echo "$$image"; \
	  DOCKER_BUILDKIT=1 "$$docker" build --quiet -f "$$folder/Dockerfile" -t "$$image" . || exit; \
	done

bench: setup ## Measure the curation's throughput
	$(RUN)/python -m tests.bench.curation

bench-features: setup ## Measure features by Beam, by DuckDB and event by event  (EVENTS=10000000)
	$(RUN)/python -m tests.bench.features $(EVENTS:%=--events %)

clean: ## Stop every local stack, remove what stacks and tools left behind
	@for state in .pmp/*/stack.json; do \
	  if [ -e "$$state" ]; then PMP_STATE_DIR="$$(dirname "$$state")" $(RUN)/pmpctl down; fi; \
	done
	rm -rf .pmp/local* .pmp/demo* .pmp/bench .mypy_cache .ruff_cache .pytest_cache .hypothesis
