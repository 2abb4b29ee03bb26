"""Which endpoint a Request-URI names."""

from chatredirect.directory import Directory, Endpoint
from chatredirect.own_names import OwnNames
from chatredirect.sip.message import Request
from chatredirect.sip.uri import SipUri


def find(directory: Directory, names: OwnNames, request: Request) -> tuple[SipUri, Endpoint | None]:
    """The endpoint that a request is for, None for none, and the Request-URI read.

    A maddr that is this server's has done its work by having led here: the request goes on as if
    its Request-URI had none (RFC 3261 §16.4).

    Raises:
        SipError: the Request-URI can't be read.
    """
    uri, endpoint = directory.find(request.uri)
    if uri.params and (endpoint is None or endpoint.proxy is not None):
        freed = names.freed(uri)
        if freed is not None:
            request.uri = freed
            return directory.find(freed)
    return uri, endpoint
