"""SailPoint's own Python SDK in threads.

python -m tests.bench.loops.official_sdk THREADS URL IDS OUT
"""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import orjson
from sailpoint import account_usages  # type: ignore[import-untyped]  # the SDK has no types
from sailpoint.configuration import Configuration, ConfigurationParams  # type: ignore[import-untyped]  # as above


def harvest(threads: int, base_url: str, ids: Path, out: Path) -> None:
    """Fetch all accounts of `ids`, write all rows to `out`."""
    params = ConfigurationParams()
    params.base_url, params.client_id, params.client_secret = base_url, "any", "sandbox"
    api = account_usages.AccountUsagesApi(account_usages.ApiClient(Configuration(params)))

    def lines(account_id: str) -> list[bytes]:
        rows = api.get_usages_by_account_id_v1(account_id, limit=250, sorters="-date")
        return [orjson.dumps({"accountId": account_id, **row.to_dict()}) + b"\n" for row in rows]

    with out.open("wb") as file, ThreadPoolExecutor(threads) as pool:
        for some in pool.map(lines, ids.read_text().split()):
            file.writelines(some)


if __name__ == "__main__":
    harvest(int(sys.argv[1]), sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4]))
