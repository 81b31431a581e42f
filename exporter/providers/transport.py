"""How a provider is asked over HTTP: deadlines, retries, rate limits, size caps, latency.

Every failure leaves here as an `ApiError` with its reason, counted once.
"""

import email.utils
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import requests
import urllib3

from exporter.http_client import Deadline, TooLargeError, create_session, read_body
from exporter.model import Account, Clock, Endpoint, ErrorReason
from exporter.providers.service import ApiError, RequestTelemetry

MAX_ANSWER: Final = 32 * 1024 * 1024
"""Bytes of one answer, decompressed; a page of 1,000 Livepeer tasks is about 1 MiB."""

DEFAULT_PAUSE: Final = 30.0
"""Seconds to wait after a 429 that does not say how long."""

MAX_PAUSE: Final = 3600.0
"""Seconds; a provider that asks for more is asked again all the same."""

_CLOCK_TOLERANCE: Final = 5.0
_EXCERPT: Final = 200
_TIMEOUTS: Final = (
    TimeoutError,
    urllib3.exceptions.ReadTimeoutError,
    urllib3.exceptions.ConnectTimeoutError,
)
_RETRIED_STATUS: Final = frozenset({502, 503, 504})


@dataclass(frozen=True, slots=True)
class Answer:
    """A 2xx answer, or one of the status that the caller accepts."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def moment(self, now: float) -> float:
        """Return when it was made, by the clock of the server.

        A `Date` has whole seconds and is on its way for a while: one that is no further from `now`, our
        own time, tells no difference between the clocks.
        """
        date = http_date(self.headers.get("Date", ""))
        return now if date is None or abs(date - now) <= _CLOCK_TOLERANCE else date


@dataclass(frozen=True, slots=True)
class _Question:
    """One request, whichever times it is made."""

    endpoint: Endpoint
    method: str
    url: str
    timeout: float
    parameters: Mapping[str, str] | None = None
    form: Mapping[str, str] | None = None
    accept: int | None = None

    @property
    def place(self) -> str:
        """The part of the URL that may be shown: the query, and all of a discovery's, can hold a secret."""
        url = urllib3.util.parse_url(self.url)
        path = "" if self.endpoint is Endpoint.QENCODE_TOKENS else url.path or ""
        return f"{url.netloc or self.url}{path}"


