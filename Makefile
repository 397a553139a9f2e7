# RankLite: every target sets up what it needs; `make` alone lists them.
# Two stacks, one code: the newest that this machine can install is chosen; STACK=tfx1.16 or tfx1.21
# chooses the other, PYTHON=<path> another Python, VENV=<folder> keeps both side by side.

ASKED   := $(PYTHON)
CHOICE  := $(shell STACK='$(STACK)' PYTHON='$(PYTHON)' requirements/choose 2>&1)
STACK   := $(firstword $(CHOICE))
PYTHON  := $(lastword $(CHOICE))
VENV    ?= .venv
CONFIG  ?= configs/synthetic.yaml
DATA    ?=
RUNS    ?= runs
ARGS    ?=
PUSHED  ?= $(RUNS)/synthetic/pushed
IMAGE   ?= ranklite:latest
SERVER  ?= ranklite-serve:latest
DOCKER  ?= docker
BASE    ?=
JOBS    ?= $(shell n=$$(nproc); echo $$((n < 4 ? n : 4)))
LOCK    := requirements/$(STACK).txt
BIN     := $(VENV)/bin
SUMS    := $(shell cat $(LOCK) setup.cfg pyproject.toml 2>/dev/null | cksum | cut -d' ' -f1)
MADE    := $(VENV)/.ready-$(STACK)-$(notdir $(PYTHON))-
READY   := $(MADE)$(SUMS)
KOTLIN  := tests/kotlin/node_modules/.package-lock.json
LITERT  := examples/web/node_modules/.package-lock.json
KFP     := $(VENV)-kfp
AUDIT   := $(VENV)-audit
AUDITED := $(AUDIT)/.ready-$(notdir $(PYTHON))-$(shell cat requirements/audit.txt 2>/dev/null | cksum | cut -d' ' -f1)
KFPSUMS := $(KFP)/.ready-$(notdir $(PYTHON))-$(shell cat requirements/kfp-local.txt 2>/dev/null | cksum | cut -d' ' -f1)
LABELS   = --build-arg VERSION=$$(sed -n 's/^version = //p' setup.cfg) \
           --build-arg REVISION=$$(git describe --always --dirty --abbrev=40 2>/dev/null || echo unknown)

COMPILE  = uv pip compile --generate-hashes --no-emit-index-url --no-emit-find-links --no-annotate --no-header -q $(ARGS)

export TF_USE_LEGACY_KERAS = 1

.DEFAULT_GOAL := help
.PHONY: help setup image serve-image kubeflow-test run demo bench faults kills audit validate test test-newest unit slow e2e lint format tensorboard lock clean

help: ## List the targets
	@echo "RankLite: from interaction logs to a small, fast, gated TFLite ranking model."
	@echo
	@grep -E '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## /\1\t/' \
	  | awk -F'\t' '{printf "  make %-12s %s\n", $$1, $$2}'
	@echo
	@echo "  make run CONFIG=configs/movielens.yaml DATA=<folder with the logs>"

setup: $(READY) ## Build the environment in .venv from the pinned, hashed lock
	@echo "Stack: $(STACK) on $(PYTHON); STACK=tfx1.16 or STACK=tfx1.21 chooses."

# An environment of the other stack, or of another Python, is emptied; one whose lock changed is renewed.
$(READY):
	@case '$(CHOICE)' in tfx*) ;; *) echo '$(CHOICE)' >&2; exit 1 ;; esac
	@echo "Setting up $(VENV) from $(LOCK): about 4 GB and 2 minutes, once."
	@if [ -e $(VENV)/pyvenv.cfg ] && ! ls $(MADE)* >/dev/null 2>&1; then clear=--clear; fi; \
	  rm -f $(VENV)/.ready-*; $(PYTHON) -m venv $$clear $(VENV)
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --require-hashes --no-deps -r $(LOCK)
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

run: setup ## Run the whole pipeline: CONFIG=<yaml> DATA=<folder> (default: synthetic data)
	@$(BIN)/ranklite run --config $(CONFIG) $(if $(DATA),--data $(DATA)) --runs $(RUNS) $(ARGS)

demo: setup $(LITERT) ## Rank in the browser with a pushed model, on this machine alone: PUSHED=<folder>
	@$(BIN)/ranklite demo $(PUSHED) --litert examples/web/node_modules $(ARGS)

$(LITERT): examples/web/package-lock.json
	@command -v npm >/dev/null || { echo "make demo needs npm, which brings LiteRT.js" >&2; exit 1; }
	@cd examples/web && npm ci --omit=dev --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

validate: setup ## Check a configuration without running it: CONFIG=<yaml>
	@$(BIN)/ranklite validate --config $(CONFIG)

test: lint unit slow e2e ## Lint, types, unit tests, slower ones, whole runs, coverage of at least 90 %
	@$(BIN)/coverage report --fail-under=90

bench: setup ## Measure speed against peers and limits: tables, and JSON in runs/bench; DATA=<folder> for real logs
	@$(BIN)/python -m benchmarks.all --out $(RUNS)/bench $(if $(DATA),--data $(DATA)) $(ARGS)

lint: setup ## ruff and mypy
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy

format: setup ## Format and fix what ruff can fix
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

unit: setup ## The fast tests, a file at a time in JOBS processes
	@$(BIN)/coverage erase
	@$(BIN)/python -m pytest -m "not slow and not e2e and not kubeflow" -q -n $(JOBS) --dist loadfile --cov --cov-report=

