"""An OSError in words for people, the same whichever event loop raised it."""

import os


def words(error: OSError) -> str:
    """What went wrong, the system's words in lower case: `connection refused`."""
    return os.strerror(error.errno).lower() if error.errno else str(error) or type(error).__name__
