"""A Prometheus exporter for cloud transcoding: Qencode and Livepeer Studio."""

__version__ = "0.1.0"