class Transport:
    """One account's connections to its provider. Safe for several threads."""

    def __init__(
        self,
        account: Account,
        *,
        timeout: float,
        concurrency: int,
        clock: Clock,
        telemetry: RequestTelemetry,
        api_key: str = "",
    ) -> None:
        """Open nothing yet.

        Args:
            account: Whose requests these are, in the metrics.
            timeout: Seconds for one request, from connecting to the last byte.
            concurrency: Connections that are kept.
            clock: For latencies and pauses.
            telemetry: Where requests and errors are counted.
            api_key: Sent as a bearer token; never shown.
        """
        self._account = account
        self._timeout = timeout
        self._clock = clock
        self._telemetry = telemetry
        self._api_key = api_key
        self._paused_until = 0.0
        self._session = create_session(api_key, concurrency)

    @property
    def pause(self) -> float:
        """Seconds for which the provider wants no request."""
        return max(0.0, self._paused_until - self._clock.monotonic())

    def wait(self, seconds: float | None) -> None:
        """Ask nothing for so many seconds; None: the provider did not say how many."""
        seconds = DEFAULT_PAUSE if seconds is None else min(max(seconds, 1.0), MAX_PAUSE)
        self._paused_until = max(self._paused_until, self._clock.monotonic() + seconds)

    def get(
        self,
        endpoint: Endpoint,
        url: str,
        parameters: Mapping[str, str] | None = None,
        *,
        accept: int | None = None,
    ) -> Answer:
        """GET with retries; `accept` is an HTTP status that is an answer too. Raises `ApiError`."""
        return self._request(
            _Question(endpoint, "GET", url, self._timeout, parameters=parameters, accept=accept)
        )

    def post(
        self, endpoint: Endpoint, url: str, form: Mapping[str, str], timeout: float | None = None
    ) -> Answer:
        """POST a form with retries; only for calls that change nothing. Raises `ApiError`."""
        return self._request(_Question(endpoint, "POST", url, timeout or self._timeout, form=form))

    def error(
        self,
        endpoint: Endpoint,
        reason: ErrorReason,
        message: str,
        *,
        status: int | None = None,
        retry_after: float | None = None,
    ) -> ApiError:
        """Count an error and return it, to be raised; the API key is taken out of the message."""
        self._telemetry.failed(self._account, endpoint, reason)
        if reason is ErrorReason.RATE_LIMITED:
            self.wait(retry_after)
        return ApiError(
            self._redact(message), reason=reason, endpoint=endpoint, status=status, retry_after=retry_after
        )

    def close(self) -> None:
        """Close the connections that are idle."""
        self._session.close()

    def _request(self, question: _Question) -> Answer:
        """Ask, and once more after a fault that tends to pass: the calls are reads and can be repeated."""
        try:
            return self._ask(question)
        except ApiError as error:
            if error.reason is not ErrorReason.CONNECTION and error.status not in _RETRIED_STATUS:
                raise
        time.sleep(random.uniform(0.1, 0.5))  # noqa: S311 - spreads the retries, keeps no secret
        return self._ask(question)

    def _ask(self, question: _Question) -> Answer:
        if self.pause:
            raise ApiError(
                f"not asked: the provider refused us and is left alone for {self.pause:.0f} s more",
                reason=ErrorReason.RATE_LIMITED,
                endpoint=question.endpoint,
            )
        started = self._clock.monotonic()
        deadline = Deadline(question.timeout)
        code = "none"
        try:
            with deadline:
                response = self._session.request(
                    question.method,
                    question.url,
                    params=question.parameters,
                    data=question.form,
                    stream=True,
                    timeout=question.timeout,
                    allow_redirects=False,
                )
                # Kept before the body is read: it may break off.
                code = str(response.status_code)
                with response:
                    body = read_body(response.raw, MAX_ANSWER)
                if deadline.passed:
                    # Cut off, a body without a length looks complete.
                    raise TimeoutError("the answer took too long")
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            reason = _reason(error, overdue=deadline.passed)
            raise self.error(question.endpoint, reason, f"{question.place}: {_innermost(error)}") from None
        except TooLargeError:
            raise self.error(
                question.endpoint,
                ErrorReason.TOO_LARGE,
                f"{question.place}: the answer exceeds {MAX_ANSWER} bytes",
            ) from None
        finally:
            self._telemetry.requested(
                self._account, question.endpoint, code, self._clock.monotonic() - started
            )
        if 200 <= response.status_code < 300 or response.status_code == question.accept:
            return Answer(response.status_code, response.headers, body)
        raise self._refusal(question, response, body)

    def _refusal(self, question: _Question, response: requests.Response, body: bytes) -> ApiError:
        status = response.status_code
        words = "redirects are not followed, set base_url to the final address"
        if question.endpoint is Endpoint.QENCODE_TOKENS:
            # It may repeat its URL, which may hold a secret.
            words = ""
        elif status // 100 != 3:
            # Redacted before it is cut, lest half a key be left at the end.
            words = " ".join(self._redact(body.decode(errors="replace"))[: 4 * _EXCERPT].split())[:_EXCERPT]
        return self.error(
            question.endpoint,
            _refusal_reason(status),
            f"{question.place}: HTTP {status} {words}".rstrip(),
            status=status,
            retry_after=_retry_after(response.headers.get("Retry-After"), self._clock.time()),
        )

    def _redact(self, text: str) -> str:
        return text.replace(self._api_key, "***") if self._api_key else text


def _reason(error: Exception, *, overdue: bool) -> ErrorReason:
    inner = _innermost(error)
    if overdue or isinstance(error, requests.Timeout) or isinstance(inner, _TIMEOUTS):
        return ErrorReason.TIMEOUT
    if isinstance(error, requests.exceptions.SSLError):
        return ErrorReason.TLS
    if isinstance(error, urllib3.exceptions.DecodeError):
        return ErrorReason.INVALID_RESPONSE
    return ErrorReason.CONNECTION


def _innermost(error: BaseException) -> BaseException:
    """Return the cause at the bottom, the only one that is short: requests wraps urllib3 wraps sockets."""
    seen = {id(error)}
    while True:
        inner = getattr(error, "reason", None)
        if not isinstance(inner, BaseException):
            inner = next((arg for arg in error.args if isinstance(arg, BaseException)), None)
        inner = inner or error.__cause__
        if inner is None or id(inner) in seen:
            return error
        seen.add(id(inner))
        error = inner


def _refusal_reason(status: int) -> ErrorReason:
    if status in (401, 403):
        return ErrorReason.AUTH
    if status == 429:
        return ErrorReason.RATE_LIMITED
    if status >= 500:
        return ErrorReason.SERVER
    if status >= 400:
        return ErrorReason.CLIENT
    return ErrorReason.INVALID_RESPONSE


def _retry_after(text: str | None, now: float) -> float | None:
    """Read a Retry-After header: seconds, or a date (RFC 9110, 10.2.3)."""
    if text is None or text.strip().isdecimal():
        return float(text) if text else None
    date = http_date(text)
    return None if date is None else date - now


def http_date(text: str) -> float | None:
    """Read a date as in the headers `Date` and `Retry-After`; None if it is none."""
    try:
        return email.utils.parsedate_to_datetime(text).timestamp()
    except (ValueError, OverflowError):
        return None
