"""Who asks the tenant: a client id with its secret, or a token."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from harvester.errors import SettingFault
from harvester.model import Quota


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """One `client_id` with its secret, or a ready token, or a file that holds one. The repr hides secrets.

    Raises:
        SettingFault: there is no secret, or more than one way to a token.
    """

    client_id: str = ""
    client_secret: str = field(default="", repr=False)
    access_token: str = field(default="", repr=False)
    access_token_file: Path | None = None
    name: str = ""
    quota: Quota | None = None
    """Overrides the run's quota for this client."""

    def __post_init__(self) -> None:
        who = f"client {self.label}"
        if bool(self.client_id) != bool(self.client_secret):
            missing = "secret" if self.client_id else "id"
            raise SettingFault(who, f"has no client {missing}", "a personal access token has both: give both")
        ways = bool(self.client_id) + bool(self.access_token) + (self.access_token_file is not None)
        if ways != 1:
            problem = "has more than one way to a token" if ways else "has no credentials"
            raise SettingFault(who, problem, "give a client id and secret, or a token, or a token file")

    @property
    def label(self) -> str:
        """How logs name the client: its name, or the first characters of its id; never a secret."""
        return self.name or self.client_id[:8] or "token"