slow: setup $(KOTLIN) ## Fine-tunings, conversions and compilers, seconds each
	@$(BIN)/python -m pytest -m slow -q -n $(JOBS) --dist loadfile --cov --cov-append --cov-report=

# The compiler that checks the clients in Kotlin; without npm its test skips.
$(KOTLIN): tests/kotlin/package-lock.json
	@if command -v npm >/dev/null; then cd tests/kotlin && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error \
	  && touch node_modules/.package-lock.json; fi

e2e: setup ## Whole pipeline runs
	@$(BIN)/python -m pytest -m e2e -q -n $(JOBS) --dist loadfile --durations=10 --cov --cov-append --cov-report=

faults: setup ## Break what can break, and write what became of it: docs/reliability.md
	@$(BIN)/python -m pytest -m fault -q -n $(JOBS) --dist loadfile --fault-table=docs/reliability.md $(ARGS)

kills: setup ## Kill runs at moments over all stages and searches: docs/reliability.md; half an hour
	@$(BIN)/python -m benchmarks.kills --table docs/reliability.md $(ARGS)

audit: $(AUDITED) ## Ask OSV for known holes in what the locks pin: docs/security.md
	@requirements/audit $(AUDIT)/bin/pip-audit

# pip-audit, beside the stack.
$(AUDITED): requirements/audit.txt
	@$(PYTHON) -m venv --clear $(AUDIT)
	@$(AUDIT)/bin/python -m pip install -qq --disable-pip-version-check --require-hashes --no-deps -r requirements/audit.txt
	@touch $@

test-newest: ## The same on the newest stack, in a Debian 13 root (as root); PYTHON=<3.11, 3.12> takes that one
	@PYTHON='$(ASKED)' .ci/newest make test

image: ## Build the container image for Kubeflow: IMAGE=<registry/name:tag> [BASE=<an image with Python>]
	@command -v $(DOCKER) >/dev/null 2>&1 || { echo "make image needs docker, or podman: DOCKER=podman" >&2; exit 1; }
	$(DOCKER) build $(LABELS) $(if $(BASE),--build-arg BASE=$(BASE)) -t $(IMAGE) .
	@$(DOCKER) run --rm $(IMAGE) cat /opt/ranklite/sbom.cdx.json >.sbom && mv .sbom sbom.cdx.json
	@echo "What is in it: sbom.cdx.json"

serve-image: ## Build the container image of `ranklite serve`: SERVER=<registry/name:tag> [BASE=<an image with Python>]
	@command -v $(DOCKER) >/dev/null 2>&1 || { echo "make serve-image needs docker, or podman: DOCKER=podman" >&2; exit 1; }
	$(DOCKER) build -f serve.Dockerfile $(LABELS) $(if $(BASE),--build-arg BASE=$(BASE)) -t $(SERVER) .
	@$(DOCKER) run --rm --entrypoint cat $(SERVER) /opt/ranklite/sbom.cdx.json >.sbom && mv .sbom sbom-serve.cdx.json
	@echo "What is in it: sbom-serve.cdx.json"

kubeflow-test: setup $(KFPSUMS) ## Build the image without docker; kfp runs two nights in it, on an S3 server (as root)
	@.ci/image localhost/ranklite:test $(LABELS)
	@RANKLITE_IMAGE=localhost/ranklite:test RANKLITE_KFP=$(abspath $(KFP)) \
	  $(BIN)/python -m pytest -m kubeflow -q -n $(JOBS) --dist loadfile --durations=10 tests/kfp_local

# kfp and the storage that it runs on, beside the stack, whose kfp may be an old one.
$(KFPSUMS): requirements/kfp-local.txt
	@$(PYTHON) -m venv --clear $(KFP)
	@$(KFP)/bin/python -m pip install -qq --disable-pip-version-check --require-hashes --no-deps -r requirements/kfp-local.txt
	@touch $@

tensorboard: setup ## Open TensorBoard on all runs
	@$(BIN)/ranklite tensorboard --runs $(RUNS)

lock: setup ## Renew the locks from requirements/*.in; ARGS=--upgrade takes the newest versions
	@$(BIN)/python -m pip install --quiet uv
	@$(BIN)/$(COMPILE) requirements/tfx1.16.in --python-version 3.10 -o requirements/tfx1.16.txt
	@$(BIN)/$(COMPILE) requirements/tfx1.21.in --python-version 3.11 --universal \
	  --override requirements/tfx1.21.overrides -o requirements/tfx1.21.txt
	@$(BIN)/$(COMPILE) setup.cfg --extra train --extra serve --python-version 3.11 --universal \
	  --override requirements/tfx1.21.overrides -c requirements/tfx1.21.txt -o requirements/image.txt
	@$(BIN)/$(COMPILE) setup.cfg requirements/serve.in --extra serve --python-version 3.11 --universal \
	  --override requirements/tfx1.21.overrides -c requirements/tfx1.21.txt -o requirements/serve.txt
	@$(BIN)/$(COMPILE) requirements/kfp-local.in --python-version 3.10 --universal -o requirements/kfp-local.txt
	@$(BIN)/$(COMPILE) requirements/audit.in --python-version 3.10 --universal -o requirements/audit.txt

clean: ## Remove the environment and the caches (not the runs)
	rm -rf $(VENV) $(KFP) $(AUDIT) sbom.cdx.json sbom-serve.cdx.json *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage
