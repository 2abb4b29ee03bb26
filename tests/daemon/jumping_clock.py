"""A time of day that jumps, for one process: a library that is loaded before the C library."""

import shutil
import subprocess
from pathlib import Path

import pytest

SHIM = Path(__file__).with_name("jumping_clock.c")


class Clock:
    """The daemon's time of day."""

    def __init__(self, folder: Path) -> None:
        compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
        if compiler is None:
            pytest.skip("no C compiler (cc)")
        library = folder / "jumping_clock.so"
        subprocess.run([compiler, "-shared", "-fPIC", "-o", library, SHIM], check=True)
        self._jump = folder / "jump"
        self.environment = {"LD_PRELOAD": str(library), "CLOCK_JUMP": str(self._jump)}

    def jump(self, seconds: int) -> None:
        """So far from the right time."""
        new = self._jump.with_suffix(".new")
        new.write_text(str(seconds))
        new.rename(self._jump)
