"""`python -m buildopt`."""

from __future__ import annotations

import sys

from buildopt.cli import main

sys.exit(main())
