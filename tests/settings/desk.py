"""A home directory, a working directory, and what can be put into them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from harvester.errors import SettingError
from harvester.settings import BY_NAME, Loaded, load

SECRET = "s3cr3t-that-nobody-may-see"
PAT = {
    "SAIL_BASE_URL": "https://acme.api.identitynow.com",
    "SAIL_CLIENT_ID": "pat",
    "SAIL_CLIENT_SECRET": SECRET,
}


class Desk:
    """An empty home directory, and an empty working directory that the test is in."""

    def __init__(self, root: Path) -> None:
        self.home = root / "home"
        self.cwd = root / "work"
        self.home.mkdir()
        self.cwd.mkdir()

    def load(
        self, flags: Mapping[str, Any] | None = None, environ: Mapping[str, str] = PAT, **more: Any
    ) -> Loaded:
        """Load as the command line would."""
        given = {name: (value, BY_NAME[name].called(value)) for name, value in (flags or {}).items()}
        for name in {"config", "profile"} & more.keys():
            more[name] = (str(more[name]), f"--{name}")
        return load(given, environ={"HOME": str(self.home), **environ}, **more)

    def error(self, *args: Any, **more: Any) -> str:
        """The sentence that loading ends with. It shows no secret."""
        with pytest.raises(SettingError) as caught:
            self.load(*args, **more)
        assert SECRET not in str(caught.value)
        return str(caught.value)

    def write(self, name: str, content: str, mode: int = 0o600) -> Path:
        """A file in the working directory, or under ~."""
        path = self.home / name[2:] if name.startswith("~/") else self.cwd / name
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_text(content)
        path.chmod(mode)
        return path

    def sail(self, pat: str = f"pat: {{clientid: sail, clientsecret: {SECRET}}}", mode: int = 0o600) -> None:
        """The official CLI's file."""
        content = f"""
activeenvironment: Prod
environments:
  prod: {{tenanturl: "https://acme.identitynow.com", baseurl: "https://acme.api.identitynow.com", {pat}}}
  other: {{baseurl: "https://other.api.identitynow.com", pat: {{clientid: o, clientsecret: {SECRET}}}}}
"""
        self.write("~/.sailpoint/config.yaml", content, mode)
