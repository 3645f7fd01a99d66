"""`python -m teachers.scripted --port P`: the scripted teacher over HTTP, until SIGTERM."""

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from teachers.config import ScriptedTeacher
from teachers.scripted.server import Faults, serve


def main(argv: Sequence[str] | None = None) -> int:
    """Serve by the command line and return the exit code."""
    options = _parser().parse_args(argv)
    try:
        config = _config(options)
        faults = _faults(options)
    except (OSError, ValueError, yaml.YAMLError, KeyError) as exc:
        print(f"python -m teachers.scripted: {_plain(exc)}", file=sys.stderr)
        return 2
    try:
        asyncio.run(_until_stopped(config, faults, options.port))
    except OSError as exc:
        print(f"python -m teachers.scripted: port {options.port}: {exc.strerror}", file=sys.stderr)
        return 1
    return 0


async def _until_stopped(config: ScriptedTeacher, faults: Faults, port: int) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    runner, address = await serve(config, faults, port)
    print(f"listening on {address}", flush=True)
    await stop.wait()
    await runner.cleanup()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m teachers.scripted", description=__doc__)
    add = parser.add_argument
    add("--port", type=int, required=True, help="0 picks a free one")
    add("--config", type=Path, help="YAML or JSON with the fields of a scripted teacher")
    add("--latency-s", type=float, help="seconds before every answer")
    add("--loading-s", type=float, default=0.0, help="seconds of 503 after the first request")
    add("--error-rate", type=_share, default=0.0, help="share of requests that get an error")
    add("--error-code", type=int, default=500, help="its status, such as 429 or 500")
    add("--retry-after", type=float, help="seconds in the Retry-After header of 429 and 503")
    add("--wrong", type=_share, help="share of labels that are wrong")
    add("--refuse", type=_share, help="share of asks that are refused")
    add("--malformed", type=_share, help="share of answers outside the choices or the schema")
    add("--logprobs", action="store_true", help="give token log-probabilities when asked")
    add("--garbage-rate", type=_share, default=0.0, help="share of broken connections and bodies")
    add(
        "--require-key-env", metavar="NAME", help="refuse requests without the key in this variable"
    )
    return parser


def _share(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 1")
    return value


def _config(options: argparse.Namespace) -> ScriptedTeacher:
    given: Any = yaml.safe_load(options.config.read_text("utf-8")) if options.config else {}
    if not isinstance(given, dict):
        raise ValueError(f"{options.config}: not a mapping of a scripted teacher's fields")
    flags = {name: getattr(options, name) for name in ("wrong", "refuse", "malformed", "latency_s")}
    set_here = {name: value for name, value in flags.items() if value is not None}
    return ScriptedTeacher(**{"kind": "scripted", **given, **set_here})


def _faults(options: argparse.Namespace) -> Faults:
    key = None
    if options.require_key_env:
        key = os.environ.get(options.require_key_env)
        if not key:
            raise ValueError(f"{options.require_key_env} is not set")
    return Faults(
        latency_s=_config(options).latency_s,
        loading_s=options.loading_s,
        error_rate=options.error_rate,
        error_code=options.error_code,
        retry_after=options.retry_after,
        garbage_rate=options.garbage_rate,
        logprobs=options.logprobs,
        key=key,
    )


def _plain(exc: Exception) -> str:
    if isinstance(exc, ValidationError):
        return "; ".join(
            f"{'.'.join(str(part) for part in error['loc'])}: {error['msg']}"
            for error in exc.errors()
        )
    return str(exc)


if __name__ == "__main__":
    sys.exit(main())
