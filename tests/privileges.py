"""Processes with fewer rights than root's, wherever the checkout and its interpreter are.

The clone may be in /root, where no other user can even start its Python. So rights are taken away
by capability, and not only by user.
"""

#: As root, but a file's mode and owner count as for everybody else.
WITHOUT_OVERRIDE = ("setpriv", "--bounding-set=-dac_override,-dac_read_search", "--")
#: As the user nobody, who may read everything, and write and connect to nothing of others.
AS_NOBODY = (
    "setpriv",
    "--reuid=65534",
    "--regid=65534",
    "--clear-groups",
    "--inh-caps=+dac_read_search",
    "--ambient-caps=+dac_read_search",
    "--",
)
