"""Two instances that should have the same and don't: docs/proxy.md, "Several instances".

Kamailio's dispatcher is in front of them, and keeps what clients send with one instance. The pool
sends what it sends within dialogs to either.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from tests.daemon.jumping_clock import Clock
from tests.several.accounts import Accounts
from tests.several.cases import warm_up
from tests.several.deployment import Deployment, deployment

_LOAD = {"seconds": 2.0, "redirects": 30.0, "calls": 20.0, "duration": 1.5, "period": 0.4}


@contextmanager
def unlike(
    folder: Path,
    change: Callable[[dict[str, Any]], object] = lambda settings: settings,
    variables: Mapping[str, str] | None = None,
) -> Iterator[Deployment]:
    """The second instance has changed settings, or another environment, than the first."""
    with deployment(folder, "dispatcher", "udp") as made:
        warm_up(made)
        second = made.instances[1]
        settings = yaml.safe_load(second.config.read_text())
        change(settings)
        second.config = second.config.with_name("other.yaml")
        second.config.touch(mode=0o600)
        second.config.write_text(yaml.safe_dump(settings))
        second.variables |= variables or {}
        second.upgrade()
        yield made


def _load(made: Deployment) -> Accounts:
    """Some seconds of load, when Kamailio uses the second instance again."""

    def redirects() -> int:
        return made.instances[1].log.count('"status":302')

    before = redirects()
    for _ in range(20):
        made.load(seconds=0.5, redirects=20.0, lookups=0.0, calls=0.0).accounts()
        if redirects() > before:
            return made.load(**_LOAD).accounts()
    raise AssertionError(made.instances[1].log)


def test_another_secret(tmp_path: Path) -> None:
    """481 for what is within a call of the other instance, and nothing else is refused."""
    another = {"secret": "another secret of sixteen characters"}
    with unlike(tmp_path, lambda settings: settings.update(another)) as made:
        (difference,) = made.instances[0].compared()
        assert difference.startswith("cr2.contoso.com: another secret")
        accounts = _load(made)
        told = accounts.told()
        assert not accounts.lost("redirect", "call INVITE"), told
        assert all(each.invites == 1 for each in accounts.searches), told
        failed = {each.failed for each in accounts.dialogs if each.failed}
        assert failed, told
        assert failed <= {"pool INFO 481", "pool BYE 481"}, told
        refused = [each.log.count("forged_route") for each in made.instances]
        assert all(refused), refused


def test_another_configuration(tmp_path: Path) -> None:
    """Each serves by its own: an endpoint that one doesn't have gets 404 there.

    Its calls that began at the other one go on through both, for `proxy.target_grace`.
    """
    another = {"sip_address": "sip:other@contoso.com", "pool_fqdn": "other.contoso.com"}
    with unlike(tmp_path, lambda settings: settings["endpoints"][-1].update(another)) as made:
        (difference,) = made.instances[0].compared()
        assert difference.startswith("cr2.contoso.com: another configuration")
        accounts = _load(made)
        told = accounts.told()
        refused = accounts.lost()
        assert refused, told
        assert {(each.kind, each.status) for each in refused} == {("call INVITE", 404)}, told
        assert accounts.dialogs, told


def test_clocks_an_hour_apart(tmp_path: Path) -> None:
    """Nothing is lost: a call that began an hour ago, or in an hour, goes on."""
    clock = Clock(tmp_path)
    clock.jump(3600)
    with unlike(tmp_path, variables=clock.environment) as made:
        (difference,) = made.instances[0].compared()
        assert difference.startswith("cr2.contoso.com: its clock is 3,")
        assert difference.endswith(" s ahead")
        accounts = _load(made)
        assert not accounts.lost(), accounts.told()
        assert accounts.dialogs
