#!/usr/bin/env bash
# Compiles every tracked .cu file with nvcc, to nothing: a check that needs no GPU and no CUDA build of torch.
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
        -c "$file" -o "$work/kernel.o"
    count=$((count + 1))
done < <(git ls-files -z '*.cu')
echo "kernels: $count compiled"
