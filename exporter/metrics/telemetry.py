"""How asking went, as providers and poller tell it: ordinary prometheus_client instruments."""

import platform
import threading
from collections.abc import Callable, Collection, Mapping
from functools import wraps
from typing import Concatenate, Final, ParamSpec

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from exporter import __version__
from exporter.metrics import families
from exporter.metrics.families import Family
from exporter.model import Account, Endpoint, ErrorReason, Outcome, Provider

ENDPOINTS: Final[Mapping[Provider, tuple[Endpoint, ...]]] = {
    Provider.QENCODE: (Endpoint.QENCODE_API, Endpoint.QENCODE_MASTER, Endpoint.QENCODE_TOKENS),
    Provider.LIVEPEER: (Endpoint.LIVEPEER_LIST, Endpoint.LIVEPEER_TASK),
}

P = ParamSpec("P")


def _of_watched(
    method: Callable[Concatenate["Telemetry", Account, P], None],
) -> Callable[Concatenate["Telemetry", Account, P], None]:
    """Do nothing for an account that was forgotten: a poll of it may still run, and would bring it back."""

    @wraps(method)
    def guarded(self: "Telemetry", account: Account, /, *args: P.args, **kwargs: P.kwargs) -> None:
        with self.lock:
            if account not in self.forgotten:
                method(self, account, *args, **kwargs)

    return guarded


class Telemetry:
    """Counts requests, errors and polls, in a registry."""

    def __init__(self, registry: CollectorRegistry, *, shard: int = 0, total_shards: int = 1) -> None:
        """Register every family of the kind.

        Args:
            registry: Where.
            shard: Which one this is, from 0, of the exporters that share the tasks.
            total_shards: How many do.
        """
        self.lock = threading.Lock()
        self.forgotten: set[Account] = set()
        self._sources: dict[Account, Collection[str]] = {}
        self._requests = _counter(families.API_REQUESTS, registry)
        self._request_duration = _histogram(families.API_DURATION, registry)
        self._errors = _counter(families.API_ERRORS, registry)
        self._unknown_tokens = _gauge(families.UNKNOWN_TOKENS, registry)
        self._up = _gauge(families.UP, registry)
        self._polls = _counter(families.POLLS, registry)
        self._poll_duration = _histogram(families.POLL_DURATION, registry)
        self._last_success = _gauge(families.POLL_LAST_SUCCESS, registry)
        self._token_source_up = _gauge(families.TOKEN_SOURCE_UP, registry)
        self._of_accounts = (
            *(self._requests, self._request_duration, self._errors, self._unknown_tokens, self._up),
            *(self._polls, self._poll_duration, self._last_success, self._token_source_up),
        )
        self._ledger_degraded = _gauge(families.LEDGER_DEGRADED, registry)
        self._ledger_set_aside = _gauge(families.LEDGER_SET_ASIDE, registry)
        self._reload_successful = _gauge(families.RELOAD_SUCCESSFUL, registry)
        self._reload_timestamp = _gauge(families.RELOAD_TIMESTAMP, registry)
        self._web_reload_successful = _gauge(families.WEB_RELOAD_SUCCESSFUL, registry)
        # Without such a file, nothing in it can be wrong.
        self._web_reload_successful.set(1)
        _gauge(families.BUILD_INFO, registry).labels(__version__, platform.python_version()).set(1)
        _gauge(families.SHARD_ORDINAL, registry).set(shard)
        _gauge(families.TOTAL_SHARDS, registry).set(total_shards)

    def watch(self, account: Account) -> None:
        """Expose every known combination of an account at 0, so that its first error is an increase."""
        with self.lock:
            self.forgotten.discard(account)
        self._up.labels(*account).set(0)
        self._poll_duration.labels(*account)
        for outcome in Outcome:
            self._polls.labels(*account, outcome)
        for endpoint in ENDPOINTS[account.provider]:
            self._requests.labels(*account, endpoint, "200")
            self._requests.labels(*account, endpoint, "none")
            self._request_duration.labels(*account, endpoint)
            for reason in ErrorReason:
                self._errors.labels(*account, endpoint, reason)
        if account.provider is Provider.QENCODE:
            self._unknown_tokens.labels(*account).set(0)

    @_of_watched
    def requested(self, account: Account, endpoint: Endpoint, code: str, seconds: float) -> None:
        """Count a request and its latency; `code` is the HTTP status or `none`."""
        self._requests.labels(*account, endpoint, code).inc()
        self._request_duration.labels(*account, endpoint).observe(seconds)

    @_of_watched
    def failed(self, account: Account, endpoint: Endpoint, reason: ErrorReason) -> None:
        """Count an error by its reason."""
        self._errors.labels(*account, endpoint, reason).inc()

    @_of_watched
    def unknown_tokens(self, account: Account, tokens: Collection[str]) -> None:
        """Tell how many tokens the API does not know at present."""
        self._unknown_tokens.labels(*account).set(len(tokens))

    @_of_watched
    def token_sources(self, account: Account, good: Mapping[str, bool]) -> None:
        """Tell of each source of tokens whether it could be read."""
        for source in set(self._sources.get(account, ())) - good.keys():
            self._token_source_up.remove(*account, source)
        self._sources[account] = tuple(good)
        for source, up in good.items():
            self._token_source_up.labels(*account, source).set(up)

    def ledger_degraded(self, degraded: bool) -> None:
        """Tell whether what is new is kept in memory only, because the ledger fails."""
        self._ledger_degraded.set(degraded)

    def ledger_set_aside(self, count: Callable[[], int]) -> None:
        """Ask `count` at each scrape how many damaged ledgers lie beside the one in use; it may not raise."""
        self._ledger_set_aside.set_function(count)

    @_of_watched
    def polled(self, account: Account, outcome: Outcome) -> None:
        """Count a poll by its outcome."""
        self._polls.labels(*account, outcome).inc()

    @_of_watched
    def poll_ended(self, account: Account, seconds: float, *, up: bool, success_at: float | None) -> None:
        """Tell that a poll is over: how long it took, whether it worked, and when, if all of it did."""
        self._poll_duration.labels(*account).observe(seconds)
        self._up.labels(*account).set(up)
        if success_at is not None:
            self._last_success.labels(*account).set(success_at)

    @_of_watched
    def poll_late(self, account: Account) -> None:
        """Tell that a poll is not over at the deadline of a scrape."""
        self._up.labels(*account).set(0)

    def forget(self, account: Account) -> None:
        """Drop every series of an account that is no longer watched."""
        labels = dict(zip(families.ACCOUNT, account, strict=True))
        with self.lock:
            self.forgotten.add(account)
            self._sources.pop(account, None)
            for instrument in self._of_accounts:
                instrument.remove_by_labels(labels)

    def misconfigured(self) -> None:
        """Tell that the configuration has a mistake, and the one before stays in force."""
        self._reload_successful.set(0)

    def configured(self, *, at: float) -> None:
        """Tell that the configuration was read without a mistake."""
        self._reload_successful.set(1)
        self._reload_timestamp.set(at)

    def web_configured(self, successful: bool) -> None:
        """Tell whether the web configuration was read without a mistake; if not, the one before stays."""
        self._web_reload_successful.set(successful)


def _gauge(family: Family, registry: CollectorRegistry) -> Gauge:
    return Gauge(family.name, family.help, family.labels, registry=registry)


def _counter(family: Family, registry: CollectorRegistry) -> Counter:
    return Counter(family.name, family.help, family.labels, registry=registry)


def _histogram(family: Family, registry: CollectorRegistry) -> Histogram:
    return Histogram(family.name, family.help, family.labels, buckets=family.buckets, registry=registry)
