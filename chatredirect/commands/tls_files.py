"""Certificates, keys and authorities as `check` sees them: used once, as the daemon would."""

import time

from chatredirect.certificates import Certificates, file_doubts
from chatredirect.config import ConfigError, Fault, Settings, TlsSettings
from chatredirect.transport.tls import TlsError


def tls_doubts(settings: Settings) -> tuple[Fault, ...]:
    """Make every context, and give the warnings that the files give reason for.

    Raises:
        ConfigError: files, or ciphers, that can't be used.
    """
    main = settings.files[0] if settings.files else "(settings)"
    profiles = tuple(dict.fromkeys((settings.tls, *settings.secure_listeners.values())))
    faults, doubts = list[Fault](), list[Fault]()
    for profile in profiles:
        try:
            _use(settings, profile)
            doubts += (Fault(file, 0, 0, why) for file, why in file_doubts(profile, time.time()))
        except TlsError as error:
            faults.append(Fault(main, 0, 0, f"tls: {error}"))
    if faults:
        raise ConfigError(dict.fromkeys(faults))
    return tuple(dict.fromkeys(doubts))


def _use(settings: Settings, profile: TlsSettings) -> None:
    served = {url: each for url, each in settings.secure_listeners.items() if each == profile}
    outgoing = profile if profile == settings.tls else TlsSettings()
    Certificates(time.time).prepare(served, outgoing)
