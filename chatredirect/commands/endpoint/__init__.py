"""`chatredirect endpoint`: what the cmdlets for Persistent Chat endpoints do, done here.

new, get, set_, remove   the commands
powershell   their parameters in PowerShell's spelling
keys, csv_rows, filters, identity   what is given to them
change, filing, locking, author   how endpoints' files change
showing   endpoints for people and for scripts
"""

import typer

from chatredirect.commands.endpoint.get import get
from chatredirect.commands.endpoint.new_command import new
from chatredirect.commands.endpoint.remove import remove
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
