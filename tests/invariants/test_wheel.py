"""The wheel holds what a stranger needs."""

import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_wheel_holds_recipes_and_package_data(tmp_path):
    """Recipes, templates, prices and type marks travel; tests and scripts do not."""
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, timeout=120, capture_output=True)
    [wheel] = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    for wanted in (
        "distill/_recipes/quickstart.yaml",
        "distill/_recipes/quickstart/teacher.yaml",
        "distill/_recipes/quickstart/gold.jsonl",
        "distill/_recipes/schema.json",
        "distill/py.typed",
        "teachers/prices.yaml",
        "teachers/scripted/__main__.py",
    ):
        assert wanted in names
    assert any(name.startswith("distill/report/templates/") for name in names)
    assert not [name for name in names if name.startswith(("tests/", "scripts/", "recipes/"))]
