"""The entry point of `chatredirect` and `python -m chatredirect`.

Importing what a command line needs takes a fifth of a second. Within it Ctrl-C ends the process
as it ends any other program. A KeyboardInterrupt would print where Python was just then, or get
lost: Python drops an exception that is raised in a weak reference's callback, and each import ends
with such a callback. `cli` installs Python's handler when a command begins.
"""

import signal
import sys

if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # not ignored, as by nohup
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def main() -> None:
    """Run the command line that this process was started with."""
    from chatredirect.cli import main as command_line  # noqa: PLC0415  # see above

    try:
        command_line()
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)


if __name__ == "__main__":
    main()
