"""The sessions of this workspace: `nox -l` lists them."""

import buildopt

buildopt.sessions()
