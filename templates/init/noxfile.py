# /// script
# requires-python = ">=3.11"
# dependencies = ["nox", "buildopt"]
# ///
"""The sessions of this workspace, out of buildopt.toml: `nox -l` lists them. Sessions of your own go beside them."""

import nox

import buildopt

buildopt.sessions()

if __name__ == "__main__":
    nox.main()
