# The first Python of 3.11 or newer; `make PYTHON=/path/to/python` names another.
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin
# Why the environment that is there cannot be used; empty if it can, or if there is none.
version = $(shell $(1) -c 'import sys; print("%d.%d" % sys.version_info[:2], sys.version_info >= (3, 11))' 2>/dev/null)
HAS := $(call version,$(BIN)/python)
MADE_IN := $(shell sed -n 's/^command = .* -m venv //p' .venv/pyvenv.cfg 2>/dev/null)
ifneq ($(wildcard .venv),)
STALE := $(if $(filter True,$(HAS)),,its Python does not run or is older than 3.11)
STALE += $(if $(MADE_IN),$(if $(filter $(MADE_IN),$(realpath .venv)),,it was made in $(MADE_IN)))
ifeq ($(origin PYTHON),command line)
STALE += $(if $(filter $(firstword $(HAS)),$(call version,$(PYTHON))),,its Python is not $(PYTHON))
endif
endif
STALE := $(strip $(STALE))

export OMP_NUM_THREADS ?= 1
export TOKENIZERS_PARALLELISM ?= false

.PHONY: help install install-test demo demo-all test test-cluster test-faults test-vllm mutants check docs clean distclean stale

help:  ## show this help
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

.venv/.core: pyproject.toml constraints.txt $(if $(STALE),stale)
	$(if $(STALE),@echo ".venv is made anew: $(STALE)"; rm -rf .venv)
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed: make PYTHON=/path/to/python"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e .
	@# Where torchvision does not fit torch, also commands of other packages (accelerate launch) can import it then.
	$(BIN)/python -c "from harness.util.torchvision_shim import write_startup; write_startup()"
	touch $@

.venv/.test: .venv/.core
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e ".[test,general]"
	@# Without these two the tests that need them are skipped, with the reason. DeepSpeed's set-up asks for torch.
	-$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e ".[cluster]"
	-$(BIN)/python -m pip install -q --disable-pip-version-check setuptools wheel && DS_BUILD_OPS=0 $(BIN)/python -m pip \
		install -q --disable-pip-version-check -c constraints.txt --no-build-isolation -e ".[deepspeed]"
	touch $@

install: .venv/.core  ## build the environment in .venv

install-test: .venv/.test

demo: .venv/.core  ## the whole chain on the embedded world: align, benchmark, leaderboard
	$(BIN)/python cli.py demo

demo-all: .venv/.core  ## all six benchmarks on the embedded world's base model and every aligned run
	@# The embedded base model was not taught the request that POPE's questions end with officially.
	$(BIN)/python cli.py bench --suite all --set pope.short=false

test: .venv/.test  ## run the tests
	$(BIN)/python -m pytest -q -n auto --maxprocesses 4 --dist loadfile -m 'not cluster and not sweep'

test-cluster: .venv/.test  ## many machines, simulated on this one: nodes killed, ranks changed, sweeps (an hour)
	$(BIN)/python -m pytest -q -p no:xdist -m cluster tests

test-faults: .venv/.test  ## kill, tear, race and starve every command, 1,000 times and more (a quarter of an hour)
	$(BIN)/python -m tests.faults
	$(BIN)/python -m pytest -q -n auto --maxprocesses 4 -m sweep tests

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

clean:  ## remove what tools left behind; results, artefacts and the environment stay
	rm -rf build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache
	find . -name __pycache__ -type d -not -path './.venv*' -prune -exec rm -rf {} +

MADE = $(wildcard .venv .venv-vllm artifacts results.sqlite*)

distclean: clean  ## remove the environment, the artefacts and the results too, with SURE=yes
	@$(if $(MADE),du -sh $(MADE),echo "nothing is left")
ifeq ($(SURE),yes)
	rm -rf $(MADE)
else
	@$(if $(MADE),echo "These would be removed: make distclean SURE=yes")
endif
