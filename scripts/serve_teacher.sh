#!/usr/bin/env bash
# Serves a large teacher with vLLM as an OpenAI-compatible endpoint, until it is stopped.
#
#   scripts/serve_teacher.sh [MODEL] [vllm serve options ...]
#
# vLLM has an environment of its own (its pins exclude ours):
#   python -m venv vllm-env && vllm-env/bin/pip install vllm && PATH=$PWD/vllm-env/bin:$PATH
# In the recipe:
#   big: {kind: openai, base_url: "http://HOST:8000/v1", model: MODEL, max_tokens: 200}
#
# Set by environment: PORT (8000), HOST (127.0.0.1), GPUS (all that nvidia-smi shows), CONTEXT (8192),
# LOGPROBS (128: most alternatives per token), VLLM_API_KEY (then give api_key_env in the recipe).
# The weights of a 70B model take about 140 GB in bfloat16, so: four 80 GB GPUs; two with 8-bit
# weights (FP8), one with 4-bit ones (AWQ).
set -euo pipefail

case "${1:-}" in -h | --help) sed -n '2,/^set/p' "$0" | sed '$d; s/^# \{0,1\}//'; exit 0 ;; esac
model=meta-llama/Llama-3.3-70B-Instruct
if [ $# -gt 0 ] && [ "${1#-}" = "$1" ]; then model=$1; shift; fi

if ! command -v vllm >/dev/null; then
  echo "vllm is not on the PATH. Type: python -m venv vllm-env && vllm-env/bin/pip install vllm" >&2
  exit 3
fi
gpus=${GPUS:-$(nvidia-smi --list-gpus 2>/dev/null | wc -l)}
if [ "$gpus" -lt 1 ]; then
  echo "no GPU was found (nvidia-smi lists none); set GPUS to override" >&2
  exit 3
fi

# --max-logprobs: signals ask for many alternatives, and vLLM's own limit is 20.
# --enable-prefix-caching: rows share the long head of their prompt.
# --generation-config vllm: the recipe's sampling settings hold, not those of the model's folder.
# --logprobs-mode raw_logprobs: at temperature 1, before penalties, as a signal needs them.
exec vllm serve "$model" \
  --served-model-name "$model" \
  --host "${HOST:-127.0.0.1}" --port "${PORT:-8000}" \
  --tensor-parallel-size "$gpus" \
  --max-model-len "${CONTEXT:-8192}" \
  --max-logprobs "${LOGPROBS:-128}" \
  --gpu-memory-utilization 0.92 \
  --enable-prefix-caching \
  --generation-config vllm \
  --logprobs-mode raw_logprobs \
  "$@"
