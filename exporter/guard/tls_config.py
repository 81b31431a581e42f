"""The section `tls_server_config` of the web configuration."""

# ruff: noqa: RUF009 - option() and its kin are field() with a schema in it

from dataclasses import dataclass
from typing import Final

from exporter.config_values import Flag
from exporter.guard.web_values import (
    ClientAuth,
    ClientAuthName,
    Curve,
    CurveName,
    Pem,
    PemFile,
    PemKind,
    PemText,
    SanText,
    SuiteName,
    TlsVersion,
    TlsVersionName,
)
from exporter.schema import ListOf, Option, one_of, option, optional

_CERTIFICATE: Final = PemKind.CERTIFICATE
_KEY: Final = PemKind.KEY


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsConfig:
    """How connections are encrypted, and which clients may make one."""

    cert: Pem = one_of(
        Option("cert", PemText(_CERTIFICATE), "The server's certificate, and those between it and the CA."),
        Option("cert_file", PemFile(_CERTIFICATE), "The file that holds them."),
    )
    key: Pem = one_of(
        Option("key", PemText(_KEY), "The certificate's private key."),
        Option("key_file", PemFile(_KEY), "The file that holds it."),
    )
    client_ca: Pem | None = one_of(
        Option("client_ca", PemText(_CERTIFICATE), "Certificates of the CAs that vouch for clients."),
        Option("client_ca_file", PemFile(_CERTIFICATE), "The file that holds them."),
        required=False,
    )
    client_auth_type: ClientAuth = option(
        ClientAuthName(), "What is asked of a client.", default="NoClientCert"
    )
    client_allowed_sans: tuple[str, ...] | None = optional(
        ListOf(SanText(), filled=True), "Names (DNS, IP, e-mail, URI), of which a client has one; none: any."
    )
    min_version: TlsVersion = option(TlsVersionName(), "The oldest version of TLS.", default="TLS12")
    max_version: TlsVersion = option(TlsVersionName(), "The newest version of TLS.", default="TLS13")
    cipher_suites: tuple[str, ...] = option(
        ListOf(SuiteName()), "The suites of TLS up to 1.2, by Go's names; none: the usual ones.", default="[]"
    )
    prefer_server_cipher_suites: bool = option(
        Flag(), "Whether the order of the suites here counts, not the client's.", default="true"
    )
    curve_preferences: tuple[Curve, ...] = option(
        ListOf(CurveName()), "The elliptic curve of the handshake; none: the usual ones.", default="[]"
    )
