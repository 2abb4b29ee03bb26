"""The other instances, asked by `check --live`: do they answer, and have they what we have?"""

import asyncio
import secrets
import time
from dataclasses import dataclass

from chatredirect import __version__
from chatredirect.client.wire import CONNECTS, tls_connect
from chatredirect.commands.live_pools import resolve_all
from chatredirect.config import HealthSettings, HostPort, Settings
from chatredirect.dns.resolution import Located
from chatredirect.log.escape import escape
from chatredirect.net.instances import FIELD, InstanceIdentity
from chatredirect.net.own_names import local_addresses, own_names
from chatredirect.net.target import PoolAddress, Target
from chatredirect.pools.prober import ask
from chatredirect.runtime.wording import error_text
from chatredirect.sip.message import values
from chatredirect.transport.peer_identity import Security
from chatredirect.transport.tls_contexts import client_context

_PREFERRED = ("tls", "tcp", "udp")


@dataclass(frozen=True, slots=True)
class OtherInstance:
    """Another instance; `problems` says what is wrong with it, and is empty if nothing is."""

    name: str
    problems: tuple[str, ...]

    def line(self) -> str:
        """For people."""
        if not self.problems:
            return f"ok        {self.name}: the same secret, configuration and version"
        return escape(f"DIFFERS   {self.name}: {'; '.join(self.problems)}")

    def as_json(self) -> dict[str, object]:
        """For scripts."""
        return {"instance": self.name, "same": not self.problems, "problems": self.problems}


def ask_instances(settings: Settings) -> tuple[OtherInstance, ...]:
    """Ask each of `instances` that isn't this one; raises TlsError for files of TLS.

    It is asked at the port and over the transport of our own listeners: TLS, else TCP, else UDP.
    """
    others = [each for each in settings.instances if not _is_own(each, settings)]
    if settings.secret is None or not others:
        return ()
    pools = {each: _address(each, settings) for each in others}
    resolved = resolve_all(set(pools.values()), settings, ours=True)
    located = {one.pool: one.located for one in resolved}
    key = settings.secret.get_secret_value().encode()
    identity = InstanceIdentity(key, settings.fingerprint, __version__, time.time)
    own = own_names(settings.listen, settings.names, local_addresses())

    async def compared(instance: HostPort) -> OtherInstance | None:
        found = located[pools[instance]]
        here = next(filter(own.listens_on, found.targets), None)
        if here is None:
            return await _ask(instance, found, identity, settings)
        # without a name of its own this instance is known by its address
        return None if settings.advertise is None else _misnamed(instance, here, settings.advertise)

    async def all_of_them() -> list[OtherInstance | None]:
        return await asyncio.gather(*map(compared, others))

    return tuple(each for each in asyncio.run(all_of_them()) if each is not None)


def _is_own(instance: HostPort, settings: Settings) -> bool:
    """Whether an entry of `instances` is this one; others on this machine have other ports."""
    hosts, ports = {each.host for each in settings.listen}, {each.port for each in settings.listen}
    if settings.advertise is not None:
        hosts.add(settings.advertise.host.lower())
        if settings.advertise.port is not None:
            ports.add(settings.advertise.port)
    return instance.host.lower() in hosts and (instance.port is None or instance.port in ports)


def _misnamed(instance: HostPort, here: Target, advertise: HostPort) -> OtherInstance:
    """This machine has another one's name, or DNS leads to the wrong machine."""
    problem = (
        f"{here} is this machine, whose advertise is {advertise}: set "
        f"CHATREDIRECT_ADVERTISE={instance} in the unit of the service, or correct the address "
        f"of {instance.host}"
    )
    return OtherInstance(str(instance), (problem,))


def _address(instance: HostPort, settings: Settings) -> PoolAddress:
    transport = min((each.transport for each in settings.listen), key=_PREFERRED.index)
    first = next(each for each in settings.listen if each.transport == transport)
    return PoolAddress(instance.host, instance.port or first.port, transport)


async def _ask(
    instance: HostPort, located: Located, identity: InstanceIdentity, settings: Settings
) -> OtherInstance:
    problems = [located.reason]
    if located.targets:
        problems = await _problems(located.targets[0], identity, settings)
    return OtherInstance(str(instance), tuple(problems))


async def _problems(target: Target, identity: InstanceIdentity, settings: Settings) -> list[str]:
    outgoing = Security(settings.tls, client_context(settings.tls))
    connects = {**CONNECTS, "tls": tls_connect(lambda: outgoing)}
    nonce = secrets.token_hex(16).encode()
    seconds = (settings.health or HealthSettings()).timeout
    try:
        response = await ask(target, connects[target.transport], seconds, ((FIELD, nonce),))
    except TimeoutError:
        return [f"no response from {target} within {seconds:.3g} s"]
    except OSError as error:
        return [f"{target}: {error_text(error)}"]
    told = next(iter(values(response, FIELD.lower())), None)
    if told is None:
        return [
            f"{target} answers {response.status} and says nothing of itself: it is an older "
            "version, has no secret, doesn't know this name as its own, or doesn't trust this "
            "machine: add it to trusted_peers there"
        ]
    return identity.differences(nonce, told, next(iter(values(response, b"date")), None))
