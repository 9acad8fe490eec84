from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from buildopt.errors import ProfileError
from buildopt.profile import Loaded, load

ROOT = Path("/workspace")


def load_text(
    text: str | bytes,
    *,
    files: Mapping[str, str] | None = None,
    environ: Mapping[str, str] | None = None,
    call: Sequence[str] = (),
    ci: bool = False,
    system: str = "linux",
    strict: bool = True,
) -> Loaded:
    """Load a profile out of texts: nothing of it is on a disk."""
    content = text if isinstance(text, bytes) else text.encode()
    texts = {ROOT / "buildopt.toml": content, **{ROOT / name: body.encode() for name, body in (files or {}).items()}}
    return load(
        ROOT / "buildopt.toml",
        root=ROOT,
        read=texts.get,
        environ=environ or {},
        call=call,
        ci=ci,
        system=system,
        strict=strict,
    )


def lines_of(text: str | bytes, **how: object) -> list[str]:
    """Return the problems of a profile that must not load, as a person sees them."""
    with pytest.raises(ProfileError) as caught:
        load_text(text, **how)
    return [str(problem) for problem in caught.value.problems]
