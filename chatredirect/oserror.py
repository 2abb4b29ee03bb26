"""An OSError in words for people, the same whichever event loop raised it."""

import os


def words(error: OSError) -> str:
    """What went wrong, in lower case: `connection refused`."""
    text = os.strerror(error.errno) if error.errno else str(error) or type(error).__name__
    return text.lower()
