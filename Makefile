# Everything is made inside the repository: the environment in .venv, the sample data in datasets/sample, runs in output.

PYTHON ?= python3
PY := .venv/bin/python
UV_INSTALL := $(PY) -m uv pip install --quiet --python $(PY)
# `make install RESOLUTION=lowest-direct` takes the lowest versions that setup.py allows.
RESOLUTION ?= highest

.PHONY: help install test test-all test-export lint demo clean

help: ## Show the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-11s %s\n", $$1, $$2 }' Makefile

install: .venv/.installed ## Make .venv and install the package, its tools and Detectron2 into it

# A test is seldom faster with a second thread; two tests side by side are. Commands that tests start find modules compiled.
PYTEST := OMP_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE= $(PY) -m pytest --numprocesses auto --dist worksteal

test: .venv/.installed ## Run the test suite but for its slow tests
	$(PYTEST) -m 'not slow and not exhaustive'

test-all: test ## Run the test suite, the slow tests last
	$(PYTEST) -m slow

test-export: .venv/.installed ## Run the tests of each family of models in each format of export: twenty minutes on two cores
	$(PYTEST) -m exhaustive

lint: .venv/.installed ## Check style, formatting and types
	$(PY) -m ruff check
	$(PY) -m ruff format --check
	$(PY) -m mypy

demo: .venv/.installed ## Draw sample data, train and score a segmenter and a detector on it, and show them in a page
	@$(PY) tools/demo.py

clean: ## Remove what make made
	rm -rf .venv build dist *.egg-info output/demo datasets/sample .pytest_cache .ruff_cache .mypy_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# uv sets the environment up several times faster than pip does.
.venv/.installed: setup.py pyproject.toml tools/install_detectron2.py tools/detectron2_patches.py
	@$(PY) -m pip --version > /dev/null 2>&1 || { \
		$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { \
			echo "Python 3.10 or later is needed, and $(PYTHON) is not. Name one: make install PYTHON=python3.12" >&2; exit 1; }; \
		$(PYTHON) -m venv --clear .venv; }
	@echo "Installing into .venv ..."
	@$(PY) -m pip install --quiet --disable-pip-version-check uv
	@$(UV_INSTALL) setuptools wheel
	@$(UV_INSTALL) --resolution $(RESOLUTION) --editable '.[dev,toolkit,tensorboard,timm,export]'
	@$(PY) tools/install_detectron2.py
	@touch $@
