"""Writes what is generated and committed of the chart: `python -m helm`."""
