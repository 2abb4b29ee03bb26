"""A directory in one go."""

from collections.abc import Callable, Iterable

from chatredirect.config import EndpointSettings
from chatredirect.endpoints.directory import Directory, DirectoryBuilder
from chatredirect.endpoints.lookup_endpoint import LookupEndpoint
from chatredirect.pools.pool import Pool


def build_directory(
    settings: Iterable[EndpointSettings],
    pool_of: Callable[[EndpointSettings], Pool],
    lookup_of: Callable[[EndpointSettings], LookupEndpoint | None] = lambda settings: None,
) -> Directory:
    """Make the directory of these endpoints, with the pools that `pool_of` gives."""
    building = DirectoryBuilder(pool_of, lookup_of)
    for each in settings:
        building.add(each)
    return building.directory
