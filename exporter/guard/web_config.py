"""The file of `--web.config.file`, in the format of Prometheus' exporter toolkit.

`load` turns it into typed settings, or raises all its mistakes at once.
"""

# ruff: noqa: RUF009 - option() and its kin are field() with a schema in it

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final, Generic, NamedTuple, TypeVar

from yaml.nodes import MappingNode, Node

from exporter.config_values import Flag, Number
from exporter.guard.files import Files
from exporter.guard.tls import TlsError, server_context
from exporter.guard.tls_config import TlsConfig
from exporter.guard.web_values import SUITES, ClientAuth, GoDuration, HeaderText, PasswordHash, TlsVersion
from exporter.schema import InvalidValueError, Option, Outside, Section, one_of, option, optional, read
from exporter.secret import Secret
from exporter.strict_yaml import ConfigError, Mistake, Site, entries, quoted

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

S = TypeVar("S", bound="DataclassInstance")


class WebConfigError(ConfigError):
    """A web configuration that cannot be used, with all of its mistakes in the order of their lines."""


class _Clash(NamedTuple):
    """Values of a section that are fine each, but not together."""

    field: str
    problem: str
    remedy: str


@dataclass(frozen=True)
class _Ruled(Generic[S]):
    """A reader of a section whose values have to fit each other."""

    section: Section[S]
    rules: Callable[[S], Iterator[_Clash]]
    kind: ClassVar[str] = Section.kind

    def read(self, node: Node, site: Site, outside: Outside) -> S:
        """Return the section."""
        value = self.section.read(node, site, outside)
        given, _ = entries(site.expect(node, MappingNode, self.kind), site)
        mistakes = []
        for clash in self.rules(value):
            # What comes from a file is written under another key.
            key = next((key for key in (clash.field, f"{clash.field}_file") if key in given), None)
            where, named = (given[key].key, site.below(key, ours=True)) if key else (node, site)
            mistakes.append(named.mistake(where, clash.problem, clash.remedy))
        if mistakes:
            raise ConfigError(mistakes)
        return value


@dataclass(frozen=True)
class _UsersReader:
    """Reads the bcrypt hashes of the users' passwords."""

    kind: ClassVar[str] = "a mapping of user names to bcrypt hashes"

    def read(self, node: Node, site: Site, outside: Outside) -> tuple[tuple[str, Secret], ...]:
        """Return the hash of each user."""
        given, mistakes = entries(site.expect(node, MappingNode, self.kind), site)
        hashes = {}
        for user, entry in given.items():
            if not user or ":" in user or not user.isprintable():
                remedy = "write a name without colon and control characters"
                mistakes.append(site.mistake(entry.key, f"{quoted(user)} can't be a user's name", remedy))
            try:
                hashes[user] = PasswordHash().read(entry.value, site.below(user), outside)
            except ConfigError as error:
                mistakes += error.mistakes
        if mistakes:
            raise ConfigError(mistakes)
        return tuple(hashes.items())


@dataclass(frozen=True)
class _Http2(Flag):
    """The switch of HTTP/2, which is off."""

    kind = "false"

    def parse(self, text: str, outside: Outside) -> bool:
        """Return False."""
        if super().parse(text, outside):
            raise InvalidValueError("HTTP/2 is not spoken here", "write false, or remove it")
        return False


