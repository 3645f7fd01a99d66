#!/usr/bin/env bash
# Installs a wheel and a source distribution of this tree into empty environments and uses them as a
# stranger would: the base install, then each extra in an environment of its own. What an extra is
# for must end with exit code 3 and the line to type without it, and work with it.
# Usage: scripts/check_wheel.sh [FOLDER [EXTRA ...]]   takes some minutes; nothing outside FOLDER is touched
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
work=$(mkdir -p "${1:-/tmp/check-wheel}" && cd "${1:-/tmp/check-wheel}" && pwd)
extras=("${@:2}")
[ ${#extras[@]} -gt 0 ] || extras=(evaluate hub lang semantic review ray train lm-eval)
python=${PYTHON:-python3}
pip="-m pip --quiet --disable-pip-version-check"
cd "$work"

"$python" -m venv build && build/bin/python $pip install "hatchling>=1.27"
(cd "$root" && "$work/build/bin/python" -m hatchling build -d "$work/dist")
wheel=$(ls "$work"/dist/*.whl)

echo "== base install, from the source distribution and from the wheel"
"$python" -m venv sdist && sdist/bin/python $pip install "$work"/dist/*.tar.gz && sdist/bin/distill --version
"$python" -m venv base && base/bin/python $pip install "$wheel"
count=$(base/bin/python -m pip list --format freeze | grep -cvE '^(pip|setuptools|wheel|distill-kit)=')
echo "$count packages beside distill-kit"
[ "$count" -le 45 ] || { echo "more than 45"; exit 1; }
rm -rf rows && mkdir rows && cd rows
printf 'text\nthe bill is wrong\nit crashes when I click\nthe bill is late\n' > pool.csv
recipe() { # NAME [more lines]: one that labels the pool
  cat > "$1.yaml" <<RECIPE
version: 1
name: $1
teachers: {t: {kind: scripted}}
task: {kind: classify, labels: [bill, crashes]}
data: {pool: pool.csv}
generate: {strategy: label_pool, ask: t}
${2:-}
RECIPE
}
recipe label
recipe lang 'filter: [{language: {languages: [en], min: 0.01}}]'
recipe semantic 'filter: [{semantic_duplicate: {model: words, similarity: 0.99}}]'
recipe ray 'run: {engine: ray}'
../base/bin/distill recipes
../base/bin/distill check label.yaml
../base/bin/distill generate label.yaml --quiet && wc -l runs/label/dataset/train.jsonl
PATH="$work/base/bin:$PATH" ../base/bin/python -m distill --show-completion bash | grep -q _DISTILL_COMPLETE
echo "shell completion is there"

use() { # EXTRA DISTILL: what the extra is for
  case $1 in
    evaluate) "$2" inspect pool.csv --out pool.html ;;
    hub) HF_HUB_OFFLINE=1 "$2" generate label.yaml --push nobody/rows ;;
    lang | semantic | ray) "$2" generate "$1.yaml" --quiet ;;
    review) "$2" review export runs/label --to pack.xlsx --format xlsx ;;
    train | lm-eval) "$2" run quickstart --yes ;;
  esac
}
for extra in "${extras[@]}"; do
  echo "== [$extra]"
  if [ "$extra" != lm-eval ]; then
    code=0; said=$(use "$extra" ../base/bin/distill 2>&1) || code=$?
    [ "$code" = 3 ] && grep -qF "distill-kit[" <<< "$said" || { echo "without it: exit $code, $said"; exit 1; }
    echo "without it: $(grep -oE "pip install '?distill-kit\[[a-z,-]*\]" <<< "$said" | head -1)'"
  fi
  wanted=$extra
  [ "$extra" != train ] || wanted=train,evaluate
  [ "$extra" != lm-eval ] || wanted=train,evaluate,lm-eval
  "$python" -m venv "../$extra" && "../$extra/bin/python" $pip install -c "$root/constraints.txt" "$wheel[$wanted]"
  case $extra in
    semantic) "../$extra/bin/python" - <<'MODEL'
import numpy as np
from model2vec import StaticModel
from tokenizers import Tokenizer, models, pre_tokenizers

words = ["[UNK]", "the", "bill", "is", "wrong", "it", "crashes", "when", "I", "click", "late"]
tokenizer = Tokenizer(models.WordLevel({word: at for at, word in enumerate(words)}, "[UNK]"))
tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
StaticModel(np.eye(len(words), dtype=np.float32), tokenizer).save_pretrained("words")
MODEL
      use "$extra" "../$extra/bin/distill" ;;
    hub) # the hub cannot be reached here: what is said must be about that, not about a package
      code=0; said=$(use "$extra" "../$extra/bin/distill" 2>&1) || code=$?
      [ "$code" != 0 ] && ! grep -qF "distill-kit[" <<< "$said" || { echo "with it: exit $code, $said"; exit 1; } ;;
    lm-eval) "../$extra/bin/python" $pip install pytest -c "$root/constraints.txt"
      (cd "$root" && "$work/$extra/bin/python" -m pytest -q -p no:cacheprovider tests/run/test_lm_eval.py) ;;
    *) use "$extra" "../$extra/bin/distill" ;;
  esac
  echo "with it: it works"
done
echo "the wheel works"
