# SteerGAN: `make` lists what there is to make.

PYTHON ?= python3
VENV ?= .venv
OUT ?= benchmarks/results
PYTEST_ARGS ?=

INSTALLED := $(VENV)/.installed
RUN := $(VENV)/bin/python
# Two processes of one thread each: torch's own threads would fight over the cores.
PYTEST := OMP_NUM_THREADS=1 $(RUN) -m pytest -q -n 2
TRAIN_STEP := -m benchmarks.train_step --res 256 --method spatialgan --vs stylegan2

export PYTHON PIP_OPTIONS

.DEFAULT_GOAL := help
.PHONY: help venv demo test test-slow lint kernels bench gpu-check lock clean clean-venv

help:  ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' Makefile
	@echo "Variables: PYTHON=python3.12  VENV=.venv  OUT=folder  PYTEST_ARGS='-k name'  PIP_OPTIONS=..."

venv: $(INSTALLED)  ## make .venv and install the pinned packages (only when they have changed)

$(INSTALLED): requirements.txt
	@tools/bootstrap.sh $(VENV)

demo: $(INSTALLED)  ## train a small steerable GAN on toy scenes on the CPU and show what it learnt
	@$(RUN) demo.py

test: $(INSTALLED)  ## run the tests, but for those marked slow or gpu
	@$(PYTEST) -m "not slow and not gpu" $(PYTEST_ARGS)

test-slow: $(INSTALLED)  ## run the tests marked slow
	@$(PYTEST) -m "slow and not gpu" $(PYTEST_ARGS)

lint: $(INSTALLED)  ## check the code with ruff
	@$(RUN) -m ruff check .

kernels:  ## compile every .cu file with nvcc, where there is one (no GPU needed)
	@tools/compile_kernels.sh

bench: $(INSTALLED)  ## time a training step on the CPU: the method against plain StyleGAN2
	@mkdir -p $(OUT)
	@$(RUN) $(TRAIN_STEP) --batch 4 --device cpu --json $(OUT)/train_step_cpu.json

# The machine's own Python and CUDA torch, no environment. The benchmark runs even when a test has failed.
gpu-check:  ## on a GPU machine: run the tests marked gpu, then time a training step
	@$(PYTHON) tools/gpu_preflight.py
	@mkdir -p $(OUT)
	@status=0; \
	$(PYTHON) -m pytest -q -m gpu $(PYTEST_ARGS) || status=$$?; \
	$(PYTHON) $(TRAIN_STEP) --batch 16 --device cuda --json $(OUT)/train_step.json || status=$$?; \
	exit $$status

lock:  ## resolve the ranges of pyproject.toml anew and pin them in requirements.txt
	@tools/lock.sh

clean:  ## remove caches and builds
	@find . -path ./$(VENV) -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +
	@rm -rf .pytest_cache .ruff_cache .hypothesis build dist *.egg-info

clean-venv:  ## remove .venv
	@rm -rf $(VENV)
