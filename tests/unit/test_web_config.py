"""The web configuration is what its file says, or a list of all that has to be mended in it."""

import contextlib
import json
import re
import ssl
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent, indent

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.guard.files import Files
from exporter.guard.guard import Guard
from exporter.guard.tls import admits, server_context
from exporter.guard.tls_config import TlsConfig
from exporter.guard.web_config import HttpConfig, RateLimit, WebConfig, WebConfigError, load, load_settled
from exporter.guard.web_values import ClientAuth, Curve, TlsVersion
from exporter.secret import Secret
from tests.pki import HASH, Authority

REQUIRED = """
  client_auth_type: RequireAndVerifyClientCert
  client_ca_file: ca.pem
"""


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    authority = Authority(tmp_path_factory.mktemp("pki"))
    authority.issue("server", "127.0.0.1")
    authority.issue("other", "127.0.0.1")
    return authority


Config = Callable[[str], WebConfig]
Mistakes = Callable[[str], list[str]]


@pytest.fixture
def config(authority: Authority) -> Config:
    """Reads a text, beside which are `server.crt`, `server.key`, `other.key` and `ca.pem`."""

    def read(text: str) -> WebConfig:
        path = authority.folder / "web.yml"
        path.write_text(dedent(text))
        return load(path, Files())

    return read


@pytest.fixture
def mistakes(config: Config, authority: Authority) -> Mistakes:
    """Reads a text with mistakes in it; returns them without the folder's name."""

    def read(text: str) -> list[str]:
        with pytest.raises(WebConfigError) as caught:
            config(text)
        return [str(mistake).replace(f"{authority.folder}/", "") for mistake in caught.value.mistakes]

    return read


def tls(more: str = "") -> str:
    """A section of TLS with a certificate and further keys."""
    return "tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n" + indent(
        dedent(more), "  "
    )


# --- What is read ----------------------------------------------------------------------------------------


def test_every_key_has_a_type(config: Config) -> None:
    read = config(
        tls(
            """
            client_ca_file: ca.pem
            client_auth_type: RequireAndVerifyClientCert
            client_allowed_sans: [prometheus.example.com, "0:0:0:0:0:0:0:1", a@example.com, "spiffe://x/y"]
            min_version: TLS12
            max_version: TLS12
            cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384]
            prefer_server_cipher_suites: false
            curve_preferences: [CurveP384]
            """
        )
        + dedent(
            f"""
            http_server_config:
              http2: false
              headers:
                Content-Security-Policy: default-src 'self'
                X-Frame-Options: deny
                X-Content-Type-Options: nosniff
                X-XSS-Protection: ""
                Strict-Transport-Security: max-age=31536000
            basic_auth_users:
              alice: {HASH}
              0: "{HASH}"
            rate_limit: {{interval: 1m0.5s, burst: 20}}
            """
        )
    )

    section = read.tls_server_config
    assert section
    assert section.client_auth_type is ClientAuth.REQUIRE
    assert section.client_allowed_sans == ("prometheus.example.com", "::1", "a@example.com", "spiffe://x/y")
    assert (section.min_version, section.max_version) == (TlsVersion.TLS12, TlsVersion.TLS12)
    assert section.cipher_suites == ("TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",)
    assert section.prefer_server_cipher_suites is False
    assert section.curve_preferences == (Curve.CurveP384,)
    assert read.http_server_config.headers.pairs() == (
        ("Content-Security-Policy", "default-src 'self'"),
        ("X-Frame-Options", "deny"),
        ("X-Content-Type-Options", "nosniff"),
        ("Strict-Transport-Security", "max-age=31536000"),
    )
    assert read.basic_auth_users == (("alice", Secret(HASH)), ("0", Secret(HASH)))
    assert read.rate_limit == RateLimit(interval=60.5, burst=20)


def test_what_is_not_written_has_the_toolkits_defaults(config: Config) -> None:
    assert config("{}") == WebConfig(
        tls_server_config=None,
        http_server_config=HttpConfig(),
        basic_auth_users=(),
        rate_limit=RateLimit(interval=0.0, burst=0),
    )
    section = config(tls()).tls_server_config
    assert section
    assert section.client_auth_type is ClientAuth.NONE
    assert section.client_allowed_sans is None
    assert (section.min_version, section.max_version) == (TlsVersion.TLS12, TlsVersion.TLS13)
    assert section.prefer_server_cipher_suites is True


