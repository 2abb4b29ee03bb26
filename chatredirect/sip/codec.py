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
stamped = None if compiled is None else compiled.stamped
loop_mark = None if compiled is None else compiled.loop_mark
transaction_key = None if compiled is None else compiled.transaction_key
branch_key = None if compiled is None else compiled.branch_key
tag_of = None if compiled is None else compiled.tag_of
keyed_hash = None if compiled is None else compiled.keyed_hash
sign = None if compiled is None else compiled.sign
unsign = None if compiled is None else compiled.unsign
read_forwarded = None if compiled is None else compiled.read_forwarded
write_forwarded = None if compiled is None else compiled.write_forwarded
caller_and_client = None if compiled is None else compiled.caller_and_client
returned = None if compiled is None else compiled.returned
