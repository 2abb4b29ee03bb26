"""The manual page and bash's completion, both written from the commands.

`python -m chatredirect.manual page` and `python -m chatredirect.manual bash` print them. The
installer runs these, so the page describes the options of the installed version.
`commands.description` reads the commands from the annotated functions, and not from typer's parser,
whose classes change between versions.
"""
