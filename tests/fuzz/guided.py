"""Mutation guided by coverage: atheris, in a process of its own, since it never returns.

python -m tests.fuzz.guided TARGET [libFuzzer's options and corpus folders]
"""

import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.fuzz.blind import MAX_OCTETS
from tests.fuzz.seeds import CORPUS, WORDS

_SECONDS_FOR_ONE = 5  # more is a hang


@dataclass(slots=True)
class Result:
    """What a run came to: executions, libFuzzer's count of edges, and what broke, if anything."""

    executions: int
    edges: int
    grown: int
    broken: str


def run(target: str, seconds: int, seed: int, grown: Path) -> Result:
    """Fuzz a target for some seconds; inputs with new coverage are kept in the folder `grown`."""
    with tempfile.TemporaryDirectory() as scratch:
        words = Path(scratch) / "words"
        words.write_text("".join(f'"{_escaped(word)}"\n' for word in WORDS))
        done = subprocess.run(
            [
                *(sys.executable, "-m", "tests.fuzz.guided", target),
                *(f"-max_total_time={seconds}", f"-seed={seed}", f"-max_len={MAX_OCTETS}"),
                *(f"-timeout={_SECONDS_FOR_ONE}", f"-dict={words}", "-print_final_stats=1"),
                *(f"-artifact_prefix={grown}/broken-", str(grown), str(CORPUS)),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=os.environ | {"CHATREDIRECT_CODEC": "python"},  # its coverage can't be seen in C
            check=False,
            timeout=seconds + 120,
        )
    output = done.stdout.decode(errors="replace")
    executed = re.findall(r"number_of_executed_units: (\d+)", output)
    edges = re.findall(r"cov: (\d+)", output)
    return Result(
        executions=int(executed[-1]) if executed else 0,
        edges=int(edges[-1]) if edges else 0,
        grown=sum(1 for _ in grown.iterdir()),
        broken="" if done.returncode == 0 else output[-3000:],
    )


def _escaped(word: bytes) -> str:
    return "".join(f"\\x{octet:02x}" for octet in word)


def _main() -> None:
    import atheris

    rooms = [f"chatredirect.{room}" for room in ("sip", "lookup", "proxy", "trace")]
    with atheris.instrument_imports(include=rooms):
        from tests.fuzz.promises import TARGETS

    target = TARGETS[sys.argv.pop(1)]

    def one_input(data: bytes) -> None:
        target(data)

    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    _main()
