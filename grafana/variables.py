"""The variables of the dashboards: each is asked for within what the ones before it leave."""

from collections.abc import Mapping
from typing import Final

from grafana_foundation_sdk.builders.dashboard import DatasourceVariable, QueryVariable
from grafana_foundation_sdk.models.dashboard import VariableOption, VariableRefresh, VariableSort

from grafana.queries import DATASOURCE, expand

_QUERIES: Final[Mapping[str, str]] = {
    "job": "label_values(transcoding_exporter_build_info, job)",
    "instance": "label_values(transcoding_exporter_build_info{@job}, instance)",
    "provider": "label_values(transcoding_up{@target}, provider)",
    "account": 'label_values(transcoding_up{@target, provider=~"$provider"}, account)',
    "task_type": "label_values(transcoding_tasks{@account}, task_type)",
    "endpoint": "label_values(transcoding_api_requests_total{@account}, endpoint)",
    "task": "label_values(transcoding_task_phase{@type}, task)",
}


def datasource() -> DatasourceVariable:
    """Return the choice of the Prometheus to ask."""
    return DatasourceVariable("datasource").label("Data source").type("prometheus")


def several(name: str) -> QueryVariable:
    """Return a choice of any number of a label's values; at first, of all."""
    everything = VariableOption(selected=True, text=["All"], value=["$__all"])
    return _query(name).multi(True).include_all(True).all_value(".+").current(everything)


def one(name: str) -> QueryVariable:
    """Return a choice of one of a label's values."""
    return _query(name).multi(False).include_all(False)


def _query(name: str) -> QueryVariable:
    query: dict[str, object] = {
        "qryType": 1,
        "query": expand(_QUERIES[name]),
        "refId": "PrometheusVariableQueryEditor-VariableQuery",
    }
    return (
        QueryVariable(name)
        .label(name.replace("_", " ").capitalize())
        .datasource(DATASOURCE)
        .query(query)
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(VariableSort.ALPHABETICAL_ASC)
    )
