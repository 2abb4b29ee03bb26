"""Records the README's picture, docs/first-minute.svg, from a real run: `make picture`.

The daemon runs with config/chatredirect.yaml; `status` and `trace` run at a terminal while a probe
is the old client. rich makes an SVG of what the terminal got. No font or image is fetched.
"""

import io
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.text import Text

from tests.commands.at_a_terminal import at_a_terminal
from tests.installed.readme import ROOT

CONFIG = ROOT / "config/chatredirect.yaml"
PICTURE = ROOT / "docs/first-minute.svg"
COMMANDS = (
    ("status",),
    ("trace", "--endpoint", "sip:ocschat@contoso.com"),
)
_WIDTH = 82
_PATIENCE = 30.0
# The places in double braces are CSS's; the others are what Console.export_svg fills in.
_FORM = """\
<svg viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{
font-family: "DejaVu Sans Mono", Menlo, Consolas, monospace; font-size: {char_height}px;
}}
.{unique_id}-title {{ font-family: sans-serif; font-size: 18px; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}" />
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix" xml:space="preserve">
{matrix}
</g>
</g>
</svg>
"""


def record(port: int = 5060) -> str:
    """Run the commands, and draw what their terminal got; `port` is where the daemon listens."""
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "chatredirect.yaml"
        config.write_text(CONFIG.read_text().replace(":5060", f":{port}"))
        environ = {"CHATREDIRECT_CONFIG": str(config), "PYTHONPATH": str(ROOT)}
        with subprocess.Popen(
            [sys.executable, "-m", "chatredirect", "run"],
            env={**os.environ, **environ},
            stderr=subprocess.DEVNULL,
        ) as daemon:
            try:
                return _svg(_commands(config, environ, port))
            finally:
                daemon.terminate()


def _commands(config: Path, environ: dict[str, str], port: int) -> str:
    def call() -> None:
        subprocess.run(
            [
                *(sys.executable, "-m", "chatredirect", "probe", "sip:ocschat@contoso.com"),
                *("--lookup", "--via", f"udp://127.0.0.1:{port}"),
            ],
            env={**os.environ, **environ},
            stdout=subprocess.DEVNULL,
            check=True,
        )

    until = time.monotonic() + _PATIENCE
    while not config.with_name("chatredirect.sock").exists():
        assert time.monotonic() < until, "the daemon doesn't start"
        time.sleep(0.05)
    time.sleep(1)  # the pool is resolved by then
    status, trace = COMMANDS
    shown = f"$ chatredirect {' '.join(status)}\n{at_a_terminal(*status, environ=environ)}"
    traced = at_a_terminal(*trace, "--for", "3s", environ=environ, until="tracing", then=call)
    shown += f"\n$ chatredirect {' '.join(trace)}\n{traced}"
    return shown.replace("\r\n", "\n").replace(str(config), "config/chatredirect.yaml")


def _svg(text: str) -> str:
    console = Console(
        record=True, width=_WIDTH, file=io.StringIO(), force_terminal=True, color_system="standard"
    )
    console.print(Text.from_ansi(text.rstrip()), soft_wrap=False)
    return console.export_svg(title="chatredirect", code_format=_FORM, unique_id="minute")


if __name__ == "__main__":
    PICTURE.write_text(record(), encoding="utf-8")
    print(PICTURE)