def test_certificate_and_key_can_stand_in_the_file_itself(config: Config, authority: Authority) -> None:
    certificate = (authority.folder / "server.crt").read_text()
    key = (authority.folder / "server.key").read_text()
    # JSON is YAML.
    section = {"cert": f"Issued to: Zoë\n{certificate}", "key": key}

    assert config(json.dumps({"tls_server_config": section})) == config(tls())


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0", 0), ("0s", 0), ("100ms", 0.1), ("1.5s", 1.5), ("250us", 0.00025), ("1h0m.5s", 3600.5)],
)
def test_an_interval_is_written_as_in_go(config: Config, text: str, seconds: float) -> None:
    assert config(f"rate_limit: {{interval: {text}, burst: 1}}").rate_limit.interval == seconds


# --- What is refused -------------------------------------------------------------------------------------


def test_every_mistake_is_told_at_once_with_its_line_and_remedy(mistakes: Mistakes) -> None:
    found = mistakes(
        """\
        tls_server_config:
          cert_file: missing.crt
          key_file: ca.pem
          min_verison: TLS12
          client_auth_type: RequireAnyClientCert
        http_server_config:
          http2: true
          headers: {X-Powered-By: us, X-Frame-Options: allow}
        basic_auth_users:
          alice: secret
        rate_limit: {interval: 1000, burst: -1}
        """
    )

    assert found == [
        (
            "web.yml:2: tls_server_config.cert_file: missing.crt cannot be read: No such file or directory; "
            "name a file that this process may read"
        ),
        (
            "web.yml:3: tls_server_config.key_file: ca.pem holds no private key in PEM; "
            "write the text that begins with -----BEGIN PRIVATE KEY-----"
        ),
        "web.yml:4: tls_server_config.min_verison: unknown key; did you mean min_version?",
        (
            "web.yml:5: tls_server_config.client_auth_type: RequireAnyClientCert takes a certificate that no "
            "CA vouches for, and Python's TLS takes none of those; "
            "write RequireAndVerifyClientCert, and client_ca_file"
        ),
        "web.yml:7: http_server_config.http2: HTTP/2 is not spoken here; write false, or remove it",
        (
            "web.yml:8: http_server_config.headers.X-Powered-By: unknown key; the keys here are "
            "Content-Security-Policy, X-Frame-Options, X-Content-Type-Options, X-XSS-Protection, "
            "Strict-Transport-Security"
        ),
        (
            'web.yml:8: http_server_config.headers.X-Frame-Options: "allow" means nothing in this header; '
            "write deny or sameorigin"
        ),
        (
            "web.yml:10: basic_auth_users.alice: not a bcrypt hash, which begins with $2a$, $2b$ or $2y$; "
            "make one with: htpasswd -nBC 10 \"\" | tr -d ':\\n'"
        ),
        'web.yml:11: rate_limit.interval: "1000" is not a duration; write it like 100ms or 1m30s',
        (
            'web.yml:11: rate_limit.burst: "-1" is not a whole number from 0 to 1000000; '
            "write such a number in digits alone"
        ),
    ]


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ("cipher_suites: [TLS_RSA_WITH_AES_128_CBC_SHA]", '"TLS_RSA_WITH_AES_128_CBC_SHA" is insecure'),
        ("cipher_suites: [TLS_ECDHE_RSA_WITH_RC4_128_SHA]", '"TLS_ECDHE_RSA_WITH_RC4_128_SHA" is insecure'),
        ("cipher_suites: [TLS_AES_128_GCM_SHA265]", "did you mean TLS_AES_128_GCM_SHA256?"),
        ("cipher_suites: [TLS_AES_128_GCM_SHA256]\nmax_version: TLS12", "none of them is for TLS12"),
        ("curve_preferences: [X25519, CurveP256]", "one curve, and no order of several"),
        ("curve_preferences: [P256]", '"P256" is not known here'),
        ("min_version: SSL30", '"SSL30" is not known here; write one of TLS10, TLS11, TLS12, TLS13'),
        ("min_version: TLS13\nmax_version: TLS12", "min_version: newer than max_version, TLS12"),
        ("client_auth_type: RequireAndVerifyClientCert", "no CA vouches for the clients"),
        ("client_auth_type: VerifyClientCertIfGiven", "no CA vouches for the clients"),
        ("client_ca_file: ca.pem", "client_ca_file: no client is asked for a certificate"),
        ("client_allowed_sans: [x]", "client_allowed_sans: a client may come without a certificate"),
        ("client_allowed_sans: []", "client_allowed_sans: the list is empty"),
        ("cert: ''", "cert and cert_file are given at once"),
    ],
)
def test_a_mistake_in_tls_names_its_key(mistakes: Mistakes, more: str, told: str) -> None:
    (found,) = mistakes(tls(more))

    assert found.startswith(("web.yml:4: tls_server_config.", "web.yml:2: tls_server_config: "))
    assert told in found


