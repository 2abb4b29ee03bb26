"""From a request to its response.

request_handler  reads a message, drops and counts what can't be answered, writes the response
dispatch         the table of answers: what a request gets, in the order that docs/answers.md has
stateful         the modes that remember requests: `lookup` and `proxy`
registrar        a REGISTER that has come to the wrong place
"""
