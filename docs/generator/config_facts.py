"""What a schema can't tell: an example of each key, and when a change takes effect."""

from collections.abc import Mapping
from typing import Final

EXAMPLES: Final[Mapping[str, str]] = {
    "poll.min_poll_interval": "15s",
    "poll.timeout": "20s",
    "poll.concurrency": "16",
    "poll.retention": "1h",
    "poll.stall_after": "{queued: 30m, running: 10m}",
    "poll.stall_after.queued": "30m",
    "poll.stall_after.running": "1h30m",
    "poll.stall_after.unknown": "1d",
    "metrics.per_task": "false",
    "metrics.max_task_series": "5000",
    "metrics.task_label": "hash",
    "metrics.duration_buckets": "[1m, 5m, 15m, 1h, 4h]",
    "metrics.phase_duration_buckets": "[1m, 10m, 1h]",
    "storage.url": "postgresql://exporter@db.example.com/ledger",
    "storage.keep": "30d",
    "qencode.name": "vod",
    "qencode.task_tokens": "[4bd1ac1ba5cc9e2430f420712bb1e0be]",
    "qencode.task_tokens_file": "tokens.json",
    "qencode.task_tokens_http": "https://example.com/tokens",
    "qencode.base_url": "https://api-eu.qencode.com",
    "qencode.allowed_hosts": '["*.qencode.com"]',
    "livepeer.name": "studio",
    "livepeer.api_key": "0123abcd-the-key-itself",
    "livepeer.api_key_env": "LIVEPEER_API_KEY",
    "livepeer.api_key_file": "livepeer.key",
    "livepeer.base_url": "https://livepeer.studio/api",
    "livepeer.task_types": "[upload, transcode-file]",
    "livepeer.lookback": "7d",
    "livepeer.shard_by": "task_type",
}
"""By the path of the key."""

AT_START: Final = ("metrics.duration_buckets", "metrics.phase_duration_buckets", "storage.url")
"""Keys whose change takes effect at the next start; that of any other does at a reload."""

WEB_EXAMPLES: Final[Mapping[str, str]] = {
    "tls_server_config.cert": "-----BEGIN CERTIFICATE-----…",
    "tls_server_config.cert_file": "tls.crt",
    "tls_server_config.key": "-----BEGIN PRIVATE KEY-----…",
    "tls_server_config.key_file": "tls.key",
    "tls_server_config.client_ca": "-----BEGIN CERTIFICATE-----…",
    "tls_server_config.client_ca_file": "ca.pem",
    "tls_server_config.client_auth_type": "RequireAndVerifyClientCert",
    "tls_server_config.client_allowed_sans": "[prometheus.example.com]",
    "tls_server_config.min_version": "TLS13",
    "tls_server_config.max_version": "TLS13",
    "tls_server_config.cipher_suites": "[TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256]",
    "tls_server_config.prefer_server_cipher_suites": "false",
    "tls_server_config.curve_preferences": "[X25519]",
    "http_server_config.http2": "false",
    "http_server_config.headers.Content-Security-Policy": "default-src 'self'",
    "http_server_config.headers.X-Frame-Options": "deny",
    "http_server_config.headers.X-Content-Type-Options": "nosniff",
    "http_server_config.headers.X-XSS-Protection": '"0"',
    "http_server_config.headers.Strict-Transport-Security": "max-age=31536000",
    "basic_auth_users": "{prometheus: $2y$10$…}",
    "rate_limit.interval": "100ms",
    "rate_limit.burst": "20",
}
"""As `EXAMPLES`, of the file of `--web.config.file`; `…` stands for what is too long."""
