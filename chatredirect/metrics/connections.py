"""Readings: connections, and the certificates that they show."""

from collections.abc import Iterator

from chatredirect.metrics import catalogue
from chatredirect.metrics.view import Reading, View
from chatredirect.transport.admission import REASONS
from chatredirect.transport.stream_listener import StreamListener


def readings(view: View) -> Iterator[Reading]:
    """Who is connected, and who isn't any more."""
    listeners = view.service.listeners
    if listeners is None:
        return
    streams = [
        (str(url), each) for url, each in listeners.open.items() if isinstance(each, StreamListener)
    ]
    yield catalogue.CONNECTIONS, [((name,), each.connections) for name, each in streams]
    yield catalogue.CONNECTIONS_MOST, [((), listeners.admission.limits.connections)]
    yield catalogue.BEGUN, [((name,), each.settings.begun) for name, each in streams]
    yield (
        catalogue.CLOSED,
        [
            ((name, reason), number)
            for name, each in streams
            for reason, number in each.settings.closed.items()
        ],
    )
    # from 0 on, so that the first one is seen as an increase
    refused = dict.fromkeys(REASONS, 0) | listeners.admission.refused
    refused["file_descriptors"] = sum(each.exhausted for _, each in streams)
    yield catalogue.REFUSED, [((reason,), number) for reason, number in refused.items()]

    certificates = view.service.certificates
    yield catalogue.EXPIRY, [((file,), until) for file, until in certificates.expiries.items()]
    yield (
        catalogue.RENEWALS,
        [(("done",), certificates.renewed), (("refused",), certificates.refused)],
    )
