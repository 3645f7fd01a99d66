"""The entry point: global flags, exit codes and the last word on errors. Imports nothing heavy."""

import sys
import traceback
import warnings
from collections.abc import Sequence

import typer

from distill import __version__
from distill.cli import (
    advise,
    compare,
    deduplicate,
    init,
    inspect,
    judge,
    logits,
    losses,
    plan,
    predict,
    recipe,
    review,
    run,
    runs,
)
from distill.cli.output import Output, take_flags
from distill.errors import DistillError, Problem

GROUPS = (
    recipe,
    run,
    runs,
    plan,
    predict,
    compare,
    inspect,
    deduplicate,
    losses,
    logits,
    judge,
    advise,
    init,
    review,
)
INTERRUPTED = 130
EPILOG = "Every command takes --json, --quiet and --debug, before or after its name."


def main(argv: Sequence[str] | None = None) -> None:
    """Runs the command line and exits with its code."""
    output, args = take_flags(sys.argv[1:] if argv is None else list(argv))
    sys.exit(call(build_app(), args, output))


def build_app() -> typer.Typer:
    """The application with all its commands."""
    app = typer.Typer(
        name="distill",
        help="Turn an expensive large language model into a cheap one that a team can trust.",
        epilog=EPILOG,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback(invoke_without_command=True)(_global_options)
    for group in GROUPS:
        group.register(app)
    return app


def _global_options(
    context: typer.Context,
    version: bool = typer.Option(False, "--version", help="Print the version and exit."),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON object on stdout."),
    quiet: bool = typer.Option(False, "--quiet", help="Print errors only."),
    debug: bool = typer.Option(False, "--debug", help="Show tracebacks."),
) -> None:
    # The three flags are for the help text; take_flags has taken them already.
    output: Output = context.obj
    if version:
        output.result({"version": __version__}, __version__)
        raise typer.Exit
    if context.invoked_subcommand is None:
        print(context.get_help())
        raise typer.Exit


def call(app: typer.Typer, args: Sequence[str], output: Output) -> int:
    """Runs one command and returns its exit code; every error ends here."""
    try:
        with output.own_stdout(), warnings.catch_warnings():
            if not output.debug:
                warnings.simplefilter("ignore")  # of libraries, about themselves
            code = app(args=list(args), standalone_mode=False, obj=output, prog_name="distill")
        # The parser turns an interrupt into this code.
        if code == INTERRUPTED:
            return _interrupted(output)
        return code if isinstance(code, int) else 0
    except DistillError as error:
        if output.debug:
            traceback.print_exc()
        output.error(error)
        return error.exit_code
    except (KeyboardInterrupt, typer.Abort):
        return _interrupted(output)
    except Exception as error:
        return _unexpected(error, output)


def _interrupted(output: Output) -> int:
    found, fix = "interrupted; everything answered so far is stored", "Run the same command again."
    output.problems("interrupted", f"{found}. {fix}", [Problem(found=found, fix=fix)])
    return INTERRUPTED


def _unexpected(error: Exception, output: Output) -> int:
    """Usage errors of the command line's own parser, and faults of ours."""
    if output.debug:
        traceback.print_exc()
    format_message = getattr(error, "format_message", None)
    if format_message is not None:
        command = getattr(getattr(error, "ctx", None), "command_path", "distill")
        problem = Problem(found=format_message().rstrip("."), fix=f"See: {command} --help")
        output.problems("usage", format_message(), [problem])
        return int(getattr(error, "exit_code", 2))
    message = f"unexpected {type(error).__name__}: {error}"
    output.problems(
        "internal",
        message,
        [Problem(found=message, fix="Run it again with --debug and report it.")],
    )
    return 1


if __name__ == "__main__":
    main()
