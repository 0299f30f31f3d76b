# make setup   everything `make run` needs, into .venv, node_modules and var
# make run     the whole system: web pages, decision loop, workers
# make test    all tests: SQLite, PostgreSQL, browser
# make check   format, lint, types, import rules, templates, migrations

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= $(shell for p in python3.11 python3 "$$HOME"/.pyenv/versions/3.11.*/bin/python3.11; do \
	command -v "$$p" >/dev/null 2>&1 && "$$p" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null \
	&& { command -v "$$p"; break; }; done)
BIN := .venv/bin
MANAGE := $(BIN)/python manage.py
PIP := $(BIN)/python -m pip install --disable-pip-version-check --quiet --only-binary :all: --require-hashes
JOBS ?= 2
PYTEST := $(BIN)/pytest -n $(JOBS) -q
STATIC_SOURCES := $(shell find static tradingsite orchestrator assets -path '*static/*' -type f -not -name '.*' 2>/dev/null)
TRANSLATIONS := $(shell find locale tradingsite orchestrator assets -name '*.po' 2>/dev/null)

.PHONY: help setup dev run test test-sqlite test-postgres test-browser test-faults test-fuzz torture bench bench-quick check format lock clean

help:
	@grep -E '^# make ' Makefile | sed 's/^# //'

# --- Set-up: each step leaves a stamp and is repeated only when its input changed ----------------------------
.venv/.created:
	@test -n "$(PYTHON)" || { echo "Python 3.11 was not found. Install it, or: make setup PYTHON=/path/to/python3.11"; exit 1; }
	"$(PYTHON)" -m venv .venv || { echo "Debian and Ubuntu: apt-get install python3-venv"; exit 1; }
	@touch $@

.venv/.runtime: requirements.txt | .venv/.created
	$(PIP) -r requirements.txt
	@touch $@

.venv/.dev: requirements-dev.txt .venv/.runtime
	$(PIP) -r requirements-dev.txt
	@touch $@

node_modules/.ready: package.json package-lock.json .npmrc tradingsite/vendor.py .venv/.runtime
	@[ "$$(npm --version 2>/dev/null | cut -d. -f1)" -ge 9 ] 2>/dev/null || $(PIP) -r requirements-build.txt
	$(MANAGE) vendor
	@touch $@

.venv/.translations: $(TRANSLATIONS) .venv/.runtime
	$(MANAGE) compile_translations
	@touch $@

.venv/.static: $(STATIC_SOURCES) node_modules/.ready .venv/.runtime
	$(MANAGE) collectstatic --noinput --clear --verbosity 0
	@touch $@

setup: .venv/.runtime node_modules/.ready .venv/.translations .venv/.static
	$(MANAGE) migrate --noinput --verbosity 0
	$(MANAGE) bootstrap
	@echo "Ready. Start with: make run"

dev: .venv/.dev node_modules/.ready .venv/.translations

run: setup
	$(MANAGE) run

# --- Tests ---------------------------------------------------------------------------------------------------
test: dev
	.ci/need postgresql chromium gettext
	@$(MAKE) --no-print-directory test-sqlite test-postgres test-browser
	@echo "All tests passed: SQLite, PostgreSQL, browser."

test-sqlite: dev
	TEST_DB_SUFFIX=$${TEST_DB_SUFFIX:-sqlite} $(PYTEST)

test-postgres: dev
	TEST_DB_SUFFIX=$${TEST_DB_SUFFIX:-postgres} .ci/postgres $(PYTEST)

test-browser: dev
	TEST_DB_SUFFIX=$${TEST_DB_SUFFIX:-browser} $(BIN)/pytest -q -m browser

# Kills processes, cuts connections; takes minutes.
test-faults: dev
	.ci/need postgresql redis-server
	TEST_DB_SUFFIX=faults $(BIN)/pytest -q -m faults
	TEST_DB_SUFFIX=faults_pg .ci/postgres $(BIN)/pytest -q -m faults

# Thousands of generated requests against every operation of the API; takes minutes.
test-fuzz: dev
	TEST_DB_SUFFIX=fuzz $(BIN)/pytest -q -m fuzz

# Orders under torture: 10 000 intents and 1 000 killed processes on each database. Called again, it goes on where it was
# interrupted. For instance: make torture TORTURE="--intents 1000 --kills 100 --seed 7"
TORTURE_DIR ?= /tmp/tradingsite-torture-$(shell id -u)
torture: dev
	.ci/need postgresql
	$(BIN)/python -m assets.trading.tests.torture --dir $(TORTURE_DIR)/sqlite $(TORTURE)
	mkdir -p $(TORTURE_DIR)
	PG_HOME=$(TORTURE_DIR)/pg .ci/postgres $(BIN)/python -m assets.trading.tests.torture --dir $(TORTURE_DIR)/postgres $(TORTURE)
	rm -rf $(TORTURE_DIR)

# Takes a quarter of an hour and wants a quiet machine; peers get environments of their own in the user's cache.
# For instance: make bench BENCH="--install --json figures.json", make bench BENCH="--only web"
bench: dev .venv/.static
	.ci/need postgresql redis-server
	$(BIN)/python benchmarks/run_all.py $(BENCH)

# The same at small sizes: does everything still measure? The figures mean little.
bench-quick: dev .venv/.static
	$(BIN)/python benchmarks/run_all.py --quick $(BENCH)

# --- Rules ---------------------------------------------------------------------------------------------------
.PHONY: check-format check-lint check-types check-imports check-templates check-migrations check-system check-deploy
check: check-format check-lint check-types check-imports check-templates check-migrations check-system check-deploy
	@echo "All checks passed."

check-format: dev
	$(BIN)/ruff format --check .

check-lint: dev
	$(BIN)/ruff check .

check-types: dev
	$(BIN)/mypy

check-imports: dev
	$(BIN)/lint-imports

check-templates: dev
	.ci/templates $(BIN)/djlint

check-migrations: dev
	DJANGO_SETTINGS_MODULE=tradingsite.settings.test $(MANAGE) makemigrations --check --dry-run

check-system: dev
	DJANGO_SETTINGS_MODULE=tradingsite.settings.test $(MANAGE) check --fail-level WARNING

# Production settings with values just strong enough to load; nothing is connected to.
check-deploy: dev
	DJANGO_SETTINGS_MODULE=tradingsite.settings.production TRADING_VAR_DIR=$(CURDIR)/.venv/check-var \
	TRADING_SECRET_KEY=$$($(BIN)/python -c 'import secrets; print(secrets.token_urlsafe(48))') \
	TRADING_FIELD_KEYS=$$($(BIN)/python -c 'import base64, os; print(base64.urlsafe_b64encode(os.urandom(32)).decode())') \
	TRADING_DATABASE_URL=postgresql://site@localhost/site TRADING_ALLOWED_HOSTS=trading.example.org \
	TRADING_PUBLIC_URL=https://trading.example.org TRADING_TRUSTED_PROXIES=1 \
	$(MANAGE) check --deploy --fail-level WARNING

format: dev
	$(BIN)/ruff check --fix --quiet . || true
	$(BIN)/ruff format .

# New versions of everything (needs uv).
lock:
	for f in requirements requirements-dev requirements-build; do \
		uv pip compile --quiet --upgrade --generate-hashes --no-emit-index-url --no-header --python-version 3.11 $$f.in -o $$f.txt; done
	npm install --package-lock-only

# Keeps var/: it holds the database and the keys.
clean:
	rm -rf .venv node_modules static-collected .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
