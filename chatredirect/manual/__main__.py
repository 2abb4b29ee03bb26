"""`python -m chatredirect.manual page|bash`: prints the manual page, or bash's completion."""

import datetime
import os
import sys
import time

import chatredirect
from chatredirect.cli import app
from chatredirect.commands.description import tree
from chatredirect.manual.bash import completion
from chatredirect.manual.page import page


def main(arguments: list[str]) -> int:
    """Print the page or the script; the exit status."""
    root = tree(app, "chatredirect")
    match arguments:
        case ["page"]:
            sys.stdout.write(page(root, chatredirect.__version__, _today()))
        case ["bash"]:
            sys.stdout.write(completion(root))
        case _:
            print("usage: python -m chatredirect.manual page|bash", file=sys.stderr)
            return 2
    return 0


def _today() -> str:
    """Today, or what a reproducible build says: reproducible-builds.org/specs/source-date-epoch."""
    seconds = int(os.environ.get("SOURCE_DATE_EPOCH") or time.time())
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).date().isoformat()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
