"""The dashboards, as Grafana reads them, and the queries of the rules.

Grafana's own linter for dashboards (grafana/dashboard-linter) is a Go program; its rules stand here as tests,
each under its name there.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import timedelta
from itertools import combinations
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml

from exporter.mixin.rules import rule_files
from grafana.rendering import dashboard_files
from tests.boards import FOLDER, UIDS, Ask, Choice, asks, board, choices, panels
from tests.promql import RATE_INTERVAL, Meaning, scraped, selectors

ROOT = Path(__file__).parents[2]
RULES = ROOT / "prometheus" / "rules"

ASKS = list(asks())
CHOICES = list(choices())

each_board = pytest.mark.parametrize("uid", UIDS)
each_ask = pytest.mark.parametrize("ask", ASKS, ids=str)
each_choice = pytest.mark.parametrize("choice", CHOICES, ids=str)


def rules() -> Iterator[Mapping[str, Any]]:
    for path in sorted(RULES.glob("*.yaml"), reverse=True):
        for group in yaml.safe_load(path.read_text())["groups"]:
            yield from group["rules"]


def series() -> dict[str, frozenset[str]]:
    found = scraped()
    for rule in rules():
        if "record" in rule:
            found[rule["record"]] = Meaning(found).labels(rule["expr"])
    return found


def queries_within(rule: Mapping[str, Any]) -> Iterator[str]:
    """The queries that the templates of an alert's annotations make when it fires."""
    for text in rule.get("annotations", {}).values():
        for piped in re.findall(r"\{\{(.*?\|\s*query\b.*?)\}\}", text, re.DOTALL):
            query = re.search(r'"((?:[^"\\]|\\.)*)"', piped)
            assert query, piped
            yield query[1].replace("%q", '"…"')


RULES_READ = list(rules())
ALERTS = [rule for rule in RULES_READ if "alert" in rule]
MEANING = Meaning(series())


class TestGenerated:
    def test_the_committed_dashboards_are_those_that_the_code_makes(self) -> None:
        assert {path.name: path.read_text() for path in FOLDER.iterdir()} == dashboard_files()

    def test_the_committed_rules_are_those_that_the_command_prints(self) -> None:
        assert {path.name: path.read_text() for path in RULES.iterdir()} == rule_files({})


class TestNames:
    """Whatever is asked for is declared in `metrics/families.py`, or recorded by a rule from what is."""

    @pytest.mark.parametrize("rule", RULES_READ, ids=lambda rule: rule.get("alert") or rule["record"])
    def test_of_a_rule(self, rule: Mapping[str, Any]) -> None:
        MEANING.labels(rule["expr"])

    @pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
    def test_of_the_texts_of_an_alert(self, rule: Mapping[str, Any]) -> None:
        there = MEANING.labels(rule["expr"]) | rule["labels"].keys()
        used = set(re.findall(r"\$labels\.(\w+)", str(rule["annotations"])))

        assert used <= there
        for query in queries_within(rule):
            MEANING.labels(query)

    def test_of_the_query_within_a_text(self) -> None:
        (rule,) = (rule for rule in ALERTS if rule["alert"] == "TranscodingAccountDown")
        assert [selectors(query)[0].name for query in queries_within(rule)] == [
            "transcoding_api_errors_total"
        ]

    @each_ask
    def test_of_a_dashboard(self, ask: Ask) -> None:
        MEANING.labels(ask.expr)

    @each_ask
    def test_of_the_names_of_its_results(self, ask: Ask) -> None:
        used = set(re.findall(r"\{\{(\w+)\}\}", ask.names))
        assert used <= MEANING.labels(ask.expr)

    @each_choice
    def test_of_a_variable(self, choice: Choice) -> None:
        assert choice.label in MEANING.labels(choice.selector)


# Exceptions from the linter's rules: the panel and the reason.
FIXED_WINDOWS = {
    "Completed in an hour": "the hour is what is shown",
    "Media made in an hour": "the hour is what is shown",
    "Retries in an hour": "the hour is what is shown",
    "Duration of completed tasks": "few tasks end in a minute: a percentile of them would say nothing",
    "Time in each phase, p90": "few tasks leave a phase in a minute: a percentile of them would say nothing",
}
WITHOUT_INSTANCE = {
    "Failure ratio": "recording rules sum over the instances of a job",
    "Requests, p95 against the last day's": "recording rules sum over the instances of a job",
    "annotation Alerts": "alerts hold for all instances of a job",
}


