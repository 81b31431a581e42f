"""What is written as a single value in the web configuration, one reader each."""

import re
import ssl
from dataclasses import dataclass, field
from difflib import get_close_matches
from enum import StrEnum
from ipaddress import ip_address
from typing import Final

from exporter.config_values import Choice, FilePath
from exporter.schema import InvalidValueError, Outside, Scalar
from exporter.secret import Secret
from exporter.strict_yaml import quoted

# Nanoseconds, in the units of Go's time.ParseDuration.
_UNITS: Final = {
    "ns": 1,
    "us": 1_000,
    "\u00b5s": 1_000,
    "\u03bcs": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
}
_PART: Final = re.compile(rf"([0-9]{{1,12}}(?:\.[0-9]{{0,9}})?|\.[0-9]{{1,9}})({'|'.join(_UNITS)})")
_DAY: Final = 86_400.0

# 22 characters of salt, of which the last holds two bits, and 31 of the hash itself.
_BCRYPT: Final = re.compile(r"\$2[aby]\$([0-9]{2})\$[./A-Za-z0-9]{21}[.Oeu][./A-Za-z0-9]{31}")
_COSTS: Final = range(4, 19)

_BLOCK: Final = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----.*?-----END \1-----", re.DOTALL)


@dataclass(frozen=True)
class GoDuration(Scalar[float]):
    """A duration as Go writes it, in seconds: the format is that of programs in Go."""

    kind = "a duration"

    def parse(self, text: str, outside: Outside) -> float:
        """Return the seconds."""
        if text == "0":
            return 0.0
        parts = _PART.findall(text)
        if not parts or "".join(number + unit for number, unit in parts) != text:
            raise InvalidValueError(f"{quoted(text)} is not a duration", "write it like 100ms or 1m30s")
        seconds: float = sum(float(number) * _UNITS[unit] for number, unit in parts) / 1e9
        if seconds > _DAY:
            raise InvalidValueError(f"{quoted(text)} is too long", "write 24h or less")
        return seconds


@dataclass(frozen=True)
class PasswordHash(Scalar[Secret]):
    """What bcrypt made of a password; never quoted in a mistake, for it may be the password itself."""

    kind = "a bcrypt hash"

    def parse(self, text: str, outside: Outside) -> Secret:
        """Return the hash."""
        remedy = "make one with: htpasswd -nBC 10 \"\" | tr -d ':\\n'"
        match = _BCRYPT.fullmatch(text)
        if not match:
            raise InvalidValueError("not a bcrypt hash, which begins with $2a$, $2b$ or $2y$", remedy)
        if int(match[1]) not in _COSTS:
            raise InvalidValueError(
                f"the cost {match[1]} is not between {_COSTS[0]} and {_COSTS[-1]}", remedy
            )
        return Secret(text)


@dataclass(frozen=True)
class HeaderText(Scalar[str]):
    """The value of a header; an empty one stands for no header.

    Attributes:
        accepted: The values that make sense; empty if that can't be told.
    """

    accepted: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        """What is to be written."""
        return " or ".join(self.accepted) or "the header's value"

    def parse(self, text: str, outside: Outside) -> str:
        """Return the value."""
        if text and self.accepted and text not in self.accepted:
            raise InvalidValueError(f"{quoted(text)} means nothing in this header", f"write {self.kind}")
        if not re.fullmatch(r"[ -~]*", text):
            raise InvalidValueError(
                "holds a character that an HTTP header cannot carry", "write it on one line, in plain ASCII"
            )
        return text.strip()


class PemKind(StrEnum):
    """What a text in PEM holds; the value follows "holds no"."""

    CERTIFICATE = "certificate"
    KEY = "private key"


@dataclass(frozen=True, slots=True)
class Pem:
    """The blocks of one kind that stand in a text: ASCII, and not shown."""

    text: str = field(repr=False)


def _pem(text: str, kind: PemKind, whose: str) -> Pem:
    blocks = [match for match in _BLOCK.finditer(text) if match[1].endswith(kind.upper())]
    begin = f"-----BEGIN {kind.upper()}-----"
    if not blocks:
        raise InvalidValueError(f"{whose} holds no {kind} in PEM", f"write the text that begins with {begin}")
    if any("ENCRYPTED" in match[0] for match in blocks):
        raise InvalidValueError(
            f"{whose} holds a private key with a passphrase", "remove it: openssl pkey -in KEY -out KEY.plain"
        )
    found = "".join(f"{match[0]}\n" for match in blocks)
    if not found.isascii():
        raise InvalidValueError(f"{whose} holds a {kind} that is damaged", f"write it anew, from {begin} on")
    return Pem(found)


@dataclass(frozen=True)
class PemText(Scalar[Pem]):
    """A certificate or a key written in place."""

    holds: PemKind

    @property
    def kind(self) -> str:
        """What is to be written."""
        return f"a {self.holds} in PEM"

    def parse(self, text: str, outside: Outside) -> Pem:
        """Return the blocks."""
        return _pem(text, self.holds, "the text")


