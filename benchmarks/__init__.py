"""How fast and how frugal the exporter is, measured against other ways in the same run: `make bench`."""