@pytest.mark.parametrize("missing", ["cert_file", "key_file"])
def test_a_certificate_without_a_key_is_refused_and_a_key_without_a_certificate(
    mistakes: Mistakes, missing: str
) -> None:
    text = "\n".join(line for line in tls().splitlines() if missing not in line)

    (found,) = mistakes(text)

    assert f"none of {missing.removesuffix('_file')}, {missing} is given" in found


def test_a_key_of_another_certificate_is_refused(mistakes: Mistakes) -> None:
    assert mistakes(tls().replace("server.key", "other.key")) == [
        (
            "web.yml:3: tls_server_config.key_file: does not belong to the certificate; "
            "give the key that the certificate was made for"
        )
    ]


def test_a_key_with_a_passphrase_is_refused_and_nobody_is_asked_for_it(
    mistakes: Mistakes, authority: Authority
) -> None:
    block = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIB\n-----END ENCRYPTED PRIVATE KEY-----\n"
    (authority.folder / "locked.key").write_text(block)

    (found,) = mistakes(tls().replace("server.key", "locked.key"))

    assert "locked.key holds a private key with a passphrase" in found


def test_a_key_in_the_place_of_its_file_is_refused_and_not_repeated(
    mistakes: Mistakes, authority: Authority
) -> None:
    key = (authority.folder / "server.key").read_text()

    (found,) = mistakes(tls().replace("server.key", " ".join(key.splitlines())))

    assert "key_file: this is no path; write the text itself under the key without _file" in found
    assert key.splitlines()[1] not in found


def test_a_key_with_letters_that_no_key_has_is_refused(mistakes: Mistakes, authority: Authority) -> None:
    key = (authority.folder / "server.key").read_text()
    (authority.folder / "damaged.key").write_text(key.replace("\n", "\nü", 1))

    (found,) = mistakes(tls().replace("server.key", "damaged.key"))

    assert "damaged.key holds a private key that is damaged" in found


def test_a_damaged_certificate_is_refused(mistakes: Mistakes, authority: Authority) -> None:
    damaged = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
    (authority.folder / "damaged.pem").write_text(damaged)

    (server,) = mistakes(tls().replace("server.crt", "damaged.pem"))
    (client,) = mistakes(tls(REQUIRED.replace("ca.pem", "damaged.pem")))

    assert "web.yml:2: tls_server_config.cert_file: can't be used with its key" in server
    assert "tls_server_config.client_ca_file: no certificate can be read" in client


@pytest.mark.parametrize(
    "hashed",
    [
        "$2x$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW",
        "$2y$05$CCCCCCCCCCCCCCCCCCCCCCE5YPO9kmyuRGyh0XouQYb4YMJKvyOeW",
        "$2y$31$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW",
        "$apr1$y5Lgs3Gr$QG8LW0y1bPGZ5fXdnGOoV1",
        "{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=",
        "correct horse battery staple",
        "",
    ],
)
def test_what_is_no_hash_that_can_be_checked_is_refused_and_not_repeated(
    mistakes: Mistakes, hashed: str
) -> None:
    (found,) = mistakes(json.dumps({"basic_auth_users": {"alice": hashed}}))

    assert "htpasswd -nBC 10" in found
    assert not hashed or hashed[8:] not in found


