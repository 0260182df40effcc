#!/usr/bin/env bash
# Runs the tests marked numeric with the processor held down to what older x86-64 processors have: PyTorch's own kernels
# (ATEN_CPU_CAPABILITY), oneDNN's (ONEDNN_MAX_CPU_ISA), MKL's (MKL_CBWR) and the native operators (STEERGAN_MARCH).
#
#   tools/test_portable.sh PYTHON [ARGUMENT OF PYTEST...]
set -euo pipefail
cd "$(dirname "$0")/.."

python=${1:?usage: tools/test_portable.sh PYTHON [ARGUMENT OF PYTEST...]}
shift

held_down() {
    echo "test-portable: $*" | sed 's/ -- .*//'
    local settings=()
    while [ "$1" != -- ]; do settings+=("$1"); shift; done
    shift
    env "${settings[@]}" "$python" -m torch_utils.ops build
    env "${settings[@]}" OMP_NUM_THREADS=1 "$python" -m pytest -q -n 2 --dist worksteal -m "numeric and not slow and not gpu" "$@"
}

has() { grep -qw "$1" /proc/cpuinfo; }

if [ "$(uname -sm)" != "Linux x86_64" ]; then
    echo "test-portable: nothing to hold down on $(uname -sm); make test is all there is"
    exit
fi
held_down STEERGAN_MARCH=x86-64-v2 ATEN_CPU_CAPABILITY=default ONEDNN_MAX_CPU_ISA=SSE41 MKL_CBWR=COMPATIBLE -- "$@"
if has avx2 && has avx512f; then
    held_down STEERGAN_MARCH=x86-64-v3 ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2 -- "$@"
else
    echo "test-portable: no AVX-512 here, so make test is the run with AVX2"
fi
