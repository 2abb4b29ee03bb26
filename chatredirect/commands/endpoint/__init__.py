"""`chatredirect endpoint`: does what the cmdlets for Persistent Chat endpoints do.

endpoint_commands              the command line of each command
powershell                     parameters in PowerShell's spelling
endpoint_options, endpoint_values, csv_rows, filters   what a user gives
new_endpoints, endpoint_change   what a command wants to write
proposal, files                validates it, writes it, has the daemon reload it
in_force                       whether a file says what the daemon has in force
last_use                       who used an endpoint last, before it is turned off
"""

import typer

from chatredirect.commands.endpoint.endpoint_commands import get, new, remove, set_
from chatredirect.commands.help_text import Command, Group

app = typer.Typer(
    help="Make, show, change and remove endpoints, as the cmdlets for them do.",
    no_args_is_help=True,
    cls=Group,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command(cls=Command)(new)
app.command(cls=Command)(get)
app.command(name="set", cls=Command)(set_)
app.command(cls=Command)(remove)
