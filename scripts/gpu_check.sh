#!/usr/bin/env bash
# Everything that only a CUDA host can show, in one command. Writes scripts/bench/results/gpu_check.json.
#
#   scripts/gpu_check.sh                  all checks; needs torch >= 2.6, transformers 5.10 to 5.23
#   scripts/gpu_check.sh bf16 qlora       some of them
#   scripts/gpu_check.sh --shape tiny     the way of the 7B judge at a tiny shape, on any machine
#
# What cannot be run here is written "not run" with the reason, never passed. Exit code 1 where a
# check failed, 0 otherwise.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-.venv/bin/python}
[ -x "$python" ] || python=python3
export PYTHONPATH=$PWD${PYTHONPATH:+:$PYTHONPATH} TOKENIZERS_PARALLELISM=false
exec "$python" scripts/gpu_check.py "$@"
