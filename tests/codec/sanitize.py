"""The compiled codec under AddressSanitizer and UndefinedBehaviorSanitizer.

    python -m tests.codec.sanitize [--seconds 60] [--seed N]

Builds it, then runs in a process of its own: every call of tests/codec/calls.py, without memory
too, then mutated messages until the time is over. Exit status 0: nothing was found.
"""

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from tests.codec.building import SANITIZERS, SOURCE, build, compiler, load


def main() -> int:
    """Build, and run what is built."""
    parser = argparse.ArgumentParser(prog="python -m tests.codec.sanitize")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=random.randrange(2**31))
    parser.add_argument("--built", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--source", type=Path, default=SOURCE, help="another one than ours")
    asked = parser.parse_args()
    if asked.built is not None:
        load(asked.built)
        return _run(asked.seconds, asked.seed)
    cc = compiler()
    if cc is None:
        print("no C compiler, or no Python.h", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as folder:
        built = build(Path(folder), *SANITIZERS, source=asked.source)
        name = [cc, "-print-file-name=libasan.so"]
        library = subprocess.run(name, capture_output=True, text=True, check=True).stdout.strip()
        environment = os.environ | {
            "LD_PRELOAD": library,
            # the interpreter keeps memory until it ends; its own leaks are none of ours
            "ASAN_OPTIONS": "detect_leaks=0:allocator_may_return_null=1",
            "UBSAN_OPTIONS": "print_stacktrace=1",
            "PYTHONMALLOC": "malloc",  # so that each object has guarded memory of its own
        }
        environment.pop("CHATREDIRECT_CODEC", None)
        line = [sys.executable, "-m", "tests.codec.sanitize", "--seconds", str(asked.seconds)]
        line += ["--seed", str(asked.seed), "--built", str(built)]
        print(f"seed {asked.seed}", flush=True)
        done = subprocess.run(line, env=environment, check=False)
        return 1 if done.returncode else 0


def _run(seconds: float, seed: int) -> int:
    from chatredirect.codec import compiled
    from tests.codec.calls import calls, refused
    from tests.fuzz import twins

    assert compiled is not None
    end = time.monotonic() + seconds
    with calls() as made:
        for call in made.values():
            for _ in range(100):
                call()
        _without_memory(made)
    for call in refused().values():
        with suppress(TypeError, ValueError, OverflowError):
            call()
    for data in twins.seeds():
        twins.twins(data)
    for data in twins.mutants(seed):
        twins.twins(data)
        if time.monotonic() > end:
            break
    counts = twins.COUNTS
    print(
        f"{counts.messages:,} messages, {counts.read:,} read, {counts.answers:,} answered: "
        "nothing found"
    )
    return 0


def _without_memory(made: dict[str, Callable[[], object]]) -> None:
    with suppress(ImportError):
        import _testcapi

        for call in made.values():
            for number in range(60):
                try:
                    _testcapi.set_nomemory(number, number + 1)
                    call()
                except (MemoryError, AssertionError):
                    continue
                finally:
                    _testcapi.remove_mem_hooks()


if __name__ == "__main__":
    sys.exit(main())
