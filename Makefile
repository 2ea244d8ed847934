# The two commands a stranger needs: `make demo` and `make test`. Everything that they need, they make.
PYTHON ?= python3
BIN := .venv/bin

.DEFAULT_GOAL := help
.PHONY: help setup demo test siege check lessons bench verify lock format

help:  ## Show the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

# The environment holds exactly what requirements.lock names, by hash.
.venv/.lock: requirements.lock pyproject.toml
	@test -x $(BIN)/python || ./.ci/venv $(PYTHON)
	@echo "setup: installing the Python packages of requirements.lock"
	@$(BIN)/python -m pip install --quiet --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e .
	@$(BIN)/python -m compileall -q grader course
	@touch $@

setup: .venv/.lock  ## Prepare everything: environment, Node, packages, container engine, runtime image
	@$(BIN)/looplab setup

demo: setup  ## Grade a bundled class in containers
	@$(BIN)/looplab demo

test: setup  ## The tests, with real containers, notebooks and a browser
	@$(BIN)/looplab setup --with-browser
	@$(BIN)/pytest -m "not siege"

siege: setup  ## Hostile submissions, broken machines, busy machines: the tests that take their time
	@$(BIN)/pytest -m siege

check: .venv/.lock  ## The fast gate, without containers
	@$(BIN)/looplab setup --without-containers
	@$(BIN)/ruff format --check
	@$(BIN)/ruff check
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/deptry .
	@$(BIN)/pytest -m "not docker and not notebook and not siege"

lessons: setup  ## Build the lessons' notebooks and run them all
	@$(BIN)/looplab lessons build
	@$(BIN)/looplab lessons run

bench: setup  ## Measure the grader beside its baselines; writes site/docs/reference/benchmarks.md
	@$(BIN)/looplab bench --page site/docs/reference

verify: setup  ## Prove all suites
	@$(BIN)/looplab verify

lock: .venv/.lock  ## Choose versions anew within pyproject.toml
	@$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --upgrade --group dev pyproject.toml -o requirements.lock

format: .venv/.lock  ## Format the code
	@$(BIN)/ruff format
	@$(BIN)/ruff check --fix
