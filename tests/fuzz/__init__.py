"""A fuzzer of the SIP layer and of the whole way from a datagram to its answer.

    python -m tests.fuzz [--seconds 60] [--target NAME] [--engine ...] [--report]

    promises   what must hold for whatever octets come: one function for each target; those of
               bodies, lookups and proxied requests are in bodies, looked_up and proxied
    twins      the compiled codec against its twin in Python, in a loop of its own
    seeds      the kept corpus, and the words that messages are made of
    guided     atheris: mutation guided by coverage
    blind      mutation guided by what came out, in plain Python; several times as fast
    coverage   which lines the corpus reaches

What breaks a promise is written to a file, shown, and belongs into a test.
"""
