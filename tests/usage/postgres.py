"""A PostgreSQL of Debian's on a free loopback port, that can be killed and started again."""

import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

import pytest

from tests.ports import free_port

_FOLDERS = sorted(Path("/usr/lib/postgresql").glob("*/bin"))


class PostgresServer:
    """One server with its data; root runs it as the user postgres, since it refuses to be root."""

    def __init__(self) -> None:
        if not _FOLDERS:
            pytest.skip("PostgreSQL is missing: apt-get install postgresql")
        self._bin = _FOLDERS[-1]
        self._user = "postgres" if os.geteuid() == 0 else None
        self.folder = Path(tempfile.mkdtemp(prefix="chatredirect-pg-"))
        if self._user:
            shutil.chown(self.folder, self._user)
        self.port = free_port()
        self.url = f"postgresql://postgres@127.0.0.1:{self.port}/postgres"
        self._run("initdb", "--no-sync", "--auth=trust", "--username=postgres", "-D", self._data)

    @property
    def _data(self) -> str:
        return str(self.folder / "data")

    def start(self) -> None:
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -k {self.folder} -c fsync=off"
        log = str(self.folder / "log")
        self._run("pg_ctl", "-D", self._data, "-w", "-t", "60", "-l", log, "-o", options, "start")

    def ask_password(self, role: str) -> None:
        """From now on this role needs its password."""
        rules = Path(self._data) / "pg_hba.conf"
        rule = f"host all {role} 127.0.0.1/32 scram-sha-256\n"
        rules.write_text(rule + rules.read_text())
        self.sql("SELECT pg_reload_conf()")

    def kill(self) -> None:
        """End it as a crash does; it starts again with its data."""
        postmaster = Path(self._data) / "postmaster.pid"
        number = int(postmaster.read_text().split()[0])
        os.kill(number, signal.SIGQUIT)
        self._run("pg_ctl", "-D", self._data, "-w", "stop", "-m", "immediate", check=False)

    def sql(self, statement: str, database: str = "postgres") -> str:
        url = self.url.removesuffix("postgres") + database
        command = ["psql", "-X", "-q", "-t", "-A", "-c", statement, url]
        done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
        return done.stdout.strip()

    def close(self) -> None:
        self._run("pg_ctl", "-D", self._data, "-w", "stop", "-m", "immediate", check=False)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _run(self, program: str, *args: str, check: bool = True) -> None:
        subprocess.run(
            [self._bin / program, *args],
            check=check,
            user=self._user,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=120,
        )
