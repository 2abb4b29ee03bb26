"""`python -m tests.fuzz`: see the package's docstring. Exit status 1: a promise was broken."""

import argparse
import importlib.util
import logging
import random
import sys
import tempfile
import traceback
from pathlib import Path

import structlog

from tests.fuzz import blind, guided
from tests.fuzz.coverage import reached
from tests.fuzz.promises import TARGETS
from tests.fuzz.seeds import corpus

_SHOWN = 2000  # of what broke a promise; all of it is in the file


def main() -> int:
    """Share the time among the targets, and within one among the engines."""
    asked = _arguments()
    # what the stateful modes log of each message would hide what is found
    quiet = structlog.make_filtering_bound_logger(logging.CRITICAL)
    structlog.configure(wrapper_class=quiet)
    engines = {"both": ("guided", "blind")}.get(asked.engine, (asked.engine,))
    if importlib.util.find_spec("atheris") is None and "guided" in engines:
        print("atheris isn't installed: mutation without coverage only", file=sys.stderr)
        engines = ("blind",)
    targets = list(TARGETS) if asked.target is None else [asked.target]
    share = max(1, asked.seconds // (len(targets) * len(engines)))
    seed = random.randrange(2**31) if asked.seed is None else asked.seed
    print(f"seed {seed}, {share} s for each of {len(targets)} targets and {len(engines)} engines")
    total = 0
    grown = Path(asked.grown or tempfile.mkdtemp(prefix="chatredirect-fuzz-"))
    status = 0
    for name in targets:
        kept = grown / name
        kept.mkdir(parents=True, exist_ok=True)
        for engine in engines:
            executions, text, broken = _run(engine, name, share, seed, kept)
            total += executions
            print(f"{name:<9} {engine:<7} {executions:>11,} executions, {text}", flush=True)
            if broken:
                print(broken, file=sys.stderr)
                status = 1
    print(f"{total:,} executions in all; {'promises broken' if status else 'no promise broken'}")
    if asked.report:
        _report(grown, targets)
    return status


def _run(engine: str, name: str, seconds: int, seed: int, kept: Path) -> tuple[int, str, str]:
    if engine == "guided":
        found = guided.run(name, seconds, seed, kept)
        text = f"{found.edges} edges covered, {found.grown} inputs kept in {kept}"
        return found.executions, text, found.broken
    result = blind.run(TARGETS[name], seconds, seed)
    text = f"{len(result.outcomes)} different outcomes"
    if result.broken is None:
        return result.executions, text, ""
    data, error = result.broken
    path = kept / "broken-blind"
    path.write_bytes(data)
    lines = "".join(traceback.format_exception(error))[-_SHOWN:]
    return result.executions, text, f"{lines}\n{data[:_SHOWN]!r}\nwritten to {path}"


def _report(grown: Path, targets: list[str]) -> None:
    """Line coverage of the kept corpus and of what was found beyond it."""
    found = [path.read_bytes() for name in targets for path in sorted((grown / name).iterdir())]
    table = reached(TARGETS.values(), corpus() + found)
    for module, (ran, lines) in table.items():
        print(f"{module:<24} {ran:>4} of {lines:>4} lines  {100 * ran / lines:5.1f} %")
    ran, lines = (sum(column) for column in zip(*table.values(), strict=True))
    print(f"{'all':<24} {ran:>4} of {lines:>4} lines  {100 * ran / lines:5.1f} %")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("--seconds", type=int, default=60, help="for all targets together")
    parser.add_argument("--target", choices=TARGETS, help="one of them only")
    parser.add_argument("--engine", choices=("both", "guided", "blind"), default="both")
    parser.add_argument("--seed", type=int, help="of the random numbers, to repeat a run")
    parser.add_argument("--grown", help="folder to keep inputs with new coverage in")
    parser.add_argument("--report", action="store_true", help="show which lines were reached")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
