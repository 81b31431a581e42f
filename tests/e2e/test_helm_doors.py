"""Monitors of an exporter that lets only some in: refused unless Prometheus would get past the door."""

from typing import Any

import pytest

from tests.helm import KUBERNETES, Values, check, merged, notes, objects, one, refusal

TLS: Values = {"tls_server_config": {"cert_file": "tls.crt", "key_file": "tls.key"}}
MUTUAL_TLS: Values = merged(TLS, {"tls_server_config": {"client_auth_type": "RequireAndVerifyClientCert"}})
USERS: Values = {"basic_auth_users": {"prometheus": "$2y$10$hash"}}


def behind(web: Values, monitor: str, **scrape: Any) -> Values:
    """An exporter that lets only some in, and who scrapes it."""
    return {"web": {"existingSecret": "tls", "config": web}, monitor: {"enabled": True, **scrape}}


SECRET = {"secret": {"name": "prometheus", "key": "x"}}
NAMED: Values = {"serverName": "transcoding.example.com"}
ANY_CERTIFICATE: Values = {"insecureSkipVerify": True}
CERTIFIED: Values = {**NAMED, "cert": SECRET, "keySecret": {"name": "prometheus", "key": "tls.key"}}
USER: Values = {
    "username": {"name": "scrape", "key": "username"},
    "password": {"name": "scrape", "key": "password"},
}


@pytest.mark.parametrize("monitor", ["serviceMonitor", "podMonitor"])
@pytest.mark.parametrize(
    ("web", "scrape", "missing"),
    [
        (TLS, {}, "tlsConfig: web.config asks for TLS"),
        (TLS, {"scheme": "https"}, "serverName"),
        (TLS, {"tlsConfig": {"ca": SECRET}}, "insecureSkipVerify: true"),
        (TLS, {"tlsConfig": {"insecureSkipVerify": False}}, "serverName"),
        (MUTUAL_TLS, {"tlsConfig": NAMED}, "tlsConfig: web.config asks for a certificate of the client"),
        (MUTUAL_TLS, {"tlsConfig": {**NAMED, "cert": SECRET}}, "keySecret"),
        (USERS, {}, "basicAuth: web.config has users"),
        (USERS, {"basicAuth": None}, "basicAuth: web.config has users"),
        (USERS, {"basicAuth": {"username": USER["username"]}}, "password"),
        (merged(TLS, USERS), {"tlsConfig": NAMED}, "basicAuth"),
    ],
)
def test_a_monitor_that_the_exporter_would_not_let_in_is_refused_with_the_remedy(
    monitor: str, web: Values, scrape: Values, missing: str
) -> None:
    said = refusal(behind(web, monitor, **scrape))

    assert f"{monitor}." in said
    assert missing in said


@pytest.mark.parametrize(("monitor", "key"), [
    ("serviceMonitor", "endpoints"),
    ("podMonitor", "podMetricsEndpoints"),
])  # fmt: skip
@pytest.mark.parametrize(
    ("web", "scrape", "scheme"),
    [
        (TLS, {"tlsConfig": NAMED}, "https"),
        (TLS, {"tlsConfig": ANY_CERTIFICATE}, "https"),
        (MUTUAL_TLS, {"tlsConfig": CERTIFIED}, "https"),
        (USERS, {"basicAuth": USER}, "http"),
        (merged(TLS, USERS), {"tlsConfig": NAMED, "basicAuth": USER}, "https"),
        # Something before the exporter ends TLS.
        (TLS, {"scheme": "http"}, "http"),
    ],
)
def test_a_monitor_that_knows_how_to_get_in_says_so(
    monitor: str, key: str, web: Values, scrape: Values, scheme: str
) -> None:
    kind = monitor[0].upper() + monitor[1:]
    [endpoint] = one(kind, behind(web, monitor, **scrape))["spec"][key]

    check(one(kind, behind(web, monitor, **scrape)), KUBERNETES[-1])
    assert endpoint["scheme"] == scheme
    assert {each: endpoint.get(each) for each in ("tlsConfig", "basicAuth")} == {
        "tlsConfig": scrape.get("tlsConfig"),
        "basicAuth": scrape.get("basicAuth"),
    }


def test_without_a_monitor_nobody_has_to_say_how_prometheus_gets_in() -> None:
    assert objects({"web": {"existingSecret": "tls", "config": merged(MUTUAL_TLS, USERS)}})


def test_the_notes_warn_of_a_door_that_the_chart_cannot_see_until_the_monitor_has_a_key() -> None:
    unseen: Values = {"web": {"existingSecret": "web"}, "podMonitor": {"enabled": True}}
    warning = "what the web.yml of the Secret web asks for is not known here"

    assert warning in notes(unseen)
    assert "podMonitor.tlsConfig.serverName" in notes(unseen)
    assert warning not in notes(merged(unseen, {"podMonitor": {"basicAuth": USER}}))
    assert warning not in notes({"web": {"existingSecret": "web"}})
    assert warning not in notes(behind(TLS, "podMonitor", tlsConfig=NAMED))
