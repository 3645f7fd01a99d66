"""The command itself: flags anywhere, help, exit codes, and what is imported."""

import json
import subprocess
import sys

import pytest

HEAVY = ("torch", "transformers", "deepspeed", "datasets", "openai", "pyarrow", "sklearn")


def imported(project, code, cwd):
    """Which heavy packages a piece of code has imported in a process of its own."""
    code += f"\nimport sys; print([name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=cwd,
        env={"PYTHONPATH": str(project.ROOT), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1].replace("'", '"'))


def test_help_imports_nothing_heavy(project, tmp_path):
    """Neither the help text nor listing recipes waits for a heavy package."""
    code = "import contextlib\nfrom distill.cli.main import main\n"
    for args in (["--help"], ["recipes"]):
        code += f"with contextlib.suppress(SystemExit): main({args!r})\n"
    assert imported(project, code, tmp_path) == []


def test_a_dataset_is_made_without_torch(project, tmp_path):
    """`check` and `generate` with a remote teacher need the base install only."""
    with project.served() as server:
        project.write_project(tmp_path, rows=4, student=True, teacher=server.teacher())
        code = "import contextlib\nfrom distill.cli.main import main\n"
        for name in ("check", "generate"):
            code += f"with contextlib.suppress(SystemExit): main([{name!r}, 'recipe.yaml'])\n"
        found = imported(project, code, tmp_path)
    assert (tmp_path / "runs/tiny/dataset/train.jsonl").is_file()
    assert found == ["pyarrow"]


def test_python_m_distill(project, tmp_path):
    """The module is the command; off a terminal nothing is coloured, and the table is plain."""
    said = project.finish(project.start("recipes", cwd=tmp_path))
    assert said.code == 0
    assert "quickstart" in said.out
    assert "\x1b" not in said.out + said.err
    assert said.err == ""


@pytest.mark.parametrize("args", [["--json", "status", "tiny"], ["status", "tiny", "--json"]])
def test_json_before_and_after_the_command(made, project, args):
    """stdout is exactly one JSON object, wherever the flag stands."""
    assert project.command(*args).json["name"] == "tiny"


def test_quiet_prints_nothing_on_success(made, project):
    """Neither progress nor results."""
    said = project.command("run", "recipe.yaml", "--quiet")
    assert (said.code, said.out, said.err) == (0, "", "")


def test_progress_goes_to_stderr_in_plain_lines(project, workdir):
    """stdout holds the result only."""
    said = project.command("run", project.write_project(workdir))
    assert "generate: 40/40" in said.err
    assert "generate:" not in said.out
    assert said.out.rstrip().endswith("report: runs/tiny/report.html")
    assert "\x1b" not in said.out + said.err


def test_version_and_bare_call(project):
    """--version prints it, with --json as an object; a bare call prints the help."""
    version = project.command("--version").out.strip()
    assert project.command("--json", "--version").json == {"version": version}
    bare = project.command()
    assert bare.code == 0
    assert bare.out == project.command("--help").out


@pytest.mark.parametrize(
    ("args", "found"),
    [
        (["nosuch"], "No such command 'nosuch'"),
        (["run"], "Missing argument 'RECIPE'"),
        (["run", "quickstart", "--nosuch"], "No such option: --nosuch"),
        (["train", "quickstart", "--num-processes", "0"], "Invalid value for '--num-processes'"),
        (["train", "quickstart", "--hostfile", "h", "--num-processes", "2"], "beside --hostfile"),
    ],
)
def test_a_wrong_call_is_one_line(project, workdir, args, found):
    """Usage errors exit with 2, one line on stderr, or the JSON object on stdout."""
    said = project.command(*args)
    assert (said.code, said.out) == (2, "")
    [line] = said.err.splitlines()
    assert line.startswith("error: ")
    assert found in line
    told = project.command("--json", *args)
    assert (told.code, told.err) == (2, "")
    assert told.json["error"]["kind"] == "usage"
    assert found in told.json["error"]["message"]


def test_what_libraries_print_stays_out_of_the_json(project, workdir):
    """A custom teacher that prints does not break the one object on stdout."""
    (workdir / "chatty.py").write_text(
        "from teachers import ScriptedTeacher\n"
        "from teachers.scripted import ScriptedAdapter\n"
        "def make(name, options):\n"
        "    print('hello from a library')\n"
        "    return ScriptedAdapter(ScriptedTeacher(kind='scripted'), name)\n"
    )
    teacher = {"kind": "custom", "factory": "chatty:make"}
    recipe = project.write_project(workdir, rows=4, teacher=teacher)
    said = project.finish(project.start("run", recipe, "--json", cwd=workdir))
    assert said.json["rows"][0]["accepted"] == 4
    assert "hello from a library" in said.err


def test_a_fault_of_ours_has_a_traceback_with_debug_only(project, workdir):
    """An unexpected error is one line that says what to do; --debug shows where it happened."""
    for name in ("lock.json", "report.json"):
        (workdir / name).write_text("{}")  # nothing of ours ever writes such a report
    plain, debug = project.command("report", "."), project.command("--debug", "report", ".")
    assert plain.code == debug.code == 1
    assert plain.err.startswith("error: unexpected KeyError")
    assert "--debug" in plain.err
    assert "Traceback" not in plain.err
    assert "Traceback" in debug.err
