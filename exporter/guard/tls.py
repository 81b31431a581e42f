"""TLS as the web configuration wants it: a context, and the clients that may come in."""

import os
import ssl
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from exporter.guard.tls_config import TlsConfig
from exporter.guard.web_values import SUITES, ClientAuth, TlsVersion, usual_address
from exporter.server.handshakes import reason

_VERSIONS: Final = {
    TlsVersion.TLS10: ssl.TLSVersion.TLSv1,
    TlsVersion.TLS11: ssl.TLSVersion.TLSv1_1,
    TlsVersion.TLS12: ssl.TLSVersion.TLSv1_2,
    TlsVersion.TLS13: ssl.TLSVersion.TLSv1_3,
}

_SANS: Final = {"DNS", "IP Address", "email", "URI"}

_VERIFY: Final = {
    ClientAuth.NONE: ssl.CERT_NONE,
    # Nothing ever looks at a certificate that is only requested, so it is not even asked for.
    ClientAuth.REQUEST: ssl.CERT_NONE,
    ClientAuth.VERIFY_IF_GIVEN: ssl.CERT_OPTIONAL,
    ClientAuth.REQUIRE: ssl.CERT_REQUIRED,
}


class TlsError(Exception):
    """Raised if no context can be made.

    Attributes:
        field: The field of `TlsConfig` that is to blame.
        problem: What is wrong.
        remedy: How to mend it.
    """

    def __init__(self, field: str, problem: str, remedy: str) -> None:
        super().__init__(f"{field}: {problem}; {remedy}")
        self.field = field
        self.problem = problem
        self.remedy = remedy


def server_context(config: TlsConfig) -> ssl.SSLContext:
    """Return a context to accept connections with.

    Raises:
        TlsError: the certificate, the key or a CA can't be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_alpn_protocols(["http/1.1"])
    _set_versions(context, config)
    _set_ciphers(context, config)
    for curve in config.curve_preferences:
        context.set_ecdh_curve(curve)
    _load_pair(context, config)
    context.verify_mode = _VERIFY[config.client_auth_type]
    if config.client_ca:
        # As in Go, a CA counts that another CA vouches for.
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        try:
            context.load_verify_locations(cadata=config.client_ca.text)
        except ssl.SSLError as error:
            remedy = "write certificates in PEM, as the CA gives them out"
            raise TlsError("client_ca", f"no certificate can be read: {reason(error)}", remedy) from None
    return context


def _set_versions(context: ssl.SSLContext, config: TlsConfig) -> None:
    with warnings.catch_warnings():
        # That the old ones are old is known to who asks for them.
        warnings.simplefilter("ignore", DeprecationWarning)
        context.maximum_version = _VERSIONS[config.max_version]
        context.minimum_version = _VERSIONS[config.min_version]


def _set_ciphers(context: ssl.SSLContext, config: TlsConfig) -> None:
    old = config.min_version < TlsVersion.TLS12
    named = [SUITES[name] for name in config.cipher_suites if name in SUITES]
    if config.cipher_suites and not named:
        context.minimum_version = ssl.TLSVersion.TLSv1_3
    # TLS before 1.2 hashes by what OpenSSL's usual level forbids, and needs suites that Python leaves out.
    ciphers = (named or [*SUITES.values()]) + ["@SECLEVEL=0"] if old else named
    if ciphers:
        context.set_ciphers(":".join(ciphers))
    if config.prefer_server_cipher_suites:
        context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE
    else:
        context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE


def _load_pair(context: ssl.SSLContext, config: TlsConfig) -> None:
    with _as_file(config.cert.text) as cert, _as_file(config.key.text) as key:
        try:
            # Without a passphrase of ours, OpenSSL would ask for one on the terminal.
            context.load_cert_chain(cert, key, password="")
        except ssl.SSLError as error:
            if error.reason == "KEY_VALUES_MISMATCH":
                remedy = "give the key that the certificate was made for"
                raise TlsError("key", "does not belong to the certificate", remedy) from None
            remedy = "give a certificate and its key, both in PEM"
            raise TlsError("cert", f"can't be used with its key: {reason(error)}", remedy) from None


@contextmanager
def _as_file(text: str) -> Iterator[Path]:
    """Yield a file with this text, for OpenSSL reads a key from nothing else; on Linux, it is in memory."""
    if sys.platform == "linux":
        with os.fdopen(os.memfd_create("pem"), "w") as file:
            file.write(text)
            file.flush()
            yield Path(f"/proc/self/fd/{file.fileno()}")
    else:
        with tempfile.NamedTemporaryFile("w") as file:
            file.write(text)
            file.flush()
            yield Path(file.name)


def admits(config: TlsConfig, certificate: Mapping[str, Any] | None) -> bool:
    """Whether a client may come in.

    Args:
        config: Who may.
        certificate: The client's, verified, as `SSLObject.getpeercert()` tells it.
    """
    if config.client_auth_type is not ClientAuth.REQUIRE:
        return True
    if not certificate:
        return False
    if config.client_allowed_sans is None:
        return True
    names = {usual_address(name) for kind, name in certificate.get("subjectAltName", ()) if kind in _SANS}
    return not names.isdisjoint(config.client_allowed_sans)


class RenewedContext(ssl.SSLContext):
    """A context that a server can keep for good: each new connection takes the one that is newest.

    What else it could be asked for, like its own certificates, is of no use.
    """

    _newest: Callable[[], ssl.SSLContext]

    def __new__(cls, newest: Callable[[], ssl.SSLContext]) -> "RenewedContext":
        """Stand for what `newest` returns."""
        self = super().__new__(cls, ssl.PROTOCOL_TLS_SERVER)
        self._newest = newest
        return self

    def __init__(self, newest: Callable[[], ssl.SSLContext]) -> None:
        super().__init__()

    def wrap_bio(self, *args: Any, **options: Any) -> ssl.SSLObject:
        """Begin a connection over buffers, as asyncio does."""
        return self._newest().wrap_bio(*args, **options)

    def wrap_socket(self, *args: Any, **options: Any) -> ssl.SSLSocket:
        """Begin a connection over a socket."""
        return self._newest().wrap_socket(*args, **options)
