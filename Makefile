PYTHON ?= python3
BIN := .venv/bin
export OMP_NUM_THREADS ?= 1
export TOKENIZERS_PARALLELISM ?= false

.PHONY: help install install-test demo demo-all test test-vllm mutants check docs clean

help:  ## show this help
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

.venv/.core: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e .
	touch $@

.venv/.test: .venv/.core
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e ".[test,general]"
	touch $@

install: .venv/.core  ## build the environment in .venv

install-test: .venv/.test

demo: .venv/.core  ## the whole chain on the embedded world: align, benchmark, leaderboard
	$(BIN)/python cli.py demo

demo-all: .venv/.core  ## all six benchmarks on the embedded world's base model and every aligned run
	$(BIN)/python cli.py bench --suite all

test: .venv/.test  ## run the tests
	$(BIN)/python -m pytest -q -n auto --maxprocesses 4 --dist loadfile

.venv-vllm/.done: tests/vllm/environment.sh
	tests/vllm/environment.sh $(PYTHON)

test-vllm: .venv/.core .venv-vllm/.done  ## compare 100 answers here and behind vLLM on the CPU (3 GB, minutes)
	$(BIN)/python -m tests.vllm.compare

mutants: .venv/.test  ## put one fault after the other into a copy; the tests must catch each (minutes)
	$(BIN)/python -m tests.mutants

check: .venv/.test  ## lint and type-check
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy

docs: .venv/.test  ## write the pages that are made from the code: commands, settings, models and a picture
	$(BIN)/python -m tests.docs.commands_page
	$(BIN)/python -m tests.docs.settings_page
	$(BIN)/python -m tests.docs.architecture_page
	$(BIN)/python -m tests.docs.models_page

clean:  ## remove what was made (results and the environment)
	rm -rf .venv .venv-vllm artifacts results.sqlite*
