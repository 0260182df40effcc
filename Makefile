# SteerGAN: `make` lists what there is to make.

PYTHON ?= python3
VENV ?= .venv
OUT ?= benchmarks/results
PYTEST_ARGS ?=
BENCH_ARGS ?=

INSTALLED := $(VENV)/.installed
RUN := $(VENV)/bin/python
# Two processes of one thread each: torch's own threads would fight over the cores.
PYTEST := OMP_NUM_THREADS=1 $(RUN) -m pytest -q -n 2 --dist worksteal
TRAIN_STEP := -m benchmarks.train_step --res 256 --method spatialgan --vs stylegan2
PROFILE := -m benchmarks.profile --res 256 --method stylegan2
INFERENCE := -m benchmarks.inference --res 256 --method stylegan2
ON_CPU = --device cpu $(BENCH_ARGS) --json $(OUT)/cpu
# The machine's own Python and CUDA torch, and what gpu_preflight.py put beside it. A part has ten minutes.
GPU_RUN := PYTHONPATH=build/gpu-packages timeout --kill-after=10
# Small shapes of every kernel: what the sanitizer watches runs many times slower. Without PyTorch's own allocator, so
# that what lies beyond a tensor is nobody's; PyTorch probes for features by calls that fail, which is no error.
SANITIZER := PYTORCH_NO_CUDA_MEMORY_CACHING=1 $(GPU_RUN) 590 compute-sanitizer --error-exitcode 9 \
	--target-processes application-only --report-api-errors no
# Others import packages that a GPU machine may lack.
GPU_TESTS = $(shell grep -rl 'mark\.gpu' tests --include='test_*.py')
SANITIZED := tests/torch_utils/native/test_gpu.py -k "not 96 and not 512"

export PYTHON PIP_OPTIONS

.DEFAULT_GOAL := help
GPU_PARTS := build tests ops bench sanitizer

.PHONY: help venv demo editor ops test test-portable test-slow lint kernels bench lock clean clean-venv
.PHONY: gpu-check gpu-check-ready $(GPU_PARTS:%=gpu-check-%)

help:  ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-19s %s\n", $$1, $$2}' Makefile
	@echo "Variables: PYTHON=python3.12  VENV=.venv  OUT=folder  PYTEST_ARGS='-k name'  PIP_OPTIONS=...  WHEELS=folder"

venv: $(INSTALLED)  ## make .venv and install the pinned packages (only when they have changed)

$(INSTALLED): requirements.txt
	@tools/bootstrap.sh $(VENV)

demo: $(INSTALLED)  ## train a small steerable GAN on toy scenes on the CPU and show what it learnt
	@$(RUN) demo.py

editor: $(INSTALLED)  ## drag what a model that comes with the project draws about, in the browser
	@$(RUN) edit.py --network=models/smileys64.safetensors

ops: $(INSTALLED)  ## build the native operators (the first use does so, too)
	@$(RUN) -m torch_utils.ops build

test: ops  ## run the tests, but for those marked slow or gpu
	@$(PYTEST) -m "not slow and not gpu" $(PYTEST_ARGS)

test-portable: $(INSTALLED)  ## run the tests marked numeric as processors without AVX-512, and without AVX2, would
	@tools/test_portable.sh $(RUN) $(PYTEST_ARGS)

test-slow: ops  ## run the tests marked slow
	@$(PYTEST) -m "slow and not gpu" $(PYTEST_ARGS)

lint: $(INSTALLED)  ## check the code with ruff and the types with mypy
	@$(RUN) -m ruff check .
	@$(RUN) -m mypy

kernels:  ## compile every .cu file with nvcc, where there is one (no GPU needed)
	@tools/compile_kernels.sh

