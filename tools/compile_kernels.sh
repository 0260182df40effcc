#!/usr/bin/env bash
# Compiles every tracked .cu file with nvcc, to nothing: a check that needs no GPU and no CUDA build of torch.
# Prints the registers of the hot kernels, and fails where one of them spills.
set -euo pipefail
cd "$(dirname "$0")/.."

if ! command -v nvcc > /dev/null; then
    echo "kernels: no nvcc here, nothing compiled"
    exit 0
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
count=0
while IFS= read -r -d '' file; do
    echo "nvcc $file"
    nvcc -std=c++17 -O3 -gencode arch=compute_80,code=sm_80 -gencode arch=compute_90,code=sm_90 \
        -Xptxas -v -c "$file" -o "$work/kernel.o" 2> "$work/log" || { cat "$work/log" >&2; exit 1; }
    c++filt < "$work/log" | "${PYTHON:-python3}" tools/ptxas_report.py
    count=$((count + 1))
done < <(git ls-files -z '*.cu')
echo "kernels: $count compiled"
