"""`chatredirect endpoint`: what the cmdlets for Persistent Chat endpoints do, done here.

new_command, get_command, set_command, remove_command   the command line of each
powershell                    their parameters in PowerShell's spelling
endpoint_options, keys, csv_rows, filters   what a user gives
new_endpoints, endpoint_change   what a command wants to write
proposal, files               validates it, writes it, has the daemon reload it
listing                       endpoints as text and as JSON
"""

import typer

from chatredirect.commands.endpoint.get_command import get
from chatredirect.commands.endpoint.new_command import new
from chatredirect.commands.endpoint.remove_command import remove
from chatredirect.commands.endpoint.set_command import set_

app = typer.Typer(
    help="Make, show, change and remove endpoints, as the cmdlets for them do.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(new)
app.command()(get)
app.command(name="set")(set_)
app.command()(remove)