bench: $(INSTALLED)  ## on the CPU: measure everything that README and docs cite; an hour and a half or more (BENCH_ARGS=--quick: a try)
	@mkdir -p $(OUT)/cpu
	@$(RUN) $(TRAIN_STEP) $(ON_CPU)/train_step_spatialgan.json
	@$(RUN) $(subst spatialgan,spatialgan-indoor,$(TRAIN_STEP)) $(ON_CPU)/train_step_spatialgan_indoor.json
	@$(RUN) $(subst spatialgan,eqgan-sa,$(TRAIN_STEP)) $(ON_CPU)/train_step_eqgan_sa.json
	@$(RUN) -m benchmarks.train_step --res 256 --method stylegan2 --vs-ops reference $(ON_CPU)/train_step_vs_reference.json
	@$(RUN) $(INFERENCE) --batches 1,4 $(ON_CPU)/inference.json
	@$(RUN) $(INFERENCE) --batches 4 --vs-ops reference $(ON_CPU)/inference_vs_reference.json
	@$(RUN) $(PROFILE) $(ON_CPU)/profile.json
	@$(RUN) -m benchmarks.ops $(ON_CPU)/ops.json
	@$(RUN) -m benchmarks.data $(ON_CPU)/data.json
	@$(RUN) -m benchmarks.metrics $(ON_CPU)/metrics.json
	@$(RUN) -m benchmarks.checkpoint $(ON_CPU)/checkpoint.json
	@$(RUN) -m benchmarks.crash --wait-every 1 --longest 60 $(if $(BENCH_ARGS),$(BENCH_ARGS),--kills 100) --json $(OUT)/cpu/crash.json
	@! $(RUN) -m benchmarks.editor_process || $(RUN) -m benchmarks.editor $(BENCH_ARGS) --json $(OUT)/cpu/editor.json
	@$(RUN) -m benchmarks.editor_memory $(BENCH_ARGS) --json $(OUT)/cpu/editor_memory.json
	@$(RUN) -m benchmarks.drag $(ON_CPU)/drag.json
	@$(RUN) -m benchmarks.figures

# Everything runs, even when something has failed before.
gpu-check: gpu-check-ready  ## on a GPU machine: all of the following; WHEELS=folder brings packages it lacks
	@status=0; for part in $(GPU_PARTS); do $(MAKE) --no-print-directory gpu-check-$$part || status=$$?; done; exit $$status

gpu-check-ready:
	@$(PYTHON) tools/gpu_preflight.py $(if $(WHEELS),--wheels "$(WHEELS)")
	@mkdir -p $(OUT)

gpu-check-build: gpu-check-ready  ## build the operators for the GPU that is here
	@$(GPU_RUN) 600 $(PYTHON) -m torch_utils.ops build

gpu-check-tests: gpu-check-ready  ## run the tests marked gpu
	@$(GPU_RUN) 600 $(PYTHON) -m pytest -q -m gpu $(GPU_TESTS) $(PYTEST_ARGS)

gpu-check-ops: gpu-check-ready  ## time every operator
	@$(GPU_RUN) 290 $(PYTHON) -m benchmarks.ops --device cuda --dtype float32 --json $(OUT)/ops_float32.json
	@$(GPU_RUN) 290 $(PYTHON) -m benchmarks.ops --device cuda --dtype float16 --nhwc 1 --json $(OUT)/ops_float16.json

gpu-check-bench: gpu-check-ready  ## time training and generating
	@$(GPU_RUN) 190 $(PYTHON) $(TRAIN_STEP) --batch 16 --device cuda --json $(OUT)/train_step.json
	@$(GPU_RUN) 190 $(PYTHON) $(PROFILE) --batch 16 --device cuda --json $(OUT)/profile.json
	@$(GPU_RUN) 190 $(PYTHON) $(INFERENCE) --device cuda --json $(OUT)/inference.json

gpu-check-sanitizer: gpu-check-ready  ## watch the memory accesses of the kernels, where there is a compute-sanitizer
	@if command -v compute-sanitizer > /dev/null; then $(SANITIZER) $(PYTHON) -m pytest -q -m gpu $(SANITIZED); \
	else echo "gpu-check: no compute-sanitizer here, memory accesses not checked"; fi

lock:  ## resolve the ranges of pyproject.toml anew and pin them in requirements.txt
	@tools/lock.sh

clean:  ## remove caches and builds
	@find . -path ./$(VENV) -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +
	@rm -rf .pytest_cache .ruff_cache .hypothesis build dist *.egg-info

clean-venv:  ## remove .venv
	@rm -rf $(VENV)
