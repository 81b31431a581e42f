"""Exporter: does it ask, is it answered, and how is it itself?"""

from typing import Final

from grafana_foundation_sdk.models.dashboard import Dashboard

from exporter.mixin.settings import settled
from grafana import panels, variables
from grafana.annotations import alerts_of
from grafana.colours import BAD, GOOD, OUTCOMES, PERCENTILES, QUIET, STALLED
from grafana.layout import Band, assemble
from grafana.panels import NO_EXPORTER
from grafana.queries import ACCOUNT, Query, percentiles
from grafana.tables import Column, table

# Lines are drawn where the alerts draw them.
_STALE: Final = float(settled({})["polls_stale_seconds"])

_INSTANCE: Final = "{{instance}}"

# An account that was never polled whole counts from when the configuration was read: at the start, or by a
# reload.
_LAST_SUCCESS: Final = """\
min by (provider, account) (
  transcoding_poll_last_success_timestamp_seconds{@account}
  or 0 * transcoding_up{@account} + ignoring (provider, account) group_left ()
    transcoding_exporter_config_last_reload_success_timestamp_seconds{@target}
)"""


def dashboard() -> Dashboard:
    """Return the dashboard."""
    return assemble(
        "transcoding-exporter",
        "Transcoding / Exporter",
        "Does the exporter ask, is it answered, and how is it itself?",
        variables=(
            variables.datasource(),
            *map(variables.several, ("job", "instance", "provider", "account", "endpoint")),
        ),
        annotations=(alerts_of("@job"),),
        bands=(
            Band(4, (_EXPORTERS, _LONGEST, _UNKNOWN, _SOURCES_DOWN)),
            Band(4, (_DROPPED, _DEGRADED, _SET_ASIDE, _RELOADED, _LAST_READ, _WEB_RELOADED)),
            Band(8, (_POLLS, _POLL_DURATION, _SINCE_SUCCESS), heading="Polls"),
            Band(8, (_HEAT,), heading="Answers of the providers"),
            Band(8, (_BASELINE, _CODES, _ERRORS)),
            Band(7, (_TOKENS, _SOURCES), heading="Tokens"),
            Band(7, (_SERIES, _SCRAPE, _LEFT_OUT), heading="Scrapes"),
            Band(7, (_MEMORY, _CPU, _FILES), heading="Process"),
            Band(5, (_VERSIONS,)),
        ),
    )


_EXPORTERS: Final = panels.count(
    "Exporters up",
    "Exporters that answered the last scrape.",
    "sum(up{@target})",
    steps={0: BAD, 1: GOOD},
    empty=NO_EXPORTER,
)
_LONGEST: Final = panels.count(
    "Since the last success",
    "The longest time that any account has gone without a poll that brought everything.",
    f"time() - min({_LAST_SUCCESS})",
    unit="s",
    steps={0: GOOD, _STALE: STALLED},
    empty=NO_EXPORTER,
)
_UNKNOWN: Final = panels.count(
    "Unknown tokens",
    "Watched tokens that Qencode does not know: their tasks can't be seen.",
    "sum(transcoding_unknown_tokens{@account})",
    steps={0: GOOD, 1: BAD},
    empty="no tokens",
)
_SOURCES_DOWN: Final = panels.count(
    "Token sources down",
    "Sources of tokens that could not be read; the last good list of each stays in force.",
    "sum(1 - min by (provider, account, source) (transcoding_token_source_up{@account}))",
    steps={0: GOOD, 1: BAD},
    empty="no sources",
)
_DROPPED: Final = panels.count(
    "Tasks left out",
    "Active tasks without series of their own, by `metrics.max_task_series`.",
    "sum(transcoding_task_series_dropped{@target})",
    steps={0: GOOD, 1: STALLED},
    empty=NO_EXPORTER,
)
_DEGRADED: Final = panels.number(
    "Ledger",
    "Whether what is new can be written; if not, it is kept in memory and lost by a restart.",
    Query("max(transcoding_exporter_ledger_degraded{@target})", now=True),
    unit="none",
    texts={0: ("written", GOOD), 1: ("degraded", BAD)},
    empty=NO_EXPORTER,
)
_SET_ASIDE: Final = panels.count(
    "Damaged ledgers",
    "Ledgers that were found damaged and set aside; they lie beside the new one until taken away.",
    "sum(transcoding_exporter_ledger_set_aside_files{@target})",
    steps={0: GOOD, 1: BAD},
    empty=NO_EXPORTER,
)
_RELOADED: Final = panels.number(
    "Configuration",
    "Whether the configuration was last read without a mistake; if not, the one before stays in force.",
    Query("min(transcoding_exporter_config_last_reload_successful{@target})", now=True),
    unit="none",
    texts={1: ("in force", GOOD), 0: ("refused", BAD)},
    empty=NO_EXPORTER,
)
_LAST_READ: Final = panels.number(
    "Last read",
    "When the configuration was last read without a mistake.",
    Query("1000 * max(transcoding_exporter_config_last_reload_success_timestamp_seconds{@target})", now=True),
    unit="dateTimeFromNow",
    steps={0: QUIET},
    empty=NO_EXPORTER,
)
_WEB_RELOADED: Final = panels.number(
    "Web configuration",
    "Whether the file of `--web.config.file`, with its certificates, was last read without a mistake; if "
    "not, the one before stays in force.",
    Query("min(transcoding_exporter_web_config_last_reload_successful{@target})", now=True),
    unit="none",
    texts={1: ("in force", GOOD), 0: ("refused", BAD)},
    empty=NO_EXPORTER,
)

