"""Qencode: which calls a poll needs, in batches, at the masters and at api.qencode.com.

There is no call that lists an account's jobs: the tokens to ask about come from the configuration. Each
status names its *master*, which knows more and sooner; api.qencode.com is the quick look, and the fallback
when a master is down (the vendor's page "Getting Task Status"). Finished jobs no longer change and are never
asked about again.
"""

import itertools
import time
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import msgspec
import structlog

from exporter.model import Account, Clock, Endpoint, ErrorReason
from exporter.providers.parallel import unfold
from exporter.providers.qencode_answer import Refusal, Statuses, Verdict, lags, read
from exporter.providers.qencode_calls import Call, batches
from exporter.providers.qencode_masters import Masters
from exporter.providers.qencode_roster import ENDED_KEPT, Roster
from exporter.providers.qencode_tokens import Tokens, UnknownTokens, Watched, veiled, veiled_status
from exporter.providers.service import ApiError, Gone, Known, Label, Page, Part, TokenTelemetry, Trouble
from exporter.providers.transport import Transport

HALVINGS: Final = 200
"""Refused batches that one poll halves: a list of wrong tokens must not become a storm of requests."""

ALONE_A_POLL: Final = 20
"""Refused tokens that one poll asks about again, each alone."""

INTERNAL_ERROR_PAUSE: Final = 0.5
"""Seconds before the one retry after an internal error of the API."""

_MAX_WORDS: Final = 200

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Found:
    """What one call brought, and from where."""

    endpoint: Endpoint
    part: Page | Trouble


