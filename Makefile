SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= $(firstword $(shell command -v python3.11 python3.12 python3))
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps
# Not `npm ci`: it refuses a lock file made on one platform for lacking the optional binaries of the others.
NPM_INSTALL := npm install --no-save --no-fund --no-audit --loglevel=error
EMBED_SOURCES := $(shell find embed -path embed/node_modules -prune -o -path embed/dist -prune -o -type f -print 2>/dev/null)

.PHONY: help install demo test unit e2e lint types format schema shopify-build install-hmr2 test-hmr2 chaos bench bench-accuracy bench-api bench-dress bench-endpoint bench-sizes bench-storefront bench-shopify bench-figure bench-admin \
	bake fit-tape fit-questionnaire fit-population fit-silhouette clean

help: ## Show what can be run
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 20

# ---- install -------------------------------------------------------------------------------------------------------
install: $(VENV)/.installed embed/node_modules/.installed shopify_extension/node_modules/.installed embed/dist/index.html ## Install everything into .venv and node_modules, build the front end

$(VENV)/.installed: requirements/dev.txt requirements/photo.txt requirements/meshopt.txt pyproject.toml
	@echo "[install] Python packages (about a minute)"
	@test -n "$(PYTHON)" || { echo "Python 3.11 or 3.12 is needed; install it and run this again." >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))' \
		|| { echo "Python 3.11 or 3.12 is needed; $(PYTHON) is another version. Set PYTHON=/path/to/python3.11." >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(PIP) --require-hashes -r requirements/dev.txt
	@$(PIP) --require-hashes -r requirements/photo.txt \
		|| echo "[install] The photo estimator has no build for this platform: TryOn runs with questions only." >&2
	@$(PIP) --require-hashes -r requirements/meshopt.txt \
		|| echo "[install] No C++ compiler: avatars are quantised but not compressed, three times larger." >&2
	@$(PIP) --editable .
	@touch $@

embed/node_modules/.installed: embed/package-lock.json
	@echo "[install] Front-end packages"
	@command -v node >/dev/null || { echo "Node 20.19 or newer is needed; install it and run this again." >&2; exit 1; }
	@cd embed && $(NPM_INSTALL)
	@touch $@

shopify_extension/node_modules/.installed: shopify_extension/package-lock.json
	@echo "[install] Storefront packages and Shopify's checks"
	@cd shopify_extension && $(NPM_INSTALL)
	@touch $@ $(@D)/.runtime

# The sample shop needs 4 MB of the 560: one package, and one file of another.
shopify_extension/node_modules/.runtime: shopify_extension/package-lock.json
	@echo "[install] Storefront packages"
	@cd shopify_extension && if [ ! -e node_modules/.installed ] || [ package-lock.json -nt node_modules/.installed ]; \
		then $(NPM_INSTALL) --omit=dev && node dev/schema.mjs; fi
	@touch $@

shopify_extension/dev/cli/node_modules/.installed: shopify_extension/dev/cli/package-lock.json
	@echo "[install] Shopify's command line tool"
	@cd $(@D)/.. && $(NPM_INSTALL) --ignore-scripts \
		|| { echo "The Shopify CLI cannot be installed here: nothing was built. The checks of 'make lint' do without it." >&2; exit 1; }
	@touch $@

embed/dist/index.html: embed/node_modules/.installed $(EMBED_SOURCES)
	@echo "[install] Building the front end"
	@cd embed && npm run --silent build
	@touch $@

# ---- run -----------------------------------------------------------------------------------------------------------
demo: $(VENV)/.installed embed/dist/index.html shopify_extension/node_modules/.runtime ## Run the whole product on this machine and print one address to open
	@$(BIN)/tryon demo $(DEMO_ARGS)

# ---- check ---------------------------------------------------------------------------------------------------------
test: install lint unit e2e ## Lint, then every test: front end, API on SQLite and Postgres, worker, browser

# Two halves side by side, one for each core of a small machine; the second one's words follow the first one's.
SECOND_HALF := tests/gpu_worker tests/contract tests/chaos tests/architecture tests/backend/operations tests/backend/events

unit: install ## Tests without a browser
	@cd embed && npm test --silent
	@cd shopify_extension && npm test --silent
	@words=$$(mktemp) && trap 'rm -f "$$words"' EXIT; status=0; \
	$(BIN)/python -m pytest $(SECOND_HALF) -o cache_dir=.pytest_cache/second > "$$words" 2>&1 & second=$$!; \
	$(BIN)/python -m pytest tests --ignore tests/e2e $(SECOND_HALF:%=--ignore %) || status=$$?; \
	wait $$second || status=$$?; cat "$$words"; exit $$status

e2e: install ## The running product in a real browser, and what survives a kill
	@$(BIN)/python -m pytest tests/e2e

lint: install types ## Formatting, lint, types, import rules, stale generated files
	@$(BIN)/ruff format --check --quiet . || { echo "Run 'make format'." >&2; exit 1; }
	@$(BIN)/ruff check --quiet .
	@$(BIN)/lint-imports --no-cache | tail -n 20
	@$(BIN)/tryon schema --check
	@cd embed && npm run --silent lint
	@cd shopify_extension && npm run --silent check

