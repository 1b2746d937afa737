"""From ``s3://bucket/prefix/`` and its like to a store, with credentials where a cloud's own tools have them.

The library reads them itself: from the environment (``AWS_…``, ``GOOGLE_…``, ``AZURE_STORAGE_…``), web
identity, containers and instance metadata; Google's application default credentials; a signed-in Azure CLI.
The profiles of ``~/.aws`` it does not read: where one is asked for, or no keys are in the environment,
boto3 does.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from harvester.errors import AccessDenied, SettingError
from harvester.export.control import Unavailable
from harvester.export.extras import lake_module

_RETRY: Final = {"max_retries": 3, "retry_timeout": timedelta(seconds=20)}
"""Of one request by the library; how long to wait for a store beyond that is decided in `store`."""
_TIMES: Final = {"connect_timeout": "5s", "timeout": "120s", "read_timeout": "30s"}
_ENDPOINTS: Final = {
    "s3": ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"),
    "gs": ("GOOGLE_BASE_URL",),
    "az": ("AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT"),
}
"""The variables that name an endpoint other than the cloud's own, the first that is set."""
_LOOPBACK: Final = ("127.0.0.1", "localhost", "[::1]", "::1")
_DENIALS: Final = re.compile(
    r"InvalidAccessKeyId|SignatureDoesNotMatch|ExpiredToken|InvalidToken|TokenRefreshRequired|AccessDenied"
    r"|AuthenticationFailed|AuthorizationFailure|invalid_grant|Unauthorized|Forbidden|InvalidAuthenticationInfo"
    r"|NoAuthenticationInformation|PermissionDenied"
)
_METADATA: Final = re.compile(r"169\.254\.|metadata\.google|\[fd00:ec2", re.IGNORECASE)
_CODE: Final = re.compile(r"<Code>(.*?)</Code>", re.DOTALL)
_MESSAGE: Final = re.compile(r"<Message>(.*?)(?:</Message>|\n)", re.DOTALL)
_LONGEST: Final = 200


def open_store(url: str, environ: Mapping[str, str] = os.environ) -> Any:
    """The obstore store whose root is `url`, a destination that was checked. Nothing is sent yet.

    Raises:
        SettingError: the URL is not that of a store, something it needs is not set, or a package is missing.
        AccessDenied: a profile has no credentials.
    """
    scheme = urlsplit(url).scheme
    exceptions = lake_module("obstore.exceptions", "--output", f"{scheme}://")
    stores = lake_module("obstore.store", "--output", f"{scheme}://")
    options = {**_TIMES, **({"allow_http": True} if allows_http(scheme, environ) else {})}
    more = _s3_options(environ) if scheme.startswith("s3") else {}
    try:
        return stores.from_url(url.rstrip("/"), client_options=options, retry_config=_RETRY, **more)
    except (exceptions.BaseError, ValueError, OSError) as error:
        hint = "name s3://bucket/prefix/, gs://bucket/prefix/ or az://container/prefix/"
        raise SettingError("--output", f"{url} is not a store: {refined(error).problem}", hint) from None


def allows_http(scheme: str, environ: Mapping[str, str]) -> bool:
    """Plain http is for emulators on this machine; other endpoints need the library's own switch."""
    names = _ENDPOINTS["s3" if scheme.startswith("s3") else scheme if scheme == "gs" else "az"]
    endpoint = next((environ[name] for name in names if environ.get(name)), "")
    return urlsplit(endpoint).hostname in _LOOPBACK


def _s3_options(environ: Mapping[str, str]) -> dict[str, Any]:
    # SHA-256 of what is sent, so that the store refuses what was garbled on its way
    config = {} if "AWS_CHECKSUM_ALGORITHM" in environ else {"checksum_algorithm": "SHA256"}
    options: dict[str, Any] = {"config": config}
    if _wants_profile(environ):
        options["credential_provider"] = _profile(environ)
    return options


def _wants_profile(environ: Mapping[str, str]) -> bool:
    if environ.get("AWS_PROFILE"):
        return True
    if any(
        environ.get(name)
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SKIP_SIGNATURE", "AWS_WEB_IDENTITY_TOKEN_FILE")
    ):
        return False
    files = (
        environ.get("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials"),
        environ.get("AWS_CONFIG_FILE", "~/.aws/config"),
    )
    return any(Path(file).expanduser().is_file() for file in files)


def _profile(environ: Mapping[str, str]) -> Any:
    """What boto3 finds: profiles, single sign-on, assumed roles."""
    name = environ.get("AWS_PROFILE")
    provider = lake_module("obstore.auth.boto3", "AWS_PROFILE", "an AWS profile")
    boto3 = lake_module("boto3", "AWS_PROFILE", "an AWS profile")
    botocore = lake_module("botocore.exceptions", "AWS_PROFILE", "an AWS profile")
    try:
        return provider.Boto3CredentialProvider(boto3.Session(profile_name=name or None))
    except (botocore.BotoCoreError, ValueError) as error:
        shown = f"AWS profile {name!r}" if name else "the AWS profile"
        raise AccessDenied(
            f"{shown} has no credentials ({error})", "see `aws configure`, or sign in"
        ) from None


def refined(error: Exception) -> Unavailable:
    """The library's error, of many lines, as one clause without addresses that could hold a signature."""
    text = str(error).partition("\n\nDebug source")[0]
    denied = type(error).__name__ in ("PermissionDeniedError", "UnauthenticatedError") or bool(
        _DENIALS.search(text)
    )
    if _METADATA.search(text):
        return Unavailable("no cloud credentials were found", denied=True)
    code, message = _CODE.search(text), _MESSAGE.search(text)
    if code is not None:
        clause = f"{code[1]}: {message[1]}" if message is not None else code[1]
    elif "error sending request" in text or "HTTP error" in text:
        clause = "its endpoint does not respond"
    else:
        clause = text.rpartition(" - ")[2]
    clause = re.sub(r"https?://\S+", "", " ".join(clause.split()))
    return Unavailable(clause[:_LONGEST].rstrip(" .:"), denied=denied)