class TestLinter:
    @each_board
    def test_template_datasource(self, uid: str) -> None:
        first, *others = board(uid)["templating"]["list"]

        assert (first["type"], first["name"], first["label"]) == ("datasource", "datasource", "Data source")
        assert first["query"] == "prometheus"
        assert [other["type"] for other in others] == ["query"] * len(others)

    @pytest.mark.parametrize("name", ["job", "instance"])
    @each_board
    def test_template_job_and_instance(self, uid: str, name: str) -> None:
        (found,) = (one for one in board(uid)["templating"]["list"] if one["name"] == name)

        assert found["datasource"]["uid"] == "${datasource}"
        assert (found["label"], found["multi"], found["allValue"]) == (name.capitalize(), True, ".+")

    @each_choice
    def test_template_label_promql(self, choice: Choice) -> None:
        assert choice.label == choice.name
        assert len(selectors(choice.selector)) == 1

    @each_board
    def test_template_on_time_change_reload(self, uid: str) -> None:
        _, *queried = board(uid)["templating"]["list"]
        assert {variable["refresh"] for variable in queried} == {2}

    @each_board
    def test_uneditable(self, uid: str) -> None:
        assert board(uid)["editable"] is False

    @each_board
    def test_panel_datasource(self, uid: str) -> None:
        asking = [panel["datasource"] for panel in panels(uid)]
        asking += [target["datasource"] for panel in panels(uid) for target in panel["targets"]]
        asking += [annotation["datasource"] for annotation in board(uid)["annotations"]["list"]]

        assert {(one["type"], one["uid"]) for one in asking} == {("prometheus", "${datasource}")}

    @each_board
    def test_no_two_panels_have_one_title(self, uid: str) -> None:
        titles = [panel["title"] for panel in panels(uid)]
        assert len(titles) == len(set(titles))

    @each_board
    def test_panel_title_description(self, uid: str) -> None:
        assert [panel["id"] for panel in panels(uid) if not (panel["title"] and panel["description"])] == []

    @each_board
    def test_panel_units(self, uid: str) -> None:
        known = {
            "none",
            "short",
            "s",
            "percentunit",
            "bytes",
            "reqps",
            "ops",
            "dateTimeAsIso",
            "dateTimeFromNow",
        }
        units = {panel["title"]: panel["fieldConfig"]["defaults"]["unit"] for panel in panels(uid)}

        assert {title: unit for title, unit in units.items() if unit not in known} == {}

    @each_board
    def test_panel_no_targets(self, uid: str) -> None:
        assert [panel["title"] for panel in panels(uid) if not panel["targets"]] == []

    @each_ask
    def test_target_rate_interval(self, ask: Ask) -> None:
        windows = {one.window for one in selectors(ask.expr) if one.function in ("rate", "irate", "increase")}

        expected = timedelta(hours=1) if ask.where in FIXED_WINDOWS else RATE_INTERVAL
        assert windows <= {expected}

    @each_ask
    def test_target_job(self, ask: Ask) -> None:
        assert {'job=~"$job"' in one.matchers for one in selectors(ask.expr)} == {True}

    @each_ask
    def test_target_instance(self, ask: Ask) -> None:
        matched = {'instance=~"$instance"' in one.matchers for one in selectors(ask.expr)}
        assert matched == {ask.where not in WITHOUT_INSTANCE}

    @each_ask
    def test_target_counter_agg(self, ask: Ask) -> None:
        counters = [one for one in selectors(ask.expr) if one.name.endswith(("_total", "_bucket"))]
        assert {one.function for one in counters} <= {"rate", "increase"}

    def test_every_exception_is_still_needed(self) -> None:
        assert FIXED_WINDOWS.keys() | WITHOUT_INSTANCE.keys() <= {ask.where for ask in ASKS}


class TestVariables:
    @each_ask
    def test_a_query_is_about_what_was_chosen(self, ask: Ask) -> None:
        for one in selectors(ask.expr):
            there = scraped().get(one.name, frozenset())
            chosen = {name for name in ("provider", "account", "task_type") if name in there}
            if ask.where != "annotation Alerts":  # some are about no account
                assert {f'{name}=~"${name}"' for name in chosen} <= one.matchers

    @pytest.mark.parametrize("ask", [ask for ask in ASKS if ask.board == "transcoding-task"], ids=str)
    def test_the_dashboard_of_a_task_is_about_that_task(self, ask: Ask) -> None:
        assert {'task="$task"' in one.matchers for one in selectors(ask.expr)} == {True}

    @pytest.mark.parametrize(
        ("uid", "names"),
        [
            ("transcoding-overview", ["job", "instance", "provider", "account", "task_type"]),
            ("transcoding-task", ["job", "instance", "provider", "account", "task_type", "task"]),
            ("transcoding-exporter", ["job", "instance", "provider", "account", "endpoint"]),
        ],
    )
    def test_each_choice_is_among_what_the_ones_before_it_leave(self, uid: str, names: list[str]) -> None:
        chain = [choice for choice in CHOICES if choice.board == uid]

        assert [choice.name for choice in chain] == names
        for place, choice in enumerate(chain):
            (read,) = selectors(choice.selector)
            assert read.matchers == {f'{name}=~"${name}"' for name in names[:place]}

    def test_one_task_is_chosen_and_of_everything_else_any_number(self) -> None:
        single = {
            variable["name"]
            for uid in UIDS
            for variable in board(uid)["templating"]["list"][1:]
            if not (variable["multi"] and variable["includeAll"])
        }
        assert single == {"task"}


