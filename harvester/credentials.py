"""Who asks the tenant: a client ID with its secret, or a ready token."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from harvester.errors import SettingError
from harvester.model import Quota


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """One client: its ID and secret, a ready token, or a file that holds one. The repr hides secrets.

    Where there is a secret as well as a token, the secret is used: it gets new tokens when one expires.

    Raises:
        SettingError: an ID without its secret or the other way round, two tokens, or nothing at all.
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
            missing = "secret" if self.client_id else "ID"
            raise SettingError(who, f"has no client {missing}", "a personal access token has both: give both")
        if self.access_token and self.access_token_file is not None:
            raise SettingError(who, "has a token and a token file", "give one of them")
        if not (self.client_id or self.access_token or self.access_token_file):
            raise SettingError(
                who, "has no credentials", "give a client ID and secret, or a token, or a token file"
            )

    @property
    def label(self) -> str:
        """How logs name the client: its name, or the first characters of its ID; never a secret."""
        return self.name or self.client_id[:8] or "token"
