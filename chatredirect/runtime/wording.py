"""Text for people: an OSError, a number of things."""

import os


def error_text(error: OSError) -> str:
    """An OSError's reason in lower case: `connection refused`. The same for every event loop."""
    return os.strerror(error.errno).lower() if error.errno else str(error) or type(error).__name__


def counted(number: int, noun: str, *, grouped: bool = True) -> str:
    """`1 error`, `2,000 errors`; `2000 errors` if the digits aren't grouped."""
    return f"{number:{',' if grouped else ''}} {noun}{'' if number == 1 else 's'}"
