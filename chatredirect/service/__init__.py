"""One configuration, running, and the change to another one."""
