# `make help` lists the targets. Everything is set up in .venv, from requirements.lock; no root is needed.

VENV ?= .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

# A file of orders for `make demo`, options for `make serve`, how many processes test.
ORDERS ?=
ARGS ?=
WORKERS ?= auto
# Where `make bench` writes; OUT=bench keeps the result in the repository.
OUT ?= reports
# How long `make soak` takes.
MINUTES ?= 20
# Which fault cases `make test` runs: quick or all; which of them `make faults` does, and with what chance.
FAULTS ?= quick
# Which clients in other languages `make test` builds and runs: those whose tools are found, or all.
CLIENTS ?= found
CASE ?=
SEED ?=

export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_ROOT_USER_ACTION := ignore
export PIP_NO_INPUT := 1

.DEFAULT_GOAL := help
.PHONY: help setup bench demo serve test faults soak lint types stubs stubs-all released docs fmt lock audit clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(INSTALLED) ## Make the environment in .venv, or bring it up to date

bench: $(INSTALLED) ## Measure the service beside raw SQL and an empty call; ARGS=--quick takes 2 minutes, all 25
	@$(BIN)/inventory bench --json $(OUT)/bench.json --report $(OUT)/bench.html $(ARGS)

demo: $(INSTALLED) ## Run the race and prove it; ORDERS=file.csv replays real orders
	@$(BIN)/inventory demo $(if $(ORDERS),--orders "$(ORDERS)")

serve: $(INSTALLED) ## Run a server on 127.0.0.1:50051 with a database of its own; ARGS="--port 0"
	@exec $(BIN)/inventory serve $(ARGS)

test: lint types ## Lint, check the types, run all tests
	@$(BIN)/python -m pytest -n $(WORKERS) --maxprocesses 4 --faults $(FAULTS) --clients $(CLIENTS)

faults: $(INSTALLED) ## Hurt the service in every way, write docs/robustness.md; CASE=3 SEED=7 runs one
	@$(BIN)/python -m pytest -m fault --faults long --robustness docs/robustness.md \
		$(if $(SEED),--seed $(SEED)) $(if $(CASE),--case $(CASE))

soak: $(INSTALLED) ## Hurt the service at random while it works for MINUTES=20, judge all of it; SEED=7
	@$(BIN)/inventory soak --minutes $(MINUTES) $(if $(SEED),--seed $(SEED)) \
		--json $(OUT)/soak.json --report $(OUT)/soak.html $(ARGS)

lint: $(INSTALLED) ## Check style and format of the code and of the protos, and that these break no released client
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/buf lint
	@$(BIN)/buf breaking --against protos/released.binpb

types: $(INSTALLED) ## Check the types
	@$(BIN)/mypy

stubs: $(INSTALLED) ## Generate the Python stubs of protos/
	@$(BIN)/python tools/stubs.py

stubs-all: stubs ## Generate the stubs of every example in client/examples, by the tools of its language
	@for example in $(patsubst %/Makefile,%,$(wildcard client/examples/*/Makefile)); do \
		echo "$$example" && $(MAKE) --no-print-directory -C $$example stubs BUF=$(abspath $(BIN))/buf || exit 1; \
	done

released: lint ## At a release: keep the protos in protos/released.binpb, which later ones may not break
	@$(BIN)/buf build --exclude-source-info --output protos/released.binpb

docs: $(INSTALLED) ## Write settings.md, api.md, order-flow.md, the last soak and bench.html from what they tell of
	@$(BIN)/python tools/settings.py
	@$(BIN)/python tools/api.py
	@$(BIN)/python tools/order_flow.py
	@$(BIN)/python tools/bench_page.py
	@$(BIN)/python tools/last_soak.py

fmt: $(INSTALLED) ## Format the code, mend what can be mended
	@$(BIN)/ruff check --fix
	@$(BIN)/ruff format

# One lock for every supported Python and platform. uv alone can make such a lock; only this target needs it.
lock: ## Choose new versions of the dependencies (needs uv): requirements.lock
	@uv=$$(command -v $(abspath $(BIN))/uv || command -v uv) || \
		{ echo "make lock needs uv: $(BIN)/pip install uv" >&2; exit 1; }; \
	"$$uv" pip compile --quiet --universal --python-version 3.11 --all-extras --generate-hashes \
		--no-emit-index-url --no-emit-find-links --no-header --upgrade \
		--output-file requirements.lock pyproject.toml

audit: $(INSTALLED) ## Ask an advisory database about every dependency (needs pip-audit and a network)
	@audit=$$(command -v $(abspath $(BIN))/pip-audit || command -v pip-audit) || \
		{ echo "make audit needs pip-audit: $(BIN)/pip install pip-audit" >&2; exit 1; }; \
	$(BIN)/python tools/audit.py "$$audit"

clean: ## Remove what these targets made, .venv too; databases stay
	@rm -rf $(VENV) build dist reports .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info
	@find client server loadtest tests tools -name __pycache__ -type d -prune -exec rm -rf {} +

# PYTHON=... names the interpreter; without it the first of these that is new enough.
$(INSTALLED): requirements.lock pyproject.toml
	@for python in $(or $(PYTHON),python3 python3.14 python3.13 python3.12 python3.11); do \
		if "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
			found=$$python; break; \
		fi; \
	done; \
	if [ -z "$$found" ]; then \
		echo "Python 3.11 or newer is needed and none was found; name one: make PYTHON=/path/to/python3" >&2; \
		exit 1; \
	fi; \
	if ! $(BIN)/python -m pip --version >/dev/null 2>&1; then \
		echo "making $(VENV) with $$("$$found" --version)"; \
		"$$found" -m venv --clear $(VENV) >/dev/null || { \
			echo "$$found can't make an environment (on Debian and Ubuntu that is the package" \
				"python3-venv); name another: make PYTHON=/path/to/python3" >&2; \
			exit 1; \
		}; \
	fi
	@echo "installing what requirements.lock names"
	@$(BIN)/python -m pip install --quiet --require-hashes --requirement requirements.lock
	@$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@