@pytest.mark.parametrize("user", ["", "a:b", "a\nb"])
def test_a_user_that_no_client_can_name_is_refused(mistakes: Mistakes, user: str) -> None:
    (found,) = mistakes(json.dumps({"basic_auth_users": {user: HASH}}))

    assert "can't be a user's name" in found


@pytest.mark.parametrize("text", ["max-age=1\r\nSet-Cookie: a=b", "größer", "a\x00b"])
def test_a_header_that_http_can_not_carry_is_refused(mistakes: Mistakes, text: str) -> None:
    headers = {"headers": {"Strict-Transport-Security": text}}

    (found,) = mistakes(json.dumps({"http_server_config": headers}))

    assert "holds a character that an HTTP header cannot carry" in found


@pytest.mark.parametrize("text", ["25h", "1", "1d", "-1s", "s", "1s ago"])
def test_an_interval_that_go_would_not_read_or_that_is_too_long_is_refused(
    mistakes: Mistakes, text: str
) -> None:
    (found,) = mistakes(f"rate_limit: {{interval: {text}, burst: 1}}")

    assert found.startswith(f'web.yml:1: rate_limit.interval: "{text}" is ')


def test_a_limit_that_lets_nothing_through_is_refused(mistakes: Mistakes) -> None:
    assert mistakes("rate_limit: {interval: 1s}") == [
        "web.yml:1: rate_limit: no request would ever be answered; write burst: 1 or more"
    ]


@pytest.mark.parametrize("text", ["", "\n", "\ufeff", "# who may ask\n", "---\n# who\n", "null\n", "~"])
def test_an_empty_file_is_one_that_is_just_being_written(mistakes: Mistakes, text: str) -> None:
    assert mistakes(text) == ["web.yml:1: the file says nothing; write {} to let everybody in"]


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WebConfigError, match=r"web\.yml: cannot be read: No such file or directory"):
        Guard(tmp_path / "web.yml")


def test_what_never_ends_is_not_read(mistakes: Mistakes) -> None:
    (found,) = mistakes(tls().replace("server.crt", "/dev/zero"))

    assert "/dev/zero cannot be read: not a regular file" in found


def test_neither_hashes_nor_keys_are_shown(config: Config, authority: Authority) -> None:
    shown = repr(config(tls() + f"basic_auth_users: {{alice: {HASH}}}\n"))

    assert HASH[10:] not in shown
    for name in ("server.key", "server.crt"):
        assert (authority.folder / name).read_text().splitlines()[1] not in shown


@given(st.text() | st.binary().map(lambda data: data.decode("latin-1")))
def test_whatever_is_written_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.getbasetemp() / "any.yml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))

    with contextlib.suppress(WebConfigError):
        load(path, Files())


@pytest.mark.parametrize("file", ["server.crt", "server.key"])
def test_given_files_that_change_while_they_are_read_then_they_are_read_again(
    tmp_path: Path, file: str
) -> None:
    authority = Authority(tmp_path)
    (tmp_path / "web.yml").write_text(tls())
    authority.issue("server", "127.0.0.1")
    readings = []

    class Rotating(Files):
        """Files that all change when the first reading comes to one of them."""

        def __init__(self) -> None:
            super().__init__()
            readings.append(self)

        def read(self, path: Path) -> bytes:
            data = super().read(path)
            if path.name == file and len(readings) == 1:
                authority.issue("server", "127.0.0.1")
            return data

    config, files = load_settled(tmp_path / "web.yml", Rotating)

    section = config.tls_server_config
    assert section
    assert section.cert.text in (tmp_path / "server.crt").read_text()
    assert section.key.text in (tmp_path / "server.key").read_text()
    assert readings[1:] == [files]


# --- The context -----------------------------------------------------------------------------------------


@pytest.fixture
def context(config: Config) -> Callable[[str], ssl.SSLContext]:
    def make(more: str) -> ssl.SSLContext:
        section = config(tls(more)).tls_server_config
        assert section
        return server_context(section)

    return make


Context = Callable[[str], ssl.SSLContext]


