"""Who asks the tenant: a client id with its secret, or a token."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from harvester.errors import SettingFault
from harvester.model import Quota


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """One `client_id` with its secret, or a ready token, or a file that holds one. The repr hides secrets.

    Where there are both, the secret is used: it gets new tokens when one has expired.

    Raises:
        SettingFault: an id without its secret or the other way round, two tokens, or nothing at all.
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
        if self.access_token and self.access_token_file is not None:
            raise SettingFault(who, "has a token and a token file", "give one of them")
        if not (self.client_id or self.access_token or self.access_token_file):
            raise SettingFault(
                who, "has no credentials", "give a client id and secret, or a token, or a token file"
            )

    @property
    def label(self) -> str:
        """How logs name the client: its name, or the first characters of its id; never a secret."""
        return self.name or self.client_id[:8] or "token"
