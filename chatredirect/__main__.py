"""`chatredirect`, and `python -m chatredirect`, which is the same.

Importing what a command line needs takes a fifth of a second. Who presses Ctrl-C within it gets
silence, as from any other program, and not the place where Python was just then.
"""

import signal
import sys

_ours = signal.getsignal(signal.SIGINT) is signal.default_int_handler  # not ignored, as by nohup
if _ours:
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def main() -> None:
    """Run the command line that this process was started with."""
    from chatredirect.cli import main as command_line  # noqa: PLC0415  # see above

    if _ours:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        command_line()
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)


if __name__ == "__main__":
    main()
