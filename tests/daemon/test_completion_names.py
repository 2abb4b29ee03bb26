"""The names for bash's completion: those of the configuration in force, until the daemon ends."""

import stat
from pathlib import Path

from chatredirect.config.models import Settings
from chatredirect.daemon.completion_names import MAX_NAMES, lines
from tests.service.daemon import endpoint, eventually
from tests.service.fixtures import Run
from tests.trace.trace_process import asked, control_socket


def test_names_follow_the_configuration(run_daemon: Run) -> None:
    """Written at the start, anew after a reload, gone after the stop; everybody may read them."""
    with control_socket() as control:
        names = Path(f"{control}.names")
        daemon = run_daemon(control={"socket": control})
        eventually(names.exists, "the file")
        before = names.read_text().splitlines()
        assert "endpoint sip:ocschat@contoso.com" in before
        assert [line for line in before if line.startswith("pool ")]
        assert stat.S_IMODE(names.stat().st_mode) == 0o644
        text = daemon.config.read_text()
        assert "sip:ocschat@contoso.com" in text
        daemon.config.write_text(text.replace("sip:ocschat@", "sip:renamed@"))
        asked("reload", "--socket", control)
        eventually(lambda: "endpoint sip:renamed@contoso.com" in names.read_text(), "the new name")
        assert "sip:ocschat@contoso.com" not in names.read_text()
        assert daemon.stop() == 0
        assert not list(names.parent.glob("*.names*"))


def test_what_is_listed() -> None:
    """Each once and in order; no name that a shell would read otherwise, and not too many."""
    made = [
        endpoint(f"sip:{name}@contoso.com", pool_fqdn="pcpool.contoso.com")
        for name in ("b", "a", "$(reboot)", "it's", "a;b")
    ]
    many = [endpoint(f"sip:u{i}@contoso.com") for i in range(MAX_NAMES + 5)]
    found = list(lines(_settings(made)))
    assert found == [
        "endpoint sip:a@contoso.com",
        "endpoint sip:b@contoso.com",
        "pool pcpool.contoso.com",
    ]
    assert (
        len([each for each in lines(_settings(many)) if each.startswith("endpoint")]) == MAX_NAMES
    )


def _settings(endpoints: list[dict[str, object]]) -> Settings:
    return Settings(listen=("udp://127.0.0.1:5060",), endpoints=endpoints)  # type: ignore[arg-type]
