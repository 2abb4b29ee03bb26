"""Builds the compiled codec where a C compiler and Python's headers are.

All else is in pyproject.toml. Whether it can be built is tried out first, so that a wheel without
it is tagged as one for every machine.
"""

import platform
import sys
import sysconfig
import tempfile

from setuptools import Distribution, Extension, setup
from setuptools.command.build_ext import build_ext

CODEC = Extension(
    "chatredirect.codec._codec",
    ["chatredirect/codec/_codec.c"],
    extra_compile_args=["-std=c11", "-O3"],
    py_limited_api=True,
)


def can_be_built() -> bool:
    """Whether it compiles and links here; says why not."""
    if platform.python_implementation() != "CPython" or sysconfig.get_config_var("Py_GIL_DISABLED"):
        return False
    with tempfile.TemporaryDirectory() as folder:
        command = build_ext(Distribution({"ext_modules": [CODEC]}))
        command.build_lib = command.build_temp = folder
        try:
            command.ensure_finalized()
            command.run()
        except Exception as error:  # whatever it is, chatredirect works without
            print(f"chatredirect: without the compiled codec: {error}", file=sys.stderr)
            return False
    return True


if can_be_built():
    setup(ext_modules=[CODEC], options={"bdist_wheel": {"py_limited_api": "cp311"}})
else:
    setup()
