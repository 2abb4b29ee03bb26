"""The compiled functions that read and write messages; None where they aren't used."""

from chatredirect.codec import compiled
from chatredirect.sip.headers import MandatoryHeaders, Via
from chatredirect.sip.limits import Limits
from chatredirect.sip.message import Request, Response

if compiled is not None:
    compiled.bind(Request, Response, MandatoryHeaders, Via, Limits)

read_datagram = None if compiled is None else compiled.read_datagram
read_stream = None if compiled is None else compiled.read_stream
answer = None if compiled is None else compiled.answer
lay_out = None if compiled is None else compiled.lay_out
