#!/usr/bin/env bash
# Installs a wheel of this tree into two empty environments and uses it as a stranger would:
# the base install (recipes, check, generate with the scripted teacher, quickstart refused with exit
# code 3 and the line to type), and [train,evaluate] (the quickstart, in an empty folder).
# Usage: scripts/check_wheel.sh [FOLDER]     takes some minutes; nothing outside FOLDER is touched
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
work=${1:-$(mktemp -d)}
python=${PYTHON:-python3}
mkdir -p "$work" && cd "$work"
pip="-m pip --quiet --disable-pip-version-check"

"$python" -m venv build && build/bin/python $pip install "hatchling>=1.27"
(cd "$root" && "$work/build/bin/python" -m hatchling build -t wheel -d "$work/dist")
wheel=$(ls dist/*.whl)

echo "== base install"
"$python" -m venv base && base/bin/python $pip install "$wheel"
count=$(base/bin/python -m pip list --format freeze | grep -cvE '^(pip|setuptools|wheel|distill-kit)=')
echo "$count packages beside distill-kit"
[ "$count" -le 45 ] || { echo "more than 45"; exit 1; }
mkdir -p base-run && cd base-run
../base/bin/distill recipes
printf 'text\nthe bill is wrong\nit crashes when I click\n' > pool.csv
cat > label.yaml <<'RECIPE'
version: 1
name: label
teachers: {t: {kind: scripted}}
task: {kind: classify, labels: [bill, crashes]}
data: {pool: pool.csv}
generate: {strategy: label_pool, ask: t}
RECIPE
../base/bin/distill check label.yaml
../base/bin/distill generate label.yaml --quiet && wc -l runs/label/dataset/train.jsonl
code=0; ../base/bin/distill run quickstart || code=$?
[ "$code" = 3 ] || { echo "quickstart ended with $code, not 3"; exit 1; }
cd ..

echo "== with [train,evaluate]"
"$python" -m venv full && full/bin/python $pip install -c "$root/constraints.txt" "$wheel[train,evaluate]"
mkdir -p full-run && cd full-run
time ../full/bin/distill run quickstart
echo "the wheel works"
