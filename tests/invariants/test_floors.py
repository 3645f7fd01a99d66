"""The house keeps its shape: imports point down the floors, files stay small, names stay honest."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FLOORS = [
    {"teachers", "distill.errors", "distill.progress"},
    {"distill.recipe", "distill.rows", "distill.signals", "distill.measure"},
    {"distill.judge", "distill.losses", "distill.report"},
    {
        "distill.generate", "distill.filters", "distill.split", "distill.review", "distill.capture",
        "distill.train", "distill.evaluate", "distill.export", "distill.inspect", "distill.plan",
    },
    {"distill.run"},
    {"distill.cli"},
]  # fmt: skip
ROOMS = ("rows", "models", "review", "train", "signals", "evaluate", "export", "judge", "plan")
"""Of distill.run, in the order in which they may use each other."""
FLOOR_OF = {unit: floor for floor, units in enumerate(FLOORS) for unit in units}
SOURCES = sorted([*ROOT.glob("distill/**/*.py"), *ROOT.glob("teachers/**/*.py")])
ENTRANCES = {"distill", "distill.__main__"}


def unit_of(module: str) -> str:
    parts = module.split(".")
    return parts[0] if parts[0] == "teachers" else ".".join(parts[:2])


def imports_of(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found.add(node.module)
    return {name for name in found if name.split(".")[0] in ("distill", "teachers")}


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@pytest.mark.parametrize("path", SOURCES, ids=module_of)
def test_an_import_points_down(path):
    """A module imports its own unit and units of lower floors, nothing else."""
    here = unit_of(module_of(path))
    if module_of(path) in ENTRANCES:
        return
    for name in imports_of(path):
        unit = unit_of(name)
        if unit != here and name != "distill":
            assert FLOOR_OF[unit] < FLOOR_OF[here], f"{here} imports {unit}"


@pytest.mark.parametrize("path", sorted(ROOT.glob("distill/run/*/*.py")), ids=module_of)
def test_a_room_of_the_run_uses_rooms_before_it(path):
    """`evaluate` may use `train`, never the other way round; `on_ray` uses none."""
    room = path.parent.name
    before = ROOMS[: ROOMS.index(room) + 1] if room != "on_ray" else ("on_ray",)
    for name in imports_of(path):
        other = (name.split(".") + [""] * 3)[2]
        if name.startswith("distill.run.") and other in (*ROOMS, "on_ray"):
            assert other in before, f"{room} imports {name}"


def test_every_unit_has_a_floor():
    """A new folder has to be put on a floor, here and in ARCHITECTURE.md."""
    units = {unit_of(module_of(path)) for path in SOURCES} - ENTRANCES
    assert units <= set(FLOOR_OF)


@pytest.mark.parametrize(
    "path",
    [*SOURCES, *sorted(ROOT.glob("tests/**/*.py")), *sorted(ROOT.glob("scripts/*.py"))],
    ids=str,
)
def test_files_stay_small(path):
    """No file is over 600 lines."""
    assert len(path.read_text().splitlines()) <= 600


@pytest.mark.parametrize("path", SOURCES, ids=module_of)
def test_functions_stay_small(path):
    """No function is over 80 lines."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno - node.lineno < 80, f"{node.name} at line {node.lineno}"


def test_no_drawer_for_everything():
    """No module is named utils, common, helpers, base or misc."""
    names = {path.stem for path in SOURCES}
    assert not names & {"utils", "common", "helpers", "base", "misc"}


def test_only_the_run_builds_teachers():
    """Only distill.run imports the builder of teachers and the gateway."""
    for path in SOURCES:
        module = module_of(path)
        if module.startswith("distill.") and not module.startswith("distill.run"):
            assert not imports_of(path) & {"teachers.build", "teachers.gateway"}, module


def test_only_one_place_imports_ray():
    """Everything else works without the extra, and would work on another engine."""
    for path in SOURCES:
        names = {
            name
            for node in ast.walk(ast.parse(path.read_text()))
            for name in (
                [alias.name for alias in node.names]
                if isinstance(node, ast.Import)
                else [node.module or ""]
                if isinstance(node, ast.ImportFrom)
                else []
            )
        }
        if any(name.split(".")[0] == "ray" for name in names):
            assert module_of(path).startswith("distill.run.on_ray."), path


HEAVY = {"torch", "transformers", "deepspeed", "datasets", "openai", "aiohttp", "plotly", "pyarrow"}


@pytest.mark.parametrize(
    "command",
    [
        "import distill.cli.main",
        "import teachers, teachers.config",
        "from distill.recipe.load import load_recipe",
    ],
)
def test_light_imports_stay_light(command):
    """The command line, the recipe and the teachers' package load nothing heavy."""
    code = f"import sys; {command}; print(sorted(set(sys.modules) & {HEAVY!r}))"
    loaded = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        cwd=ROOT,
    )
    assert loaded.stdout.strip() == "[]"


def test_check_loads_no_torch():
    """`distill check` of the quickstart imports neither torch nor transformers nor deepspeed."""
    code = (
        "import sys; from distill.cli.main import main\n"
        "try: main(['check', 'quickstart', '--quiet'])\n"
        "except SystemExit as stop: assert not stop.code, stop.code\n"
        "print(sorted(set(sys.modules) & {'torch', 'transformers', 'deepspeed'}))"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        cwd=ROOT,
    )
    assert loaded.stdout.strip() == "[]"


def test_architecture_lists_the_floors():
    """ARCHITECTURE.md names every unit that exists."""
    text = (ROOT / "ARCHITECTURE.md").read_text()
    units = {unit_of(module_of(path)) for path in SOURCES} - ENTRANCES
    missing = {unit for unit in units if unit.replace(".", "/") not in text}
    assert not missing


def test_no_machine_paths():
    """No tracked file holds a path of one machine."""
    pattern = re.compile(r"(?<![\w/])/(?:home|root|Users|tmp)/[A-Za-z]")
    files = subprocess.run(
        ["git", "ls-files", "-z"], capture_output=True, text=True, cwd=ROOT, check=False
    )
    for name in filter(None, files.stdout.split("\0")):
        path = ROOT / name
        if path.suffix in {".py", ".md", ".yaml", ".toml", ".json", ".txt", ""} and path.is_file():
            assert not pattern.search(path.read_text(errors="replace")), name
