#!/usr/bin/env bash
# Half an hour at 200 requests in flight, with random kills and a full disk in the middle: no paid
# answer may be lost, and the dataset must be that of an undisturbed run. Not run by CI.
#
#   scripts/soak.sh [--minutes 30] [--kills N] [--seed N]
#
# Needs a checkout with .venv. As root the disk is a tmpfs of its own that is filled up; without, the
# size of files is limited instead (said in the result). Writes scripts/bench/results/soak.json.
set -euo pipefail
cd "$(dirname "$0")/.."
exec .venv/bin/python scripts/soak.py "$@"
