#!/bin/bash
# Measures a machine with an NVIDIA GPU: both spaces as CUDA graphs with batch 1, 32 and 256 in fp32 and bf16, and eager.
#
#     experiments/measure_gpu.sh OUT NASBENCH201_NETWORKS NASBENCH201_SECONDS FBNET_NETWORKS FBNET_SECONDS
#
# Begins no network of a space after its seconds; the same command again continues. `experiments/make_bundled.py` makes
# the bundled tables of OUT.
set -euo pipefail
out=$1
platforms=()
for precision in fp32 bf16; do
    for batch in 1 32 256; do platforms+=(--platform "cuda-graphs_${precision}_t1_b$batch"); done
done
# Eager is bound by the host, which dispatches operators at the same pace whatever the batch: three ways are enough.
for eager in fp32_t1_b1 bf16_t1_b1 fp32_t1_b256; do platforms+=(--platform "torch-cuda_$eager"); done

measure() { # SPACE NETWORKS SECONDS
    # One short pass: on a GPU runs spread little, and what the references distrust is measured again.
    python3 -c "from workbench.cli import main; main()" profile --space "$1" --archs "$2" "${platforms[@]}" \
        --passes 1 --seconds 0.05 --budget "$3" --out "$out"
}
measure nasbench201 "$2" "$3"
measure fbnet "$4" "$5"
