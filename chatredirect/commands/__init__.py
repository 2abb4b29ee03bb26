"""The commands. What is slow to import is imported when a command runs: `--help` is quick."""