def suites(context: ssl.SSLContext) -> list[str]:
    """The names of the suites for TLS up to 1.2."""
    return [suite["name"] for suite in context.get_ciphers() if not suite["name"].startswith("TLS_")]


def test_the_suites_are_those_named_in_their_order(context: Context) -> None:
    names = "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256, TLS_AES_128_GCM_SHA256"

    named = context(f"cipher_suites: [{names}, TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA]")

    assert suites(named) == ["ECDHE-RSA-CHACHA20-POLY1305", "ECDHE-ECDSA-AES128-SHA"]


def test_given_suites_of_tls_13_alone_then_nothing_older_is_spoken(context: Context) -> None:
    assert context("cipher_suites: [TLS_AES_128_GCM_SHA256]").minimum_version is ssl.TLSVersion.TLSv1_3


@pytest.mark.parametrize(("written", "preferred"), [("true", True), ("false", False)])
def test_whose_order_of_suites_counts_can_be_chosen(context: Context, written: str, preferred: bool) -> None:
    options = context(f"prefer_server_cipher_suites: {written}").options

    assert bool(options & ssl.OP_CIPHER_SERVER_PREFERENCE) is preferred


@pytest.mark.parametrize(
    ("name", "mode"),
    [
        ("NoClientCert", ssl.CERT_NONE),
        ("RequestClientCert", ssl.CERT_NONE),
        ("VerifyClientCertIfGiven", ssl.CERT_OPTIONAL),
        ("RequireAndVerifyClientCert", ssl.CERT_REQUIRED),
    ],
)
def test_what_is_asked_of_a_client(context: Context, name: str, mode: ssl.VerifyMode) -> None:
    ca = "" if name == "NoClientCert" else "\nclient_ca_file: ca.pem"

    assert context(f"client_auth_type: {name}{ca}").verify_mode is mode


# --- Who is let in ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "san",
    [
        ("DNS", "prometheus.example.com"),
        ("IP Address", "192.0.2.1"),
        ("IP Address", "2001:DB8:0:0:0:0:0:1"),
        ("email", "prometheus@example.com"),
        ("URI", "spiffe://example.com/prometheus"),
    ],
)
def test_a_client_with_one_of_the_names_is_let_in(config: Config, san: tuple[str, str]) -> None:
    section = allowing(config)

    assert admits(section, {"subjectAltName": (("DNS", "x.example.com"), san)})


@pytest.mark.parametrize(
    "certificate",
    [
        None,
        {},
        {"subject": ((("commonName", "prometheus.example.com"),),)},
        {"subjectAltName": (("DNS", "evil.example.com"), ("IP Address", "192.0.2.10"))},
        {"subjectAltName": (("DNS", "a.prometheus.example.com"), ("DNS", "*.example.com"))},
        {"subjectAltName": (("DirName", "prometheus.example.com"),)},
        {"subjectAltName": (("IP Address", "<invalid>"),)},
    ],
)
def test_a_client_without_one_of_the_names_is_not_let_in(
    config: Config, certificate: dict[str, object] | None
) -> None:
    assert not admits(allowing(config), certificate)


def allowing(config: Config) -> TlsConfig:
    section = config(
        tls(
            REQUIRED
            + """
  client_allowed_sans:
    - prometheus.example.com
    - 192.0.2.1
    - 2001:db8::1
    - prometheus@example.com
    - spiffe://example.com/prometheus
"""
        )
    ).tls_server_config
    assert section
    return section


# --- The guard -----------------------------------------------------------------------------------------


def test_who_asks_too_often_is_told_when_to_come_again(config: Config, authority: Authority) -> None:
    config("rate_limit: {interval: 90s, burst: 1}")
    guard = Guard(authority.folder / "web.yml")

    assert guard.refusal(None) is None
    refusal = guard.refusal(None)

    assert refusal
    assert refusal.status == 429
    assert re.fullmatch("90|89", dict(refusal.headers)["Retry-After"])


def test_without_a_file_everybody_may_do_everything() -> None:
    guard = Guard(None)

    assert guard.tls is None
    assert guard.admits(None)
    assert guard.known("Basic x")
    assert guard.refusal("Basic x") is None
    assert list(guard.headers) == []
    assert guard.mistakes == ()
