# Everything a developer or operator types. `make run` and `make test` need nothing but Python 3.11+ and make.

.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PORT ?= 8000
export PORT

.PHONY: help
help: ## Show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

# --- installing -----------------------------------------------------------------------------------------------------

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "Python 3.11 or later is needed. Name one: make PYTHON=python3.12 …" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed-run: requirements/run.txt | $(BIN)/python
	@echo "Installing the locked dependencies into $(VENV) …"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/run.txt
	@touch $@

$(VENV)/.installed-dev: requirements/dev.txt | $(BIN)/python
	@echo "Installing the locked dependencies and tools into $(VENV) …"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@touch $@ $(VENV)/.installed-run

.PHONY: install
install: $(VENV)/.installed-run ## Install the locked dependencies into .venv

.PHONY: lock
lock: $(VENV)/.installed-dev ## Renew the lock files from pyproject.toml
	$(BIN)/uv pip compile pyproject.toml $(LOCK) -o requirements/run.txt
	$(BIN)/uv pip compile pyproject.toml $(LOCK) --group dev -c requirements/run.txt -o requirements/dev.txt
LOCK := --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url

# --- running --------------------------------------------------------------------------------------------------------

.PHONY: run
run: install ## Serve the product on 127.0.0.1:8000 (PORT) with a worker beside it
	@$(BIN)/python manage.py migrate --verbosity 0
	@$(BIN)/python manage.py collectstatic --no-input --verbosity 0
	@$(BIN)/python manage.py prepare
	@# .env is read by the product itself, in the same way for every command; honcho must not read it differently.
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m honcho --env /dev/null start --port $(PORT)

# --- proving --------------------------------------------------------------------------------------------------------

.PHONY: test
test: $(VENV)/.installed-dev ## Run the whole suite, on SQLite and again on PostgreSQL
	$(BIN)/python -m pytest --ignore tests/ratelimit --ignore tests/health --ignore tests/observability
	$(BIN)/python -m pytest tests/ratelimit --ds=tests.ratelimit.settings
	$(BIN)/python -m pytest tests/health --ds=tests.health.settings
	$(BIN)/python -m pytest tests/observability --ds=tests.observability.settings
	@if $(BIN)/python -m tests.services; then \
		echo TEST_DATABASE=postgresql $(BIN)/python -m pytest; TEST_DATABASE=postgresql $(BIN)/python -m pytest; \
	else [ "$${REQUIRE_SERVICES:-}" != 1 ]; fi

.PHONY: lint
lint: $(VENV)/.installed-dev ## Format, lint, types, import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy harvester ratelimit observability health manage.py
	$(BIN)/lint-imports

.PHONY: check
check: lint ## All that CI asks: lint, migrations, deployment checks, tests, the pages in a browser
	ENVIRONMENT=test $(BIN)/python manage.py makemigrations --check --dry-run
	DOTENV= ENVIRONMENT=production SECRET_KEY=$$($(BIN)/python -c 'import secrets; print(secrets.token_urlsafe(60))') \
		ALLOWED_HOSTS=harvester.example DATABASE_URL=sqlite:///var/check.sqlite3 REDIS_URL=redis://redis.example \
		$(BIN)/python manage.py check --deploy --fail-level WARNING
	$(MAKE) test
	$(MAKE) faces

.PHONY: faces
faces: $(VENV)/.installed-dev ## Walk the pages in a real browser (Chromium)
	$(BIN)/python -m tests.faces

.PHONY: bench
bench: $(VENV)/.installed-dev ## Measure; prints figures, asserts nothing; peers beside ours: make bench PEERS=DIR
	$(BIN)/python -m tests.benchmarks
	$(BIN)/python -m tests.benchmarks.ratelimit $(if $(PEERS),--peers "$(PEERS)")
	$(BIN)/python -m tests.benchmarks.health $(if $(PEERS),--peers "$(PEERS)")
	$(BIN)/python -m tests.benchmarks.observability $(if $(PEERS),--peers "$(PEERS)")

METRICS := docs/reference/metrics.md
.PHONY: reference
reference: $(VENV)/.installed-dev ## Make the reference page of the metrics anew
	@ENVIRONMENT=test $(BIN)/python manage.py metrics --markdown --appendix docs/reference/metrics-mapping.md > $(METRICS).new
	@mv $(METRICS).new $(METRICS)

.PHONY: real-input
real-input: $(VENV)/.installed-dev ## Harvest recorded replies: make real-input DATA=DIR
	@[ -n "$(DATA)" ] || { echo "Say where the recorded replies are: make real-input DATA=DIR" >&2; exit 2; }
	$(BIN)/python -m tests.real_input "$(DATA)"

.PHONY: clean
clean: ## Remove what was installed and generated; var/ (data) stays
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
