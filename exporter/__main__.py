"""`python -m exporter` is `transcoding-exporter`."""

from exporter.cli import main

main(prog_name="transcoding-exporter")
