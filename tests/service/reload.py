"""`chatredirect reload` as a person, or systemd, runs it."""

import subprocess
from pathlib import Path
from typing import Any

import yaml

from tests.service.daemon import Daemon, run_command


def rewrite(file: Path, settings: Any) -> None:
    """Give a configuration file another content: text as it is, anything else as YAML."""
    text = settings if isinstance(settings, str) else yaml.safe_dump(settings, sort_keys=False)
    file.write_text(text, encoding="utf-8")


def reload(daemon: Daemon, settings: Any = None) -> subprocess.CompletedProcess[str]:
    """Have the daemon read its configuration again, after giving the file another content."""
    if settings is not None:
        rewrite(daemon.config, settings)
    return run_command("reload", "--config", daemon.config)
