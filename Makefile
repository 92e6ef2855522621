# One command does what CI does. `make help` lists the targets.
PYTHON ?= python3
BIN := .venv/bin
# npm installs the one of this platform; the shell finds it.
FORGE := $(CURDIR)/contracts/node_modules/@foundry-rs/forge-*/bin/forge
PACKAGES := viz_node tests benchmarks

.PHONY: help setup start test test-rest test-contracts test-parts check fix contracts mutation demo bench strangers e2e wheel-check docs clean

help: ## list the targets
	@grep -E '^[a-z0-9]+:.*##' Makefile | sed -E 's/:.*## /\t/' | expand -t 12

setup: .venv/.installed contracts/node_modules/.installed ## install everything that is pinned (quick the second time)

.venv/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch==2.13.0
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[audit,node,train,economics,dev]'
	@touch $@

contracts/node_modules/.installed: contracts/package-lock.json
	cd contracts && npm ci --no-audit --no-fund --silent
	@touch $@

start: setup ## a node with a local chain, test money and a small base model
	$(BIN)/viz-node start --dev

demo: setup ## the whole story with real processes, verified
	$(BIN)/viz-node demo

check: setup ## format, lint, types, layers, unit tests
	$(BIN)/ruff format --check $(PACKAGES)
	$(BIN)/ruff check $(PACKAGES)
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/python -m pytest -q -n 2 --dist loadfile tests/unit tests/architecture

fix: ## format, and mend what the linter can
	$(BIN)/ruff format $(PACKAGES)
	$(BIN)/ruff check --fix $(PACKAGES)

contracts: setup ## build and test the contracts, check gas and ABI freshness
	cd contracts && $(FORGE) build && $(FORGE) test
	$(BIN)/python -m pytest -q tests/unit/chain

# Own environment: slither wants other versions than the node.
build/mutation/venv/.installed: Makefile
	$(PYTHON) -m venv build/mutation/venv
	build/mutation/venv/bin/pip install --quiet --disable-pip-version-check slither-analyzer==0.11.6
	@touch $@

mutation: contracts/node_modules/.installed build/mutation/venv/.installed ## count the changes of the contracts that no test notices; hours, for the night, goes on where it stopped (MUTATION="--workers 4")
	nice -n 10 build/mutation/venv/bin/python contracts/script/mutate.py $(MUTATION)

test: setup ## everything: check, contracts, integration and end-to-end tests
	$(MAKE) -j2 -O e2e test-rest  # each keeps little more than one core busy

test-rest: setup
	$(MAKE) check
	$(MAKE) test-contracts
	$(MAKE) test-parts

test-contracts: setup
	cd contracts && $(FORGE) build && $(FORGE) test
	cd contracts && FOUNDRY_PROFILE=mutation $(FORGE) build src  # what the mutants are compiled with

test-parts: setup
	$(BIN)/python -m pytest -q tests/contract tests/integration

e2e: setup
	$(BIN)/python -m pytest -q tests/e2e

bench: setup ## print the measured figures (docs/reference/benchmarks.md); a quarter of an hour, on an idle machine
	for program in startup gas audit transfer training; do $(BIN)/python benchmarks/$$program.py || exit 1; done

strangers: setup ## two thousand connections from many and from one identity, then an honest peer; a minute
	VIZ_TEST_CONNECTIONS=2000 $(BIN)/python -m pytest -q --durations=2 tests/integration/test_p2p_hostile.py -k come_and_go

wheel-check: setup ## the wheel with its dependencies installed anew from the package registry, as a node and for the audit alone; ten minutes and 2 GB, for the night
	VIZ_TEST_REGISTRY=1 $(BIN)/python -m pytest -q --durations=3 tests/integration/test_wheel.py

docs: setup ## write the reference pages that come from the code
	$(BIN)/python docs/reference/generate.py

clean: ## remove what was installed and built
	rm -rf .venv contracts/node_modules contracts/out contracts/cache build/mutation