@dataclass(frozen=True)
class PemFile(Scalar[Pem]):
    """The path of a file that holds a certificate or a key."""

    holds: PemKind

    @property
    def kind(self) -> str:
        """What is to be written."""
        return f"the path of a file with a {self.holds} in PEM"

    def parse(self, text: str, outside: Outside) -> Pem:
        """Return the file's blocks."""
        if "-----BEGIN" in text:
            raise InvalidValueError("this is no path", "write the text itself under the key without _file")
        path = FilePath().parse(text, outside)
        try:
            content = outside.read_text(path)
        except OSError as error:
            remedy = "name a file that this process may read"
            raise InvalidValueError(f"{path} cannot be read: {error.strerror}", remedy) from None
        return _pem(content, self.holds, str(path))


@dataclass(frozen=True)
class SanText(Scalar[str]):
    """A name that a certificate can bear: DNS, IP, e-mail or URI."""

    kind = "a name"

    def parse(self, text: str, outside: Outside) -> str:
        """Return the name; an IP address in its usual form."""
        if not text:
            raise InvalidValueError("the name is empty", "write a name like prometheus.example.com")
        return usual_address(text)


def usual_address(text: str) -> str:
    """Return an IP address in its usual form, and any other text as it is.

    >>> usual_address("0:0:0:0:0:0:0:1"), usual_address("example.com")
    ('::1', 'example.com')
    """
    try:
        return str(ip_address(text))
    except ValueError:
        return text


class ClientAuth(StrEnum):
    """What is asked of a client, as Go names it."""

    NONE = "NoClientCert"
    REQUEST = "RequestClientCert"
    VERIFY_IF_GIVEN = "VerifyClientCertIfGiven"
    REQUIRE = "RequireAndVerifyClientCert"


@dataclass(frozen=True)
class ClientAuthName(Choice[ClientAuth]):
    """What is asked of a client."""

    members: type[ClientAuth] = ClientAuth

    def parse(self, text: str, outside: Outside) -> ClientAuth:
        """Return what is asked."""
        if text in ("RequireAnyClientCert", "RequireClientCert"):
            raise InvalidValueError(
                f"{text} takes a certificate that no CA vouches for, and Python's TLS takes none of those",
                f"write {ClientAuth.REQUIRE}, and client_ca_file",
            )
        return super().parse(text, outside)


class TlsVersion(StrEnum):
    """A version of TLS, as the toolkit names it, the oldest first."""

    TLS10 = "TLS10"
    TLS11 = "TLS11"
    TLS12 = "TLS12"
    TLS13 = "TLS13"


@dataclass(frozen=True)
class TlsVersionName(Choice[TlsVersion]):
    """A version of TLS that this machine speaks."""

    members: type[TlsVersion] = TlsVersion

    def parse(self, text: str, outside: Outside) -> TlsVersion:
        """Return the version."""
        if (text == "TLS10" and not ssl.HAS_TLSv1) or (text == "TLS11" and not ssl.HAS_TLSv1_1):
            raise InvalidValueError(f"the OpenSSL of this machine is built without {text}", "write TLS12")
        return super().parse(text, outside)


class Curve(StrEnum):
    """An elliptic curve; the name is Go's, the value OpenSSL's."""

    CurveP256 = "prime256v1"
    CurveP384 = "secp384r1"
    CurveP521 = "secp521r1"
    X25519 = "X25519"


@dataclass(frozen=True)
class CurveName(Scalar[Curve]):
    """An elliptic curve by Go's name."""

    kind = f"one of {', '.join(Curve.__members__)}"

    def parse(self, text: str, outside: Outside) -> Curve:
        """Return the curve."""
        if text not in Curve.__members__:
            raise InvalidValueError(f"{quoted(text, 32)} is not known here", f"write {self.kind}")
        return Curve[text]


SUITES: Final = {
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256": "ECDHE-ECDSA-AES128-GCM-SHA256",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256": "ECDHE-RSA-AES128-GCM-SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384": "ECDHE-ECDSA-AES256-GCM-SHA384",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384": "ECDHE-RSA-AES256-GCM-SHA384",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-ECDSA-CHACHA20-POLY1305",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-RSA-CHACHA20-POLY1305",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA": "ECDHE-ECDSA-AES128-SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA": "ECDHE-RSA-AES128-SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA": "ECDHE-ECDSA-AES256-SHA",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA": "ECDHE-RSA-AES256-SHA",
}
"""The suites of TLS up to 1.2 that Go calls secure, with OpenSSL's names for them."""

SUITES_13: Final = ("TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256")
"""The suites of TLS 1.3. They are always on, as in Go."""

# What Go's InsecureCipherSuites() are made of: no forward secrecy, or a weak cipher, or a weak check.
_INSECURE: Final = re.compile(r"TLS_RSA_WITH_\w+|TLS_ECDHE_\w+_(RC4_128_SHA|3DES_EDE_CBC_SHA|CBC_SHA256)")


@dataclass(frozen=True)
class SuiteName(Scalar[str]):
    """A cipher suite by Go's name."""

    kind = "a cipher suite like TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"

    def parse(self, text: str, outside: Outside) -> str:
        """Return the name."""
        known = (*SUITES, *SUITES_13)
        if text in known:
            return text
        if _INSECURE.fullmatch(text):
            raise InvalidValueError(f"{quoted(text, 48)} is insecure", "remove it")
        near = get_close_matches(text, known, n=1)
        remedy = f"did you mean {near[0]}?" if near else f"write one of {', '.join(known)}"
        raise InvalidValueError(f"{quoted(text, 48)} is not known here", remedy)
