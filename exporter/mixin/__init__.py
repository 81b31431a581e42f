"""What comes with the exporter for Prometheus and Grafana: rules, runbooks and dashboards."""