_POLLS: Final = panels.areas(
    "Polls by outcome",
    "Polls per second by how they ended: `partial` brought something, `deadline` was late for its scrape, "
    "`skipped` was due while the provider wanted to be left alone.",
    Query("sum by (outcome) (rate(transcoding_polls_total{@account}[$__rate_interval]))", "{{outcome}}"),
    unit="ops",
    colours=OUTCOMES,
    empty="no polls",
)
_POLL_DURATION: Final = panels.lines(
    "Duration of polls",
    "One poll of one account, all its requests: half of them took no longer than p50, nine of ten no longer "
    "than p90.",
    *percentiles("sum by (le) (rate(transcoding_poll_duration_seconds_bucket{@account}[$__rate_interval]))"),
    unit="s",
    colours=PERCENTILES,
    empty="no polls",
)
_SINCE_SUCCESS: Final = panels.lines(
    "Since the last success, by account",
    "Time since the last poll that brought everything, or since the configuration was read. The line is "
    "where the alert begins.",
    Query(f"time() - {_LAST_SUCCESS}", ACCOUNT),
    unit="s",
    limits={_STALE: STALLED},
    empty=NO_EXPORTER,
)
_HEAT: Final = panels.heat(
    "Duration of requests: $endpoint",
    "How many requests to the endpoint took how long, up to the last byte of the answer.",
    Query(
        "sum by (le) (increase(transcoding_api_request_duration_seconds_bucket"
        '{@account, endpoint=~"$endpoint"}[$__rate_interval]))',
        "{{le}}",
    ),
    unit="s",
    empty="no requests",
)
_HEAT.repeat("endpoint").repeat_direction("h")
_BASELINE: Final = panels.lines(
    "Requests, p95 against the last day's",
    "19 of 20 requests within ten minutes were answered within this time; dashed, the same over a day.",
    Query(
        "account_endpoint:transcoding_api_request_duration_seconds:p95_rate10m"
        '{@recorded, endpoint=~"$endpoint"}',
        "{{endpoint}} {{account}}",
    ),
    Query(
        "account_endpoint:transcoding_api_request_duration_seconds:p95_rate1d"
        '{@recorded, endpoint=~"$endpoint"}',
        "{{endpoint}} {{account}}, day",
    ),
    unit="s",
    empty="no requests",
)
panels.dashed(_BASELINE, "/, day$/")
_CODES: Final = panels.lines(
    "Requests by HTTP status",
    "Requests per second; `none` had no answer.",
    Query(
        "sum by (provider, account, code) (rate(transcoding_api_requests_total"
        '{@account, endpoint=~"$endpoint"}[$__rate_interval]))',
        f"{ACCOUNT} {{{{code}}}}",
    ),
    unit="reqps",
    empty="no requests",
)
_ERRORS: Final = panels.lines(
    "Errors by reason",
    "Requests and records per second that brought nothing usable.",
    Query(
        "sum by (endpoint, account, reason) (rate(transcoding_api_errors_total"
        '{@account, endpoint=~"$endpoint"}[$__rate_interval])) > 0',
        "{{endpoint}} {{account}} {{reason}}",
    ),
    unit="reqps",
    empty="no errors",
)

_TOKENS: Final = panels.lines(
    "Unknown tokens over time",
    "Watched tokens of each account that Qencode does not know.",
    Query("sum by (provider, account) (transcoding_unknown_tokens{@account})", ACCOUNT),
    unit="short",
    empty="no tokens",
)
_SOURCES: Final = panels.timeline(
    "Token sources",
    "Whether each source of tokens could be read.",
    Query(
        "min by (provider, account, source) (transcoding_token_source_up{@account})",
        f"{ACCOUNT} {{{{source}}}}",
    ),
    texts={1: ("read", GOOD), 0: ("unreadable", BAD)},
    empty="no sources",
)

_SERIES: Final = panels.lines(
    "Samples per scrape",
    "What one scrape of each exporter brings.",
    Query("scrape_samples_scraped{@target}", _INSTANCE),
    unit="short",
    empty=NO_EXPORTER,
)
_SCRAPE: Final = panels.lines(
    "Duration of scrapes",
    "How long Prometheus waited for each exporter, which asks the providers in the meantime.",
    Query("scrape_duration_seconds{@target}", _INSTANCE),
    unit="s",
    empty=NO_EXPORTER,
)
_LEFT_OUT: Final = panels.lines(
    "Tasks left out over time",
    "Active tasks without series of their own, by `metrics.max_task_series`.",
    Query("transcoding_task_series_dropped{@target}", _INSTANCE),
    unit="short",
    empty=NO_EXPORTER,
)

_MEMORY: Final = panels.lines(
    "Memory",
    "Resident memory of each exporter.",
    Query("process_resident_memory_bytes{@target}", _INSTANCE),
    unit="bytes",
    empty=NO_EXPORTER,
)
_CPU: Final = panels.lines(
    "CPU",
    "Share of one core.",
    Query("rate(process_cpu_seconds_total{@target}[$__rate_interval])", _INSTANCE),
    unit="percentunit",
    empty=NO_EXPORTER,
)
_FILES: Final = panels.lines(
    "Open files",
    "Files and connections that each exporter has open.",
    Query("process_open_fds{@target}", _INSTANCE),
    unit="short",
    empty=NO_EXPORTER,
)
_VERSIONS: Final = table(
    "Versions",
    "What each exporter is, and when it was started.",
    Query(
        "1000 * process_start_time_seconds{@target}\n"
        "* ignoring (version, pythonversion) group_left (version, pythonversion) "
        "transcoding_exporter_build_info{@target}",
        now=True,
    ),
    columns=(
        Column("instance", "Instance"),
        Column("job", "Job"),
        Column("version", "Version"),
        Column("pythonversion", "Python"),
        Column("A", "Started", unit="dateTimeFromNow"),
    ),
    order="Instance",
    empty=NO_EXPORTER,
)
