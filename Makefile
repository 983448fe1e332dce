# fruits: photos to PCA features. `make` lists what there is to type.
.DEFAULT_GOAL := help
SHELL := bash
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.ready
RUN_STAMP := .venv/.ready-to-run
UV := uv==0.13.9
AXE_VERSION := 4.14.1
AXE := .venv/browser/node_modules/axe-core/axe.min.js

IMAGES ?=
LAKE ?= lake
WEIGHTS ?=
RUN_ARGS ?=

.PHONY: help setup java run test test-fast test-browser test-cluster lint requirements clean

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: $(STAMP) ## make .venv, again only when requirements.txt or pyproject.toml change

# What `make run` needs, without the 1.5 GB of TensorFlow; uv installs in a third of pip's time.
$(RUN_STAMP): requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "fruits needs Python 3.11 or newer, $(PYTHON) is $$($(PYTHON) --version 2>&1); try make PYTHON=python3.12" >&2; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check $(UV)
	$(BIN)/uv pip install --quiet --python $(BIN)/python --constraint requirements.txt --editable '.[local,databricks]'
	@touch $@

$(STAMP): $(RUN_STAMP)
	$(BIN)/uv pip install --quiet --python $(BIN)/python --requirement requirements.txt
	@touch $@

java:
	@v=$$("$${JAVA_HOME:+$$JAVA_HOME/bin/}java" -version 2>&1 | sed -nE 's/.*version "([0-9]+).*/\1/p' | head -n 1); \
	[ "$${v:-0}" -ge 17 ] || { echo "fruits needs Java 17 or 21 for Spark, found $${v:-none}; install a JDK 17 (Debian: apt install openjdk-17-jre-headless, macOS: brew install openjdk@17) or set JAVA_HOME" >&2; exit 1; }

# Keras weights are made into a network by TensorFlow; a network is not.
run: java $(if $(filter-out fruits %.tflite,$(WEIGHTS)),$(STAMP),$(RUN_STAMP)) ## photos to PCA and a comparison of k: make run [IMAGES=DIR] [LAKE=lake] [WEIGHTS=fruits|imagenet|PATH] [RUN_ARGS="--k 0.9"]
	$(if $(IMAGES),,$(BIN)/fruits samples samples)
	$(BIN)/fruits run --images "$(or $(IMAGES),samples)" --lake "$(LAKE)" $(if $(WEIGHTS),--weights "$(WEIGHTS)") $(RUN_ARGS)

# Two at once, for a test on Spark waits mostly on one thread; what the second says comes last.
define at_once
	@export OPENBLAS_NUM_THREADS=1; log=$$(mktemp); status=0; { $(2); } > "$$log" 2>&1 & second=$$!; \
	trap 'kill $$second 2> /dev/null' INT TERM; \
	$(1) || status=1; wait $$second || status=1; cat "$$log"; rm -f "$$log"; exit $$status
endef

test: java $(STAMP) lint ## every test, those on Spark twice: on classic Spark and on Spark Connect
	$(call at_once,echo "classic Spark:"; $(BIN)/pytest -m 'spark and not cluster'; spark=$$?; \
	echo "without Spark:"; $(BIN)/pytest -m 'not (slow or spark or browser or cluster)' && [ $$spark = 0 ],\
	echo "Spark Connect:"; SPARK_REMOTE='local[2]' $(BIN)/pytest -m 'spark and not cluster'; spark=$$?; \
	echo "in processes of their own:"; $(BIN)/pytest -m 'slow and not (spark or browser or cluster)' && [ $$spark = 0 ])

test-fast: java $(STAMP) ## the quick tests, and a sample of those that use Spark
	$(call at_once,echo "without Spark:"; $(BIN)/pytest -m 'not (slow or spark or browser or cluster)',echo "a sample on Spark:"; $(BIN)/pytest -m sample)

# Chromium comes from Debian where this is root on Debian; elsewhere a person installs it.
CHROMIUM = $$(command -v chromium || command -v chromium-browser || command -v google-chrome || command -v google-chrome-stable)
$(AXE):
	@missing=; [ -n "$(CHROMIUM)" ] || missing=chromium; command -v npm > /dev/null || missing="$$missing npm"; \
	if [ -n "$$missing" ] && [ "$$(id -u)" = 0 ] && command -v apt-get > /dev/null; then \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $$missing > /dev/null; missing=; fi; \
	[ -z "$$missing" ] || { echo "the tests of pages need $$missing; install what is missing (Debian: apt install$$missing) and run make test-browser again" >&2; exit 1; }
	npm install --silent --no-save --no-audit --no-fund --prefix .venv/browser axe-core@$(AXE_VERSION)
	@touch $@

test-browser: $(STAMP) $(AXE) ## tests of the pages people look at, in Chromium; installs it on Debian
	$(BIN)/pytest -m browser

test-cluster: java $(STAMP) ## the release form on a cluster of Spark: a master and two workers on this machine
	$(BIN)/pytest -m cluster

lint: $(STAMP) ## ruff: style and formatting
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

requirements: $(STAMP) ## pin requirements.txt anew from pyproject.toml
	$(BIN)/uv pip compile --universal --python-version 3.11 --all-extras --quiet --no-header --no-annotate -o requirements.txt pyproject.toml

clean: ## remove what make made
	rm -rf .venv lake samples dist .pytest_cache .ruff_cache
