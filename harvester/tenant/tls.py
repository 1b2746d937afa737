"""Which certificates are trusted: the system's, and beside them those that the operator names."""

from __future__ import annotations

import errno
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from harvester.errors import SettingError

_CA_VARIABLES: Final = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
_UNREADABLE: Final = frozenset({errno.ENOENT, errno.EACCES, errno.ENOTDIR})


def tls_context(ca_bundle: Path | None, environ: Mapping[str, str]) -> ssl.SSLContext | bool:
    """The system's certificates, and beside them `ca_bundle` and those that the environment names.

    True stands for the system's alone, which aiohttp has loaded already: that takes some 50 ms.

    Raises:
        SettingError: a bundle cannot be read or holds no certificate.
    """
    bundles = [("--ca-bundle", ca_bundle)] if ca_bundle is not None else []
    bundles += [(name, Path(environ[name])) for name in _CA_VARIABLES if environ.get(name)]
    if not bundles:
        return True
    context = ssl.create_default_context()
    system = Path(ssl.get_default_verify_paths().openssl_cafile)  # SSL_CERT_FILE takes its place, else
    if system.is_file():
        context.load_verify_locations(cafile=system)
    for name, path in bundles:
        _load(context, name, path)
    return context


def _load(context: ssl.SSLContext, name: str, path: Path) -> None:
    try:
        if path.is_dir():
            context.load_verify_locations(capath=path)
        else:
            context.load_verify_locations(cafile=path)
    except OSError as error:
        reason = error.strerror if error.errno in _UNREADABLE else "it holds no certificate"
        raise SettingError(
            name, f"{path} cannot be used ({reason})", "give a PEM file with the certificates to trust"
        ) from error
