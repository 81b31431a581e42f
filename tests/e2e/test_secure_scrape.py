"""The exporter behind `--web.config.file`, as curl and a real Prometheus meet it."""

import http.client
import json
import shutil
import ssl
import subprocess
import threading
from base64 import b64encode
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from textwrap import dedent
from typing import Any, NamedTuple

import pytest
import requests

from tests.pki import HASH, PASSWORD, Authority
from tests.processes import ANY_PORT, EXPORTER, Process, address_of_prometheus, running, wait_until

Tool = Callable[[str], str]

OTHER_PASSWORD = "other"
OTHER_HASH = "$2y$04$......................ihqWR5MPTQ.vdPo4V5b6powaL1OAEka"

PATHS = ("/", "/metrics", "/-/healthy", "/-/ready", "/-/reload", "/api/v1/qencode/vod/tokens", "/nonsense")


class Secured(NamedTuple):
    """An exporter that wants TLS 1.3, a certificate of its CA, and a password."""

    process: Process
    authority: Authority
    port: int

    def write(self, hashed: str) -> None:
        """Write the web configuration: with this, the hash of alice's password."""
        _write(self.authority, hashed)


def _write(authority: Authority, hashed: str) -> Path:
    path = authority.folder / "web.yml"
    path.write_text(
        dedent(f"""\
        tls_server_config:
          cert_file: server.crt
          key_file: server.key
          client_auth_type: RequireAndVerifyClientCert
          client_ca_file: ca.pem
          client_allowed_sans: [prometheus.example.com]
          min_version: TLS13
        http_server_config:
          headers:
            Strict-Transport-Security: max-age=31536000
        basic_auth_users:
          alice: {hashed}
        """)
    )
    return path


@contextmanager
def serving(folder: Path) -> Iterator[Secured]:
    authority = Authority(folder)
    authority.issue("server", "127.0.0.1")
    authority.issue("client", "prometheus.example.com")
    authority.issue("nosy", "nosy.example.com")
    flag = f"--web.config.file={_write(authority, HASH)}"
    with running([*EXPORTER, "demo", "--speed", "10", flag, ANY_PORT]) as process:
        port = process.find(r'\burl="?https://127\.0\.0\.1:(\d+)/metrics')
        yield Secured(process, authority, int(port))


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    with serving(tmp_path_factory.mktemp("secured")) as secured:
        yield secured


# --- curl ------------------------------------------------------------------------------------------------


class Curl:
    """curl, which trusts the exporter's CA."""

    def __init__(self, program: str, secured: Secured) -> None:
        self._command = [program, "--silent", "--show-error", "--max-time", "20"]
        self._secured = secured

    def __call__(
        self, path: str, *options: str, certificate: str = "", password: str = ""
    ) -> tuple[int, str]:
        """Return curl's exit status and what it got, after the HTTP status and a blank."""
        folder = self._secured.authority.folder
        options += ("--cacert", str(folder / "ca.pem"))
        if certificate:
            options += ("--cert", f"{folder / certificate}.crt", "--key", f"{folder / certificate}.key")
        if password:
            options += ("--user", f"alice:{password}")
        url = f"https://127.0.0.1:{self._secured.port}{path}"
        written = ("--write-out", "%{stderr}%{http_code} %{header_json}", url)
        ended = subprocess.run([*self._command, *options, *written], capture_output=True, text=True)
        return ended.returncode, ended.stderr + ended.stdout


@pytest.fixture
def curl(tool: Tool, secured: Secured) -> Curl:
    return Curl(tool("curl"), secured)


def test_curl_with_certificate_and_password_scrapes_over_tls_13(curl: Curl) -> None:
    code, got = curl("/metrics", "--tlsv1.3", certificate="client", password=PASSWORD)

    assert code == 0
    assert got.startswith("200 ")
    assert "max-age=31536000" in got
    assert "\ntranscoding_up{" in got


@pytest.mark.parametrize("certificate", ["", "nosy"])
def test_curl_without_a_certificate_of_a_known_name_is_refused(curl: Curl, certificate: str) -> None:
    code, got = curl("/metrics", certificate=certificate, password=PASSWORD)

    assert code != 0
    assert "transcoding" not in got


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("password", ["", "wrong"])
def test_curl_without_the_password_is_refused_on_every_path(curl: Curl, path: str, password: str) -> None:
    code, got = curl(path, certificate="client", password=password)

    assert code == 0
    assert got.startswith("401 ")
    assert "Basic realm=" in got
    assert "max-age=31536000" in got
    assert "transcoding_" not in got


def test_curl_with_an_older_tls_is_refused(curl: Curl) -> None:
    code, got = curl("/metrics", "--tls-max", "1.2", certificate="client", password=PASSWORD)

    assert code == 35, got


def test_whoever_speaks_without_tls_gets_nothing(secured: Secured) -> None:
    with pytest.raises(requests.ConnectionError):
        requests.get(f"http://127.0.0.1:{secured.port}/metrics", timeout=20)


