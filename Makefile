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

# Where Python may not keep what it compiled, as in many containers, each process compiles Spark, MLflow and TensorFlow
# again: 5 s for TensorFlow alone.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup java programs run lab notebook test test-fast test-s3 test-spark35 test-browser test-cluster test-release screenshots page lint requirements clean

help: ## this list
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

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

lab: java $(STAMP) ## all notebooks in JupyterLab, as copies in lab/ to change: make lab [IMAGES=DIR] [LAKE=lake]
	$(if $(IMAGES),,$(BIN)/fruits samples samples)
	$(BIN)/python -m fruits.views.notebooks "$(or $(IMAGES),samples)" "$(LAKE)"
	PYTHONWARNINGS="ignore:IProgress not found" $(BIN)/jupyter lab lab

# From a folder where photos and weights have short names, so that the notebook names no machine.
notebook: java $(STAMP) ## the cloud notebook as run on real photos, for docs/: make notebook IMAGES=DIR WEIGHTS=FILE.h5
	@work=$$(mktemp -d) && trap 'rm -rf "$$work"' EXIT && ln -s "$$(realpath "$(IMAGES)")" "$$work/fruits-360" && \
	ln -s "$$(realpath "$(WEIGHTS)")" "$$work/mobilenet_v2.h5" && cd "$$work" && for language in fr en; do \
	rm -rf lake && "$(CURDIR)/$(BIN)/fruits" emr notebook "notebook-aws-$$language.ipynb" --kernel python --execute \
	--language $$language --images fruits-360 --lake lake --weights mobilenet_v2.h5 || exit 1; done && \
	mv notebook-aws-*.ipynb "$(CURDIR)/docs/"

# Tests that need a process, or programs, of their own have targets of their own.
APART := s3 or browser or cluster or release

# At once, for a test on Spark waits mostly on one thread; what the others say comes after what the first says.
define at_once
	@export OPENBLAS_NUM_THREADS=1; logs=$$(mktemp -d); status=0; trap 'kill $$(jobs -p) 2> /dev/null' INT TERM; \
	{ $(2); } > "$$logs/2" 2>&1 & second=$$!; { $(or $(3),true); } > "$$logs/3" 2>&1 & third=$$!; \
	{ $(1); } || status=1; wait $$second || status=1; wait $$third || status=1; \
	cat "$$logs/2" "$$logs/3"; rm -rf "$$logs"; exit $$status
endef

# Files with a test on Spark: it names one of these fixtures. tests/conftest.py refuses one that is not found so.
ON_SPARK := '^def .*[( ](spark|lake|first_run)[,):]|"spark"'
SPARK_FILES = $$(grep -lE $(ON_SPARK) tests/test_*.py)

# In each of those on Spark a Java and its workers run at once, so they make way for the others; classic Spark takes
# longest, so less.
test: java $(STAMP) lint ## every test, those on Spark twice: on classic Spark and on Spark Connect
	$(call at_once,echo "classic Spark:"; nice -n 1 $(BIN)/pytest -m 'spark and not ($(APART))' $(SPARK_FILES),\
	echo "Spark Connect:"; SPARK_REMOTE='local[2]' nice -n 2 $(BIN)/pytest -m 'spark and not ($(APART))' $(SPARK_FILES),\
	echo "without Spark:"; $(BIN)/pytest -m 'not (spark or $(APART))')

QUICK := 'not (slow or spark or $(APART))'
ALL_SLOW := '^pytestmark.*mark.slow'

test-fast: java $(STAMP) ## the quick tests, and a sample of those that use Spark
	$(call at_once,echo "without Spark (a to d):"; $(BIN)/pytest -m $(QUICK) $$(grep -L $(ALL_SLOW) tests/test_[a-d]*.py),\
	echo "without Spark (e to z):"; $(BIN)/pytest -m $(QUICK) $$(grep -L $(ALL_SLOW) tests/test_[e-z]*.py),\
	echo "a sample on Spark:"; $(BIN)/pytest -m sample $$(grep -l mark.sample tests/test_*.py))

test-s3: java $(STAMP) ## the chain on S3 against a server of this machine; fetches 600 MB once
	$(BIN)/pytest -m s3

