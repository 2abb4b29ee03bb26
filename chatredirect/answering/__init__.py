"""From a request to its response.

request_handler  reads a message, drops and counts what can't be answered, writes the response
dispatch         decides which response a request gets, in the order that docs/answers.md has
stateful         the modes that remember requests: `lookup` and `proxy`
"""
