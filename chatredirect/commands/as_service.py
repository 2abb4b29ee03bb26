"""Reads a configuration as the service does, whose environment isn't the administrator's."""

import os

from chatredirect.config import Settings, load
from chatredirect.config.loader import Draft
from chatredirect.config.service_environment import ServiceEnvironment
from chatredirect.systemd.unit_file import ServiceUnit, installed_unit

_CREDENTIALS = "/run/credentials"  # of services that run, for root


def load_as_service(
    config: str | os.PathLike[str], draft: Draft | None = None, *, pipe: bool = False
) -> Settings:
    """Read a configuration; arguments and errors are those of `load`.

    What the environment doesn't have, the service's unit says, if this is its configuration.
    """
    return load(config, draft, environment=service_environment(config), pipe=pipe)


def service_environment(config: str | os.PathLike[str]) -> ServiceEnvironment:
    """The environment of the service with this configuration."""
    own, unit = ServiceEnvironment.of(), unit_with(config)
    if unit is None:
        return own
    advertise = own.advertise or ServiceEnvironment.of(unit.environment).advertise
    if own.credentials is not None:  # within the service
        return ServiceEnvironment(advertise, own.credentials)
    folder = os.path.join(_CREDENTIALS, unit.name)
    there = folder if os.access(folder, os.R_OK | os.X_OK) else None
    return ServiceEnvironment(advertise, there, unit.credentials)


def unit_with(config: str | os.PathLike[str]) -> ServiceUnit | None:
    """The unit of the service, or of the instance, with this configuration; None if none has it."""
    instance = os.path.basename(os.fspath(config)).removesuffix(".yaml")
    for unit in (installed_unit(), installed_unit(instance=instance)):
        if unit is not None and unit.config is not None and is_same(unit.config, config):
            return unit
    return None


def is_same(first: str | os.PathLike[str], second: str | os.PathLike[str]) -> bool:
    """Whether two paths lead to one file that is there."""
    try:
        return os.path.samefile(first, second)
    except (OSError, ValueError):
        return False
