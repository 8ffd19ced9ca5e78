# Needs Python 3.11 or later, git and make; everything else is installed into .venv.

PYTHON ?= python3
VENV ?= .venv
# The build of torch to install first. The default suits a machine without a GPU.
TORCH ?= torch==2.13.0
# Versions this was last tested with; `make setup CONSTRAINTS=` takes the newest ones instead.
CONSTRAINTS ?= constraints.txt

PY = $(VENV)/bin/python
PIP = $(PY) -m pip --disable-pip-version-check install --quiet $(if $(CONSTRAINTS),--constraint $(CONSTRAINTS))

.DEFAULT_GOAL := help
.PHONY: help setup test test-full test-cluster coverage fuzz audit lint format docs demo clean

help:  ## show this list
	@grep -E '^[a-z-]+:.*##' $(firstword $(MAKEFILE_LIST)) | sed -E 's/:.*## /\t/' | expand -t 14

setup: $(VENV)/.dev  ## make .venv with unsilent, its metrics and its development tools

$(PY):
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed: make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)

# torch goes first and alone: asked for by a dependency, another build of it with gigabytes of CUDA would come.
$(VENV)/.core: pyproject.toml $(CONSTRAINTS) | $(PY)
	$(PIP) $(TORCH)
	$(PIP) --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.core
	$(PIP) --editable '.[dev,eval,onnx,talker,web]'
	# For its network file alone: what else it asks for is not needed, and compiles.
	$(PIP) --no-deps resemblyzer==0.1.4
	@touch $@

test: $(VENV)/.dev  ## run the tests but the slow ones
	$(PY) -m pytest -m 'not slow' --durations=10 --strict-skips

test-full: $(VENV)/.dev  ## run all tests
	$(PY) -m pytest --durations=20 --strict-skips

# Neither is in `make setup`: Ray alone is as large as the rest, and moto brings a server.
$(VENV)/.cluster: $(VENV)/.dev
	$(PY) -m pip --disable-pip-version-check install --quiet --editable '.[cluster,cluster-test]'
	@touch $@

test-cluster: $(VENV)/.cluster  ## run the tests of Ray and of URLs, on two nodes and an S3 server in this machine
	UNSILENT_CLUSTER=needed $(PY) -m pytest --strict-skips tests/workers tests/test_object_store.py tests/test_prepare_remote.py tests/files

fuzz: $(VENV)/.dev  ## damage inputs of every kind for half an hour
	$(PY) -m tests.fuzz --minutes 30 --seed $${SEED:-0}

coverage: $(VENV)/.dev  ## run the tests but the slow ones, and say which lines they run
	# Where the disk is full, coverage could not write what it saw.
	$(PY) -m pytest -m 'not slow' --strict-skips --cov --cov-report=term:skip-covered --ignore tests/test_full_disk.py

# Both in an environment of their own: they would change versions in the other.
$(VENV)-audit/.done:
	$(PYTHON) -m venv $(VENV)-audit
	$(VENV)-audit/bin/python -m pip --disable-pip-version-check install --quiet 'bandit[toml]' pip-audit
	@touch $@

audit: $(VENV)-audit/.done $(VENV)/.dev  ## look for unsafe code, and for known faults in what is installed (asks the network)
	$(VENV)-audit/bin/bandit --quiet --recursive --configfile pyproject.toml src
	$(PY) -m pip --disable-pip-version-check freeze --exclude-editable | sed 's/+cpu//' > $(VENV)-audit/installed.txt
	$(VENV)-audit/bin/pip-audit --no-deps --disable-pip --requirement $(VENV)-audit/installed.txt

lint: $(VENV)/.dev  ## check style, format and types
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy

format: $(VENV)/.dev  ## put the code in its format
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

$(VENV)/.docs: $(VENV)/.core
	$(PIP) --editable '.[docs]'
	@touch $@

docs: $(VENV)/.docs  ## build the documentation site in ./site
	$(PY) -m mkdocs build --strict

$(VENV)/.demo: $(VENV)/.core
	$(PIP) --editable '.[demo]'
	@touch $@

demo: $(VENV)/.demo  ## speak an example clip; the result is in ./demo
	$(PY) -m unsilent.cli demo

clean:  ## remove everything that was made here, .venv included
	rm -rf $(VENV) $(VENV)-audit build dist demo site .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage src/*.egg-info
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +
