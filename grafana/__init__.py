"""The Grafana dashboards, as code: `python -m grafana` writes them to grafana/dashboards.

What a panel shows stands in `overview`, `task` and `exporter`; how it looks, in the other modules.
"""