class TestLinks:
    @pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
    def test_an_alert_leads_to_a_dashboard_that_takes_its_variables(self, rule: Mapping[str, Any]) -> None:
        self.leads_somewhere(re.sub(r"\{\{.*?\}\}", "x", rule["annotations"]["dashboard_url"]))

    def test_a_task_in_a_table_leads_to_its_dashboard(self) -> None:
        links = {
            panel["title"]: prop["value"][0]["url"]
            for panel in panels("transcoding-overview")
            for override in panel["fieldConfig"]["overrides"]
            for prop in override["properties"]
            if prop["id"] == "links"
        }
        assert links.keys() == {"Stalled now", "Failed lately", "Tasks running"}
        for url in links.values():
            # ${job:queryparam} becomes var-job=…, and the time from=…&to=….
            written = re.sub(
                r"\$\{(\w+):queryparam\}", r"var-\1=x", url.replace("${__url_time_range}", "from=x")
            )
            assert self.leads_somewhere(re.sub(r"\$\{.*?\}", "x", written)) == "transcoding-task"

    def leads_somewhere(self, url: str) -> str:
        address = urlsplit(url)
        uid = address.path.removeprefix("/d/")
        names = {variable["name"] for variable in board(uid)["templating"]["list"]}
        assert {name.removeprefix("var-") for name in parse_qs(address.query)} <= {*names, "from"}
        return uid

    @each_board
    def test_every_dashboard_leads_to_the_others(self, uid: str) -> None:
        link = board(uid)["links"][0]

        assert (link["type"], link["includeVars"], link["keepTime"]) == ("dashboards", True, True)
        assert all(set(link["tags"]) <= set(board(other)["tags"]) for other in UIDS)

    def test_the_dashboard_of_a_task_leads_to_the_portals(self) -> None:
        portals = [link["url"] for link in board("transcoding-task")["links"] if link["type"] == "link"]
        assert portals == ["https://portal.qencode.com/", "https://livepeer.studio/dashboard"]


COLOURS = {
    "queued": "#8AB8FF",
    "running": "#3274D9",
    "completed": "#56A64B",
    "failed": "#E02F44",
    "cancelled": "#8E8E8E",
    "unknown": "#B877D9",
    "stalled": "#FF9830",
    "up": "#56A64B",
    "down": "#E02F44",
}