def test_no_password_is_logged(curl: Curl, secured: Secured) -> None:
    curl("/metrics", certificate="client", password="wrong-and-secret")
    curl("/metrics", certificate="client", password=PASSWORD)

    for secret in ("wrong-and-secret", PASSWORD, HASH[10:]):
        assert secret not in secured.process.stderr + secured.process.stdout


# --- Files that change -----------------------------------------------------------------------------------


def scrape(secured: Secured, context: ssl.SSLContext, password: str = PASSWORD) -> tuple[int, str]:
    """Scrape over a new connection; return the status, and the serial of the exporter's certificate."""
    connection = http.client.HTTPSConnection("127.0.0.1", secured.port, timeout=20, context=context)
    header = "Basic " + b64encode(f"alice:{password}".encode()).decode()
    try:
        connection.request("GET", "/metrics", headers={"Authorization": header})
        assert isinstance(connection.sock, ssl.SSLSocket)
        certificate: Any = connection.sock.getpeercert()
        answer = connection.getresponse()
        answer.read()
    finally:
        connection.close()
    return answer.status, certificate["serialNumber"]


def client(authority: Authority) -> ssl.SSLContext:
    context = authority.trusted()
    context.load_cert_chain(authority.folder / "client.crt", authority.folder / "client.key")
    return context


def test_given_certificates_that_rotate_under_load_then_no_scrape_fails(secured: Secured) -> None:
    authority, context, end = secured.authority, client(secured.authority), threading.Event()
    answers: list[tuple[int, str]] = []

    def scraper() -> None:
        while not end.is_set():
            answers.append(scrape(secured, context))

    def served(serial: str) -> bool:
        return serial != answers[-1][1]

    with ThreadPoolExecutor(3) as pool:
        scrapers = [pool.submit(scraper) for _ in range(3)]
        try:
            for _ in range(3):
                wait_until(lambda: answers, 20, "a scrape")
                _, before = answers[-1]
                # First the certificate, then the key: for a moment they do not match.
                for file in authority.issue("next", "127.0.0.1"):
                    shutil.copy(file, authority.folder / f"server{file.suffix}")
                wait_until(lambda serial=before: served(serial), 20, "the new certificate")  # type: ignore[misc]
        finally:
            end.set()
    for each in scrapers:
        each.result()

    assert {status for status, _ in answers} == {200}
    assert len({serial for _, serial in answers}) == 4


# --- Prometheus ------------------------------------------------------------------------------------------


@contextmanager
def prometheus(program: str, secured: Secured) -> Iterator[str]:
    """A Prometheus that scrapes as who may, as who has no certificate, and as who has a wrong password."""
    folder = secured.authority.folder
    tls = {"ca_file": str(folder / "ca.pem"), "min_version": "TLS13"}
    certified = tls | {"cert_file": str(folder / "client.crt"), "key_file": str(folder / "client.key")}
    (folder / "password").write_text(PASSWORD)
    user = {"username": "alice", "password_file": str(folder / "password")}
    jobs = {
        "known": {"tls_config": certified, "basic_auth": user},
        "uncertified": {"tls_config": tls, "basic_auth": user},
        "wrong": {"tls_config": certified, "basic_auth": {"username": "alice", "password": "wrong"}},
    }
    target = {"scheme": "https", "static_configs": [{"targets": [f"127.0.0.1:{secured.port}"]}]}
    config = {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s"},
        "scrape_configs": [{"job_name": name, **target, **job} for name, job in jobs.items()],
    }
    # JSON is YAML.
    (folder / "prometheus.yml").write_text(json.dumps(config))
    command = [
        program,
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        "--web.listen-address=127.0.0.1:0",
    ]
    with running(command) as process:
        address = address_of_prometheus(process)
        yield f"http://{address}"


def health(url: str) -> dict[str, tuple[str, str]]:
    """The health of each job's target, and its last error."""
    answer = requests.get(f"{url}/api/v1/targets", params={"state": "active"}, timeout=10).json()
    return {
        target["scrapePool"]: (target["health"], target["lastError"])
        for target in answer["data"]["activeTargets"]
    }


def test_prometheus_scrapes_with_certificate_and_password_also_after_another_password_came(
    tool: Tool, tmp_path: Path
) -> None:
    program = tool("prometheus")
    with serving(tmp_path) as secured, prometheus(program, secured) as url:

        def becomes(job: str, expected: str) -> str:
            wait_until(lambda: health(url).get(job, ("",))[0] == expected, 40, f"{job} is {expected}")
            return health(url)[job][1]

        assert becomes("known", "up") == ""
        assert becomes("uncertified", "down")
        assert "401" in becomes("wrong", "down")

        secured.write(OTHER_HASH)
        assert "401" in becomes("known", "down")
        (secured.authority.folder / "password").write_text(OTHER_PASSWORD)
        assert becomes("known", "up") == ""
        assert scrape(secured, client(secured.authority))[0] == 401
