"""What the chart tells the exporter: nobody says something else by an argument or a variable."""

import pytest

from exporter.cli import main
from helm.values import read
from tests.helm import CHART, Values, container, notes, refusal
from tests.helm_values import CASES, WATCHING

FREE = "--web.listen-address=127.0.0.1:10478"
"""An argument that is the user's as well: another address, behind another container that has the port."""

HARMLESS = {"name": "HTTPS_PROXY", "value": "http://proxy:3128"}
OWN_FILE: Values = {
    "extraArgs": ["--config.file=/etc/own/config.yml"],
    "extraVolumes": [{"name": "own", "secret": {"secretName": "own"}}],
    "extraVolumeMounts": [{"name": "own", "mountPath": "/etc/own"}],
}


TAKEN = {
    option.opts[0]: str(option.envvar)
    for command in ("serve", "demo")
    for option in main.commands[command].params
    if option.envvar
}
"""The flags of what the chart starts, each with its variable."""

VALUES = {value.name for value in read((CHART / "values.yaml").read_text())} | {"config.storage.url"}


def remedy(said: str) -> set[str]:
    """The values that a refusal says to set."""
    return {*said.splitlines()[0].rpartition("leave it out, and set ")[2].split(" or ")}


def test_the_flags_that_are_looked_at_are_all_there_are() -> None:
    assert {"--shard", "--total-shards", "--config.file", "--storage.path", "--web.listen-address"} < {*TAKEN}


@pytest.mark.parametrize("values", [WATCHING, CASES["sharded"], {}], ids=["watching", "sharded", "demo"])
@pytest.mark.parametrize("flag", TAKEN)
def test_a_variable_of_a_flag_that_is_the_chart_s_is_refused_with_the_value_to_set(
    flag: str, values: Values
) -> None:
    said = refusal({**values, "extraEnv": [HARMLESS, {"name": TAKEN[flag], "value": "1"}]})

    assert f"extraEnv[1]: {TAKEN[flag]} stands for {flag}, " in said
    assert remedy(said) <= VALUES


@pytest.mark.parametrize("flag", [flag for flag in TAKEN if flag != "--web.listen-address"])
@pytest.mark.parametrize("form", ["{}=1", "{}"])
def test_an_argument_that_is_the_chart_s_to_give_is_refused_with_the_value_to_set(
    form: str, flag: str
) -> None:
    said = refusal({**WATCHING, "extraArgs": [FREE, form.format(flag), "1"]})

    assert f"extraArgs[1]: {flag} is " in said
    assert remedy(said) <= VALUES


def test_each_of_both_is_told_its_own_value() -> None:
    def told(name: str) -> set[str]:
        return remedy(refusal({**WATCHING, "extraEnv": [{"name": f"TRANSCODING_EXPORTER_{name}"}]}))

    assert told("SHARD") == told("TOTAL_SHARDS") == {"sharding.replicas"}
    assert told("WEB_LISTEN_ADDRESS") == {"service.port"}
    assert told("STORAGE_PATH") == {"config.storage.url", "persistence"}
    assert told("CONFIG_FILE") == {"config"}
    assert told("WEB_TELEMETRY_PATH") == {"web.telemetryPath"}
    assert told("WEB_GRAFANA_URL") == {"web.grafanaUrl"}


def test_a_variable_that_is_given_twice_is_refused() -> None:
    again = {"name": "HTTPS_PROXY", "value": "http://other:3128"}

    assert "extraEnv[1]: HTTPS_PROXY is given twice" in refusal({"extraEnv": [HARMLESS, again]})


def test_what_no_value_stands_for_is_free() -> None:
    found = container({**WATCHING, "extraArgs": [FREE], "extraEnv": [HARMLESS]})

    assert found["args"][-1] == FREE
    assert found["env"] == [HARMLESS]


def test_a_file_of_one_s_own_is_served_unless_there_is_one_of_the_chart_s() -> None:
    assert container(OWN_FILE)["args"][0] == "serve"
    assert container(OWN_FILE)["args"][-1] == "--config.file=/etc/own/config.yml"
    assert "the file that extraArgs names" in notes(OWN_FILE)
    assert "extraArgs[0]: --config.file is for the chart" in refusal({**WATCHING, **OWN_FILE})
