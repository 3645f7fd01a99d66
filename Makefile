# Every target does the set-up it needs; a second call reuses .venv and starts at once.
PY := .venv/bin/python
# One process a core, one thread each: tiny models gain nothing from more.
# Longest files first (tests/conftest.py); byte code is kept, whatever the shell says of it.
TEST := HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE= \
	$(PY) -m pytest -q -n auto --dist loadfile --no-loadscope-reorder
.DEFAULT_GOAL := help
.PHONY: help demo test real check fix docs bench

help:    ## list the targets
	@grep -hE '^[a-z]+: .*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*##/:/' | column -t -s:

demo: .venv/ready ## the main job on the embedded default: distil a tiny ticket classifier
	.venv/bin/distill run quickstart --yes

test: .venv/ready ## the test suite without the real inputs (SLOW=1 for the long ones too)
	$(TEST) --ignore=tests/real $(if $(SLOW),,-m "not slow")

real: .venv/ready ## the checks on real models and datasets (SLOW=1 for the long ones)
	$(TEST) tests/real $(if $(SLOW),,-m "not slow")

check: .venv/ready ## format, lint and types
	.venv/bin/ruff format --check . && .venv/bin/ruff check . && .venv/bin/mypy

fix: .venv/ready ## format and lint, mending what can be mended
	.venv/bin/ruff format . && .venv/bin/ruff check --fix .

docs: .venv/ready ## write the generated files: schemas, docs/commands.md, docs/recipe.md, tables of README.md
	$(PY) scripts/generate_docs.py

bench: .venv/ready ## speed and memory beside the peers (LONG=1 for more; NAMES="cache filters" for some)
	$(PY) scripts/bench/all.py $(if $(LONG),--long) $(NAMES)

.venv/ready: pyproject.toml constraints.txt scripts/bootstrap
	scripts/bootstrap
