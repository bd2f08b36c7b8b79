#!/bin/bash
# Measures a machine with an NVIDIA GPU: both spaces on batch 1, 32 and 256, fp32 and bf16, eager and CUDA graphs.
#
#     experiments/measure_gpu.sh OUT NETWORKS_NASBENCH201 NETWORKS_FBNET SECONDS
#
# The same command again continues; `experiments/make_bundled.py` makes the bundled tables of OUT.
set -euo pipefail
out=$1 until=$((SECONDS + $4))
platforms=()
for backend in torch-cuda cuda-graphs; do
    for precision in fp32 bf16; do
        for batch in 1 32 256; do platforms+=(--platform "${backend}_${precision}_t1_b$batch"); done
    done
done
workbench=(python3 -c "from workbench.cli import main; main()")
for drawn in "nasbench201 $2" "fbnet $3"; do
    read -r space networks <<<"$drawn"
    # One short pass: on a GPU single runs spread little, and what the references distrust is measured again.
    if ((networks)); then
        "${workbench[@]}" profile --space "$space" --archs "$networks" "${platforms[@]}" --passes 1 --seconds 0.05 \
            --budget "$((until - SECONDS))" --out "$out"
    fi
done
