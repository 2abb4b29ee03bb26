"""The commands, one module each. A module holds its command's function and nothing that is slow to
import: what a command works with is imported when it runs, so that `--help` is there at once."""