types: install
	@$(BIN)/mypy
	@cd embed && npm run --silent types

shopify-build: install shopify_extension/dev/cli/node_modules/.installed ## `shopify app build` of block and pixel, offline; optional, not a gate
	@cd shopify_extension && node dev/cli/build.mjs

format: install ## Rewrite sources in the house format
	@$(BIN)/ruff format . && $(BIN)/ruff check --fix-only --quiet .
	@cd embed && npm run --silent format

schema: install ## Export the OpenAPI document
	@$(BIN)/tryon schema

install-hmr2: .venv-hmr2/.installed ## torch and smplx into .venv-hmr2, on top of .venv

.venv-hmr2/.installed: requirements/hmr2.txt | $(VENV)/.installed
	@echo "[install] torch and smplx"
	@$(BIN)/python -m venv --clear .venv-hmr2
	@$(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))' \
		> "$$(.venv-hmr2/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/tryon-base.pth"
	@.venv-hmr2/bin/python -m pip install --quiet --disable-pip-version-check -r requirements/hmr2.txt
	@touch $@

test-hmr2: install-hmr2 ## The estimator hmr2; HMR2_REFERENCE_DIR names the reference arrays
	@.venv-hmr2/bin/python -m pytest tests/hmr2

chaos: install ## Jobs through every fault there is; JOBS= (10000) and SEED= (1) may be set
	@$(BIN)/python -m tests.chaos.run --jobs $(or $(JOBS),10000) --seed $(or $(SEED),1)

# ---- measure -------------------------------------------------------------------------------------------------------
bench: bench-accuracy bench-sizes bench-api bench-dress bench-endpoint bench-shopify bench-admin bench-figure bench-storefront ## Every benchmark

bench-accuracy: install ## Error and coverage of both estimators; set ANSUR_DIR for the questionnaire's part
	@$(BIN)/python -m gpu_worker.training.bench_questionnaire
	@$(BIN)/python -m gpu_worker.training.bench_accuracy

bench-sizes: install ## Whether stated size probabilities come true; uses what bench-accuracy saw, or looks itself first
	@$(BIN)/python -m tests.backend.tryons.bench_sizes

bench-api: install ## First size, photo to ready, and the garment on the body, against the demo's own processes
	@folder=$$(mktemp -d) && trap 'rm -rf "$$folder"' EXIT \
		&& $(BIN)/python -m gpu_worker.training.scenes --out $$folder/person.jpg --seed 7 --sex male --height-cm 178 --weight-kg 74 \
		&& $(BIN)/python -m backend.bench_api --photo $$folder/person.jpg

bench-figure: install ## From the answer to the garment on the figure, in a real browser on the demo
	@$(BIN)/python -m tests.e2e.bench_figure

bench-admin: install ## Largest paint and layout shift of the merchant's page
	@$(BIN)/python -m tests.e2e.bench_admin

bench-shopify: install ## How long forged webhooks, proxy calls and session tokens take to be refused
	@$(BIN)/python -m backend.bench_shopify 2>/dev/null
	@$(BIN)/python -m backend.bench_webhooks 2>/dev/null

bench-endpoint: install ## Hand-over time and throughput of the local endpoint and of the dispatcher
	@$(BIN)/python -m gpu_worker.local_endpoint.bench
	@$(BIN)/python -m tests.backend.jobs.bench_dispatcher

bench-dress: install ## Girths, penetration and times of template and brand garments on unseen bodies
	@$(BIN)/python -m gpu_worker.training.bench_dress
	@$(BIN)/python -m gpu_worker.training.bench_brand

bench-storefront: install ## Lighthouse on the sample product page with and without the block, nine runs each, interleaved
	@cd shopify_extension && node dev/bench_storefront.mjs

# ---- regenerate committed data (offline; never part of install or tests) ---------------------------------------------
bake: ## Bake the canonical body; needs its own environment with anny==0.6.2 torch==2.13.0 in BAKE_PYTHON
	@$${BAKE_PYTHON:?set BAKE_PYTHON to a Python that has anny 0.6.2 and torch 2.13.0} -m gpu_worker.training.bake

fit-tape: install ## Fit the tape's offsets and density on the ANSUR II tables in ANSUR_DIR
	@$(BIN)/python -m gpu_worker.training.fit_tape_definitions

fit-questionnaire: install ## Fit the questionnaire on the ANSUR II tables in ANSUR_DIR
	@$(BIN)/python -m gpu_worker.training.fit_questionnaire

fit-population: install ## Fit the population model on the ANSUR II tables in ANSUR_DIR
	@$(BIN)/python -m gpu_worker.training.fit_population

fit-silhouette: install ## Generate training pictures and fit the silhouette estimator (hours)
	@$(BIN)/python -m gpu_worker.training.fit_silhouette

clean: ## Remove what was installed, built and stored
	rm -rf $(VENV) .venv-hmr2 .data embed/node_modules embed/dist shopify_extension/node_modules shopify_extension/dev/cli/node_modules .mypy_cache .ruff_cache .pytest_cache