# What emr-7.14.0 has. Its Spark differs, the packages beside it are the pinned ones.
OLD := .venv-spark35/bin/python

.venv-spark35/.ready: $(STAMP)
	$(PYTHON) -m venv --without-pip .venv-spark35
	grep -vE '^(pyspark|delta-spark)==' requirements.txt > .venv-spark35/constraints.txt
	$(BIN)/uv pip install --quiet --python $(OLD) --constraint .venv-spark35/constraints.txt pyspark==3.5.8 delta-spark==3.3.2 setuptools --editable . deltalake matplotlib mlflow scikit-learn pytest
	@touch $@

# A lake is a folder or a bucket there: in a catalog, Delta 3.3 replaces no rows by a condition. Spark 3.5 leaves its
# expressions uncompiled, as session.py wants it on a laptop, only where it is told that it is tested.
test-spark35: java .venv-spark35/.ready ## the core of the tests on Spark 3.5.8 and Delta 3.3.2, as on emr-7.14.0
	SPARK_TESTING=1 OPENBLAS_NUM_THREADS=1 $(OLD) -m pytest -m old -k 'not (uri] or schema])' $$(grep -l mark.old tests/test_*.py)

# Chromium, and LibreOffice with fonts as wide as those of the slides, come from Debian where this is root on Debian;
# elsewhere a person installs them.
CHROMIUM = $$(command -v chromium || command -v chromium-browser || command -v google-chrome || command -v google-chrome-stable)
programs:
	@missing=; [ -n "$(CHROMIUM)" ] || missing=" chromium"; command -v npm > /dev/null || missing="$$missing npm"; \
	command -v soffice > /dev/null || missing="$$missing libreoffice-impress"; \
	fc-match Calibri | grep -qE 'Calibri|Carlito' || missing="$$missing fontconfig fonts-crosextra-carlito"; \
	fc-match 'Courier New' | grep -qE 'Courier New|Liberation' || missing="$$missing fonts-liberation"; \
	if [ -n "$$missing" ] && [ "$$(id -u)" = 0 ] && command -v apt-get > /dev/null; then \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $$missing > /dev/null; missing=; fi; \
	[ -z "$$missing" ] || { echo "the tests of pages and slides need$$missing; install what is missing (Debian: apt install$$missing) and run make test-browser again" >&2; exit 1; }

$(AXE): | programs
	npm install --silent --no-save --no-audit --no-fund --prefix .venv/browser axe-core@$(AXE_VERSION)
	@touch $@

test-browser: $(STAMP) programs $(AXE) ## tests of pages in Chromium and of slides in LibreOffice; installs them on Debian
	$(BIN)/pytest -m browser

test-cluster: java $(STAMP) ## the release form on a cluster of Spark: a master and two workers on this machine
	$(BIN)/pytest -m 'cluster and not release'

test-release: $(STAMP) ## the real wheels of a release for AWS EMR, fetched, measured and installed: 400 MB
	$(BIN)/pytest -m release -rP

screenshots: java $(STAMP) $(AXE) ## the pictures of the README, of drawn fruit: docs/pictures/
	@work=$$(mktemp -d) && trap 'rm -rf "$$work"' EXIT && cd "$$work" && "$(CURDIR)/$(BIN)/python" "$(CURDIR)/tests/pictures.py" "$(CURDIR)/docs/pictures"

# From a folder where the lake has a short name, which is what the page calls it.
page: java $(STAMP) ## the page about real photos without the photos, for docs/: make page LAKE=DIR
	@work=$$(mktemp -d) && trap 'rm -rf "$$work"' EXIT && ln -s "$$(realpath "$(LAKE)")" "$$work/fruits-360" && cd "$$work" && \
	"$(CURDIR)/$(BIN)/fruits" report --lake fruits-360 --no-photos --to report.html && mv report.html "$(CURDIR)/docs/"

lint: $(STAMP) ## ruff: style and formatting
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

requirements: $(STAMP) ## pin requirements.txt anew from pyproject.toml
	$(BIN)/uv pip compile --universal --python-version 3.11 --all-extras --quiet --no-header --no-annotate -o requirements.txt pyproject.toml

clean: ## remove what make made
	rm -rf .venv .venv-spark35 lake samples lab dist .pytest_cache .ruff_cache
