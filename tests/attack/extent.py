"""How long an attack lasts: short in `make test`, long in `make attack`."""

import os

LONG = os.environ.get("ATTACK") == "long"


def extent(short: int, long: int) -> int:
    """The one that is asked for."""
    return long if LONG else short