def words_and_colours(panel: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What has a colour by its name: a series, or a text that a value stands for."""
    for mapping in panel["fieldConfig"]["defaults"].get("mappings", []):
        if mapping["type"] == "value":
            for result in mapping["options"].values():
                yield result["text"], result["color"]
    for override in panel["fieldConfig"]["overrides"]:
        for prop in override["properties"]:
            if prop["id"] == "color" and override["matcher"]["id"] == "byName":
                yield override["matcher"]["options"], prop["value"]["fixedColor"]


class TestTables:
    @pytest.mark.parametrize(
        "panel",
        [panel for uid in UIDS for panel in panels(uid) if panel["type"] == "table"],
        ids=lambda panel: panel["title"],
    )
    def test_a_column_shows_what_a_query_brings(self, panel: Mapping[str, Any]) -> None:
        options = panel["transformations"][-1]["options"]
        labels = frozenset[str]().union(*(MEANING.labels(target["expr"]) for target in panel["targets"]))
        # Grafana gives the value of a query its letter only if there are several.
        letters = [target["refId"] for target in panel["targets"]]
        values = {"Value"} if len(letters) == 1 else {f"Value #{letter}" for letter in letters}

        named = options["renameByName"].keys()
        assert named <= labels | values
        assert options["indexByName"].keys() == named
        assert options["excludeByName"].keys() >= {"Time", "__name__"}
        assert not options["excludeByName"].keys() & named
        assert values <= named | options["excludeByName"].keys()

    @each_board
    def test_the_look_of_a_column_is_given_to_one_that_is_there(self, uid: str) -> None:
        for panel in panels(uid):
            if panel["type"] == "table":
                titles = set(panel["transformations"][-1]["options"]["renameByName"].values())
                looks = {override["matcher"]["options"] for override in panel["fieldConfig"]["overrides"]}
                assert looks <= titles
                assert {sort["displayName"] for sort in panel["options"].get("sortBy", [])} <= titles


class TestLooks:
    @each_board
    def test_a_state_has_one_colour_everywhere(self, uid: str) -> None:
        seen = {found for panel in panels(uid) for found in words_and_colours(panel) if found[0] in COLOURS}
        assert seen <= set(COLOURS.items())

    def test_every_state_has_its_colour_where_the_fleet_is_shown(self) -> None:
        (fleet,) = (panel for panel in panels("transcoding-overview") if panel["title"] == "Fleet by state")
        assert set(words_and_colours(fleet)) == set(COLOURS.items()) - {
            ("up", "#56A64B"),
            ("down", "#E02F44"),
        }

    @each_board
    def test_no_panel_says_no_data(self, uid: str) -> None:
        said = {panel["title"]: panel["fieldConfig"]["defaults"].get("noValue") for panel in panels(uid)}
        assert [title for title, text in said.items() if not text] == []

    @each_board
    def test_no_number_looks_well_when_there_is_none(self, uid: str) -> None:
        for panel in panels(uid):
            if panel["type"] == "stat":
                defaults = panel["fieldConfig"]["defaults"]
                nothing = defaults["mappings"][-1]["options"]
                assert (nothing["match"], nothing["result"]["text"]) == ("null+nan", defaults["noValue"])
                grey, violet = "#8E8E8E", "#B877D9"
                expected = violet if defaults["noValue"] == "no exporter" else grey
                assert nothing["result"]["color"] == expected, panel["title"]

    @pytest.mark.parametrize(
        ("title", "text"),
        [
            ("Stalled now", "nothing stalled"),
            ("Failed lately", "nothing failed"),
            ("Tasks running", "nothing running"),
        ],
    )
    def test_an_empty_table_is_good_news(self, title: str, text: str) -> None:
        (panel,) = (panel for panel in panels("transcoding-overview") if panel["title"] == title)
        assert panel["fieldConfig"]["defaults"]["noValue"] == text

    @each_board
    def test_panels_neither_overlap_nor_stick_out(self, uid: str) -> None:
        places = {panel["id"]: panel["gridPos"] for panel in board(uid)["panels"]}

        assert len(places) == len(board(uid)["panels"])
        for place in places.values():
            assert place["x"] >= 0
            assert place["x"] + place["w"] <= 24
        for one, other in combinations(places.values(), 2):
            beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
            above = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
            assert beside or above, (one, other)

    def test_what_matters_most_fits_a_screen_without_scrolling(self) -> None:
        first_row = next(panel for panel in board("transcoding-overview")["panels"] if panel["type"] == "row")
        assert first_row["gridPos"]["y"] <= 24

    @each_board
    def test_it_is_of_the_kinds_that_every_grafana_since_10_has(self, uid: str) -> None:
        kinds = {"stat", "timeseries", "table", "state-timeline", "heatmap"}
        assert {panel["type"] for panel in panels(uid)} <= kinds
        assert board(uid)["schemaVersion"] == 39

    @each_board
    def test_a_wall_keeps_itself_up_to_date(self, uid: str) -> None:
        found = board(uid)
        assert (found["refresh"], found["time"], found["timezone"]) == (
            "30s",
            {"from": "now-6h", "to": "now"},
            "browser",
        )
        assert found["graphTooltip"] == 1


class TestProvisioning:
    def read(self, name: str) -> Any:
        return yaml.safe_load((ROOT / "grafana" / "provisioning" / name / "transcoding.yaml").read_text())

    def test_grafana_finds_a_prometheus_and_knows_its_scrape_interval(self) -> None:
        (prometheus,) = (
            source for source in self.read("datasources")["datasources"] if source["type"] == "prometheus"
        )
        assert (prometheus["uid"], prometheus["isDefault"]) == ("prometheus", True)
        assert prometheus["jsonData"]["timeInterval"] == "15s"

    def test_grafana_finds_the_dashboards_and_lets_nobody_change_them(self) -> None:
        (provider,) = self.read("dashboards")["providers"]
        assert provider["options"]["path"] == "/var/lib/grafana/dashboards"
        assert provider["allowUiUpdates"] is False