def _header(name: str, about: str, *accepted: str) -> Any:
    return one_of(Option(name, HeaderText(accepted), about), required=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Headers:
    """Headers of every answer."""

    content_security_policy: str | None = _header("Content-Security-Policy", "What a page may load.")
    x_frame_options: str | None = _header("X-Frame-Options", "Who may frame a page.", "deny", "sameorigin")
    x_content_type_options: str | None = _header("X-Content-Type-Options", "No guessing of types.", "nosniff")
    x_xss_protection: str | None = _header("X-XSS-Protection", "What old browsers do about scripts.")
    strict_transport_security: str | None = _header(
        "Strict-Transport-Security", "For how long browsers come by https only."
    )

    def pairs(self) -> tuple[tuple[str, str], ...]:
        """Return the names and values of those that are set."""
        names = {
            "Content-Security-Policy": self.content_security_policy,
            "X-Frame-Options": self.x_frame_options,
            "X-Content-Type-Options": self.x_content_type_options,
            "X-XSS-Protection": self.x_xss_protection,
            "Strict-Transport-Security": self.strict_transport_security,
        }
        return tuple((name, text) for name, text in names.items() if text)


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpConfig:
    """How HTTP is spoken."""

    http2: bool = option(_Http2(), "HTTP/2; only false is possible.", default="false")
    headers: Headers = option(Section(Headers), "Headers of every answer.", default="{}")


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimit:
    """How often the server may be asked, by all clients together; 0 seconds: without limit."""

    interval: float = option(GoDuration(), "The time between two requests.", default="0")
    burst: int = option(Number(0, 1_000_000), "How many requests may come at once.", default="0")


def _rate_clashes(limit: RateLimit) -> Iterator[_Clash]:
    if limit.interval and not limit.burst:
        yield _Clash("burst", "no request would ever be answered", "write burst: 1 or more")


def _tls_clashes(tls: TlsConfig) -> Iterator[_Clash]:
    if tls.min_version > tls.max_version:
        yield _Clash("min_version", f"newer than max_version, {tls.max_version}", "swap them, or remove one")
    verifying = tls.client_auth_type in (ClientAuth.VERIFY_IF_GIVEN, ClientAuth.REQUIRE)
    if verifying and not tls.client_ca:
        yield _Clash("client_auth_type", "no CA vouches for the clients", "give client_ca_file or client_ca")
    if tls.client_ca and tls.client_auth_type is ClientAuth.NONE:
        remedy = f"write client_auth_type: {ClientAuth.REQUIRE}"
        yield _Clash("client_ca", "no client is asked for a certificate", remedy)
    if tls.client_allowed_sans and tls.client_auth_type is not ClientAuth.REQUIRE:
        remedy = f"write client_auth_type: {ClientAuth.REQUIRE}"
        yield _Clash("client_allowed_sans", "a client may come without a certificate", remedy)
    if len(tls.curve_preferences) > 1:
        problem = "Python's TLS can be given one curve, and no order of several"
        yield _Clash("curve_preferences", problem, "keep one, or remove the list: OpenSSL's own is good")
    if (
        tls.cipher_suites
        and tls.max_version < TlsVersion.TLS13
        and SUITES.keys().isdisjoint(tls.cipher_suites)
    ):
        yield _Clash(
            "cipher_suites", f"none of them is for {tls.max_version}", "add one, or remove max_version"
        )
    try:
        server_context(tls)
    except TlsError as error:
        yield _Clash(error.field, error.problem, error.remedy)


@dataclass(frozen=True, slots=True, kw_only=True)
class WebConfig:
    """The whole web configuration."""

    tls_server_config: TlsConfig | None = optional(
        _Ruled(Section(TlsConfig), _tls_clashes), "How connections are encrypted; none: they are not."
    )
    http_server_config: HttpConfig = option(Section(HttpConfig), "How HTTP is spoken.", default="{}")
    basic_auth_users: tuple[tuple[str, Secret], ...] = option(
        _UsersReader(), "Who may come in, and the hashes of their passwords; none: everybody.", default="{}"
    )
    rate_limit: RateLimit = option(
        _Ruled(Section(RateLimit), _rate_clashes), "How often the server may be asked.", default="{}"
    )


_WEB_CONFIG: Final = Section(WebConfig)

_READINGS: Final = 5
"""How often a reading begins, at most, because a file changed under the one before."""


def load_settled(path: Path, look: Callable[[], Files] = Files) -> tuple[WebConfig, Files]:
    """Read the web configuration; anew if a file changes under way, for then it may be half old and half new.

    Args:
        path: Its file; relative paths in it start from its folder.
        look: Makes what reads the files.

    Returns:
        The configuration, and the files that it was read from.

    Raises:
        WebConfigError: With every mistake there is.
    """
    for _ in range(_READINGS - 1):
        files = look()
        try:
            config = load(path, files)
        except WebConfigError:
            if not files.changed():
                raise
        else:
            if not files.changed():
                return config, files
    files = look()
    return load(path, files), files


def load(path: Path, files: Files) -> WebConfig:
    """Read the web configuration.

    Args:
        path: Its file; relative paths in it start from its folder.
        files: Reads it, and the files that it names.

    Raises:
        WebConfigError: With every mistake there is.
    """

    def read_text(other: Path) -> str:
        # In a PEM file, any text may stand between the blocks.
        return files.read(other).decode("latin-1")

    try:
        return read(_text(path, files), str(path), _WEB_CONFIG, Outside({}, path.parent, read_text))
    except ConfigError as error:
        raise WebConfigError(error.mistakes) from None


def _text(path: Path, files: Files) -> str:
    try:
        text = files.read(path).decode("utf-8-sig")
    except OSError as error:
        mistake = Mistake(str(path), None, "", f"cannot be read: {error.strerror}", "name a readable file")
        raise ConfigError([mistake]) from None
    except UnicodeDecodeError:
        raise ConfigError([Mistake(str(path), None, "", "not UTF-8 text", "save it as UTF-8")]) from None
    said = {line.partition("#")[0].strip() for line in text.splitlines()}
    if said <= {"", "---", "null", "~"}:
        # What is being written is empty for a moment, or has its first comments only; and that must not let
        # everybody in.
        raise ConfigError(
            [Mistake(str(path), 1, "", "the file says nothing", "write {} to let everybody in")]
        )
    return text
