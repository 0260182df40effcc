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
PROFILE := -m benchmarks.profile --res 256 --method stylegan2
INFERENCE := -m benchmarks.inference --res 256 --method stylegan2
# Small shapes of every kernel: what the sanitizer watches runs many times slower.
SANITIZED = compute-sanitizer --error-exitcode 9 --target-processes application-only \
	$(PYTHON) -m pytest -q -m gpu tests/torch_utils/native/test_gpu.py -k "not 96 and not 512"

export PYTHON PIP_OPTIONS

.DEFAULT_GOAL := help
.PHONY: help venv demo ops test test-portable test-slow lint kernels bench gpu-check lock clean clean-venv

help:  ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' Makefile
	@echo "Variables: PYTHON=python3.12  VENV=.venv  OUT=folder  PYTEST_ARGS='-k name'  PIP_OPTIONS=..."

venv: $(INSTALLED)  ## make .venv and install the pinned packages (only when they have changed)

$(INSTALLED): requirements.txt
	@tools/bootstrap.sh $(VENV)

demo: $(INSTALLED)  ## train a small steerable GAN on toy scenes on the CPU and show what it learnt
	@$(RUN) demo.py

ops: $(INSTALLED)  ## build the native operators (the first use does so, too)
	@$(RUN) -m torch_utils.ops build

test: ops  ## run the tests, but for those marked slow or gpu
	@$(PYTEST) -m "not slow and not gpu" $(PYTEST_ARGS)

test-portable: $(INSTALLED)  ## run the tests marked numeric as processors without AVX-512, and without AVX2, would
	@tools/test_portable.sh $(RUN) $(PYTEST_ARGS)

test-slow: ops  ## run the tests marked slow
	@$(PYTEST) -m "slow and not gpu" $(PYTEST_ARGS)

lint: $(INSTALLED)  ## check the code with ruff
	@$(RUN) -m ruff check .

kernels:  ## compile every .cu file with nvcc, where there is one (no GPU needed)
	@tools/compile_kernels.sh

bench: $(INSTALLED)  ## on the CPU: time training against plain StyleGAN2, see where time goes, time generating
	@mkdir -p $(OUT)
	@$(RUN) $(TRAIN_STEP) --batch 4 --device cpu --json $(OUT)/train_step_cpu.json
	@$(RUN) $(PROFILE) --batch 4 --device cpu --json $(OUT)/profile_cpu.json
	@$(RUN) $(INFERENCE) --device cpu --json $(OUT)/inference_cpu.json

# The machine's own Python and CUDA torch, no environment. Everything runs, even when something has failed before.
gpu-check:  ## on a GPU machine: build the operators, run the tests marked gpu, time everything
	@$(PYTHON) tools/gpu_preflight.py
	@mkdir -p $(OUT)
	@status=0; \
	$(PYTHON) -m torch_utils.ops build || status=$$?; \
	$(PYTHON) -m pytest -q -m gpu $(PYTEST_ARGS) || status=$$?; \
	if command -v compute-sanitizer > /dev/null; then $(SANITIZED) || status=$$?; \
	else echo "gpu-check: no compute-sanitizer here, memory accesses not checked"; fi; \
	$(PYTHON) -m benchmarks.ops --device cuda --dtype float32 --json $(OUT)/ops_float32.json || status=$$?; \
	$(PYTHON) -m benchmarks.ops --device cuda --dtype float16 --nhwc 1 --json $(OUT)/ops_float16.json || status=$$?; \
	$(PYTHON) $(TRAIN_STEP) --batch 16 --device cuda --json $(OUT)/train_step.json || status=$$?; \
	$(PYTHON) $(PROFILE) --batch 16 --device cuda --json $(OUT)/profile.json || status=$$?; \
	$(PYTHON) $(INFERENCE) --device cuda --json $(OUT)/inference.json || status=$$?; \
	exit $$status

lock:  ## resolve the ranges of pyproject.toml anew and pin them in requirements.txt
	@tools/lock.sh

clean:  ## remove caches and builds
	@find . -path ./$(VENV) -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +
	@rm -rf .pytest_cache .ruff_cache .hypothesis build dist *.egg-info

clean-venv:  ## remove .venv
	@rm -rf $(VENV)
