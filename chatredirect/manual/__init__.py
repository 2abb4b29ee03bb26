"""The manual page and the shell's completion, both written from the commands themselves.

`python -m chatredirect.manual page` and `python -m chatredirect.manual bash` print them. They are
made where the service is installed, from what is installed, so they describe no other version's
options. The commands are read from what they are declared with, functions with typer's annotations
(`tree`), and not from the parser that typer makes of them, whose classes change between versions.
"""