class Qencode:
    """One account at Qencode. `poll` is called by one thread at a time."""

    def __init__(
        self,
        account: Account,
        *,
        tokens: Tokens,
        roster: Roster,
        transport: Transport,
        telemetry: TokenTelemetry,
        clock: Clock,
        timeout: float,
        concurrency: int,
        retention: float,
        base_url: str = "https://api.qencode.com",
        allowed_hosts: Sequence[str] = ("*.qencode.com",),
        label: Label = str,
    ) -> None:
        """Ask nothing yet.

        Args:
            account: The account.
            tokens: The tokens to watch.
            roster: Compares them with what is known.
            transport: How to ask.
            telemetry: Where to tell the unknown tokens.
            clock: For waits and rechecks.
            timeout: Seconds for one request.
            concurrency: Requests at once.
            retention: Seconds for which a task is kept once its token is no longer watched or known.
            base_url: The API.
            allowed_hosts: Globs of the hosts that a `status_url` may name.
            label: What people may see of a token.
        """
        self.account = account
        self._tokens = tokens
        self._transport = transport
        self._telemetry = telemetry
        self._clock = clock
        # A master gets half the time, so that the fallback fits into the same scrape.
        self._timeouts = {Endpoint.QENCODE_API: timeout, Endpoint.QENCODE_MASTER: timeout / 2}
        self._concurrency = concurrency
        self._retention = retention
        self._api = f"{base_url}/v1/status"
        self._label = label
        self._masters = Masters(
            account,
            clock,
            hosts=allowed_hosts,
            plain=base_url.startswith("http://"),
            show=lambda text, token: veiled(text, (token,), label),
        )
        self._unknown = UnknownTokens(clock)
        self._roster = roster
        self._halvings: Iterator[None] = iter(())

    @property
    def pause(self) -> float:
        """Seconds for which Qencode wants no request."""
        return self._transport.pause

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    def poll(self, known: Known) -> Iterator[Part]:
        """Ask about every token that has not ended; yield what each call brings as soon as it is there."""
        watched = self._tokens.current()
        failures = self._tokens.failures
        self._telemetry.token_sources(
            self.account, {source: source not in failures for source in self._tokens.sources}
        )
        for source, words in failures.items():
            words = f"{source}: {words}; the last good list, if there was one, stays"
            yield Trouble(
                ApiError(words, reason=ErrorReason.INVALID_RESPONSE, endpoint=Endpoint.QENCODE_TOKENS)
            )
        yield Gone(self._forget(known, watched))
        for task in known.active.values():
            if self._masters.of(task.id) is None:
                # Told to an earlier process: to ask elsewhere would take its tasks back to a quick look.
                self._masters.learn(task.id, task.seen.master)
        calls = list(self._calls(self._roster.due(known)))
        if not calls:
            # Nothing to ask is an answer: the account is not down because a source of tokens is.
            yield Page(())
        self._halvings = itertools.repeat(None, HALVINGS)
        before = set(self._unknown.entries)
        for found in unfold(calls, lambda call: self._work(call, watched), self._concurrency):
            yield self._compared(found, known)
        self._tell_unknown(self._unknown.entries.keys() - before)
        self._telemetry.unknown_tokens(self.account, self._unknown.entries)

    def _forget(self, known: Known, watched: Mapping[str, Watched]) -> tuple[str, ...]:
        """Return the tasks to forget: those that have been unwatched, or unknown to the API, for too long."""
        now = self._clock.monotonic()
        self._roster.update(watched, known, now)
        self._unknown.keep(watched.keys())
        self._masters.keep(known.active.keys() & watched.keys())
        unknown = self._unknown.entries
        since = [*self._roster.left.items(), *((token, entry.since) for token, entry in unknown.items())]
        gone = tuple(
            token for token, start in since if token in known.tasks and now - start > self._keep(token, known)
        )
        self._roster.forgotten(gone)
        return gone

    def _keep(self, token: str, known: Known) -> float:
        return self._retention if token in known.active else max(ENDED_KEPT, self._retention)

    def _calls(self, tokens: Iterable[str]) -> Iterator[Call]:
        """Group the tokens that are due by where they are asked about."""
        asked_at = defaultdict(list)
        rechecked: list[str] = []
        alone: list[str] = []
        for token in tokens:
            if (unknown := self._unknown.entries.get(token)) is None:
                url = self._masters.of(token) or self._api
                asked_at[self._api if self._masters.rests(url) else url].append(token)
            elif not self._unknown.due(unknown):
                continue
            else:
                (alone if unknown.alone else rechecked).append(token)
        for url, group in asked_at.items():
            endpoint = Endpoint.QENCODE_API if url == self._api else Endpoint.QENCODE_MASTER
            yield from batches(url, endpoint, group)
        yield from self._at_api(rechecked)
        for token in alone[:ALONE_A_POLL]:
            yield Call(self._api, Endpoint.QENCODE_API, (token,))

    def _compared(self, found: _Found, known: Known) -> Part:
        """Take out of an answer what is older than what is known."""
        if isinstance(found.part, Trouble):
            return found.part
        fresh = []
        for seen in found.part.observations:
            before = known.task(seen.task)
            if before is None:
                fresh.append(seen)
                continue
            quick_look = found.endpoint is Endpoint.QENCODE_API and self._masters.of(seen.task) is not None
            if not (quick_look and lags(seen, before.seen)):
                # Only masters tell warnings, and not all answers a master: none takes back what another told.
                fresh.append(
                    msgspec.structs.replace(
                        seen,
                        warnings=max(seen.warnings, before.seen.warnings),
                        master=seen.master or before.seen.master,
                    )
                )
        return Page(tuple(fresh))

    def _work(self, call: Call, watched: Mapping[str, Watched]) -> tuple[Sequence[_Found], Sequence[Call]]:
        """Make one call; return what it brought, and the calls that it leads to."""
        at_master = call.endpoint is Endpoint.QENCODE_MASTER
        if at_master and self._masters.rests(call.url):
            # Another batch has found it failing a moment ago.
            return (), self._at_api(call.tokens)
        try:
            answer = self._ask(call, watched)
            if isinstance(answer, Refusal):
                return (), self._narrow(call, answer)
            return self._take(call, answer)
        except ApiError as error:
            if at_master and error.reason is not ErrorReason.RATE_LIMITED:
                self._masters.rest(call.url)
                return (), self._at_api(call.tokens)
            return (_Found(call.endpoint, Trouble(error)),), ()

    def _take(self, call: Call, answer: Statuses) -> tuple[Sequence[_Found], Sequence[Call]]:
        """Keep what an answer says about where to ask; raises `ApiError` if nothing in it could be read."""
        for token, seen in answer.observations.items():
            self._masters.learn(token, seen.master)
        told = answer.observations.keys() | answer.malformed.keys()
        self._unknown.discard(told)
        errors = [
            self._transport.error(call.endpoint, ErrorReason.INVALID_RESPONSE, mistake)
            for mistake in answer.malformed.values()
        ]
        if errors:
            _log.warning(
                "statuses skipped",
                account=str(self.account),
                number=len(errors),
                task=self._label(next(iter(answer.malformed))),
                error=str(errors[0]),
            )
            if not answer.observations:
                raise errors[0]
        found = _Found(call.endpoint, Page(tuple(answer.observations.values())))
        if call.endpoint is Endpoint.QENCODE_MASTER:
            return (found,), self._at_api(
                [token for token in call.tokens if token not in answer.observations]
            )
        self._not_known((token for token in call.tokens if token not in told), alone=False)
        return (found,), ()

    def _ask(self, call: Call, watched: Mapping[str, Watched]) -> Statuses | Refusal:
        """POST one batch; raises `ApiError` for anything but statuses and tokens that are refused."""
        answer = self._post(call, watched)
        if isinstance(answer, Refusal) and answer.verdict is Verdict.RETRY:
            time.sleep(INTERNAL_ERROR_PAUSE)
            answer = self._post(call, watched)
        if isinstance(answer, Statuses) or answer.verdict is Verdict.NARROW:
            return answer
        words = veiled(answer.message, call.tokens, self._label)[:_MAX_WORDS]
        message = f"API error {answer.code} {words}".rstrip()
        if answer.verdict is Verdict.REPORT:
            _log.error("the API misses a field: please report this as a bug", error=message)
        if answer.verdict is Verdict.GIVE_UP and call.endpoint is Endpoint.QENCODE_API:
            # The account's other batches would be refused as well.
            self._transport.wait(None)
        raise self._transport.error(
            call.endpoint,
            ErrorReason.RATE_LIMITED if answer.verdict is Verdict.WAIT else ErrorReason.API,
            message,
            retry_after=answer.retry_after,
        )

    def _post(self, call: Call, watched: Mapping[str, Watched]) -> Statuses | Refusal:
        form = {"task_tokens": ",".join(call.tokens)}
        try:
            answer = self._transport.post(call.endpoint, call.url, form, self._timeouts[call.endpoint])
        except ApiError as error:
            # It can hold words of the answer, and an answer can repeat the question.
            error.args = (veiled(str(error), call.tokens, self._label),)
            raise
        try:
            found = read(answer.body, {token: watched[token] for token in call.tokens})
        except msgspec.DecodeError as error:
            raise self._transport.error(call.endpoint, ErrorReason.INVALID_RESPONSE, str(error)) from None
        if isinstance(found, Refusal):
            return found
        shown = {
            token: veiled_status(seen, call.tokens, self._label) for token, seen in found.observations.items()
        }
        return replace(found, observations=shown)

    def _narrow(self, call: Call, refusal: Refusal) -> Sequence[Call]:
        """Isolate the bad token of a batch that was refused as a whole (error 13), by halves.

        Raises:
            ApiError: enough was halved in this poll; the rest has to wait for the next one.
        """
        if call.endpoint is Endpoint.QENCODE_MASTER:
            return self._at_api(call.tokens)
        if len(call.tokens) == 1:
            self._not_known(call.tokens, alone=True)
            return ()
        if next(self._halvings, self) is self:
            message = f"API error {refusal.code}: more refused tokens than one poll isolates"
            raise self._transport.error(call.endpoint, ErrorReason.API, message)
        middle = len(call.tokens) // 2
        return [replace(call, tokens=half) for half in (call.tokens[:middle], call.tokens[middle:])]

    def _at_api(self, tokens: Iterable[str]) -> Sequence[Call]:
        return list(batches(self._api, Endpoint.QENCODE_API, tokens))

    def _not_known(self, tokens: Iterable[str], *, alone: bool) -> None:
        for token in tokens:
            self._unknown.add(token, alone=alone)

    def _tell_unknown(self, tokens: Collection[str]) -> None:
        if tokens:
            account, example = str(self.account), self._label(min(tokens))
            _log.warning("tokens unknown to the API", account=account, number=len(tokens), task=example)
