"""What a run is told: frozen, checked, and silent about its secrets."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from harvester.errors import SettingFault
from harvester.model import Quota
from harvester.settings.base_url import base_url
from harvester.settings.checks import complaints
from harvester.settings.client import Client
from harvester.settings.parse import BadValue
from harvester.settings.values import DEFAULT_QUOTA, Values

__all__ = ["DEFAULT_QUOTA", "Client", "Settings"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings(Values):
    """All settings of a harvest; the fields are those of `values.Values`.

    Raises:
        SettingFault: a value is out of range, or contradicts another.
    """

    def __post_init__(self) -> None:
        if self.base_url:
            try:
                object.__setattr__(self, "base_url", base_url(self.base_url))
            except BadValue as bad:
                shown = "" if bad.secret else f"{self.base_url!r} "
                raise SettingFault("base_url", shown + bad.problem, bad.mend) from None
        for complaint in complaints(self):
            raise SettingFault(complaint.field, complaint.problem, complaint.mend)

    def client_quota(self, client: Client) -> Quota | None:
        """What `client` may send: its own quota or the run's, and of that a shard's share.

        The shares of all shards add up to the quota; where there are more shards than
        requests, each sends one in a correspondingly longer time.
        """
        whole = client.quota or self.quota
        if whole is None or self.shard is None or not self.split_quota:
            return whole
        each, over = divmod(whole.requests, self.shard.count)
        share = each + (self.shard.index <= over)
        if not each:
            return dataclasses.replace(
                whole, requests=1, seconds=whole.seconds * self.shard.count / whole.requests
            )
        return dataclasses.replace(whole, requests=share)
