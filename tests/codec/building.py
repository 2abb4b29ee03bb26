"""The compiled codec, built for a test."""

import importlib.machinery
import importlib.util
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "chatredirect/codec/_codec.c"
STRICT = ("-Wall", "-Wextra", "-Werror", "-Wshadow", "-Wstrict-prototypes", "-Wvla")
SANITIZERS = (
    "-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer",
    "-O1", "-g",
)  # fmt: skip


def compiler() -> str | None:
    """A C compiler, if there are Python's headers as well."""
    header = Path(sysconfig.get_path("include")) / "Python.h"
    return shutil.which("cc") if header.exists() else None


def build(folder: Path, *options: str, source: Path = SOURCE) -> Path:
    """Build it into a folder, with options for the compiler.

    Raises:
        CalledProcessError: it doesn't compile, or there is a warning.
    """
    out = folder / "_codec.abi3.so"
    subprocess.run(
        [
            *(compiler() or "cc", "-std=c11", "-shared", "-fPIC", *STRICT, *options),
            *(f"-I{sysconfig.get_path('include')}", str(source), "-o", str(out)),
        ],
        check=True,
    )
    return out


def load(path: Path) -> None:
    """Make this file the module that `chatredirect.codec` imports."""
    name = "chatredirect.codec._codec"
    loader = importlib.machinery.ExtensionFileLoader(name, str(path))
    spec = importlib.util.spec_from_file_location(name, path, loader=loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    sys.modules[name] = module
