"""What is installed from: the locked versions, the sdist, and the wheel, which needs no checkout."""

import re
import stat
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple
from urllib.parse import urljoin

import pytest
import requests
from build import ProjectBuilder

from exporter import __version__
from tests import image
from tests.image import ROOT
from tests.processes import ANY_PORT, Process, environment, running
from tests.scraping import scrape

LOCKS = ("requirements.lock", "requirements-build.lock")
NAME = f"transcoding_exporter-{__version__}"
EPOCH = dict(value.split("=") for name, value in image.stages()[0] if name == "ARG")


class Installed(NamedTuple):
    """The wheel, and the environment that it alone is installed in, with what it needs.

    Attributes:
        folder: Where the first stage of the image was carried out.
        builder: The Python that it was built with.
        wheel: The wheel.
        bin: The environment's folder of programs.
    """

    folder: Path
    builder: Path
    wheel: Path
    bin: Path

    @property
    def program(self) -> Sequence[str]:
        """What starts the exporter, and nothing but what was installed."""
        return ("env", "-u", "PYTHONPATH", str(self.bin / "transcoding-exporter"))

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the exporter to its end."""
        return ended([*self.program, *arguments], cwd=self.bin)


def ended(command: Sequence[str], cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run a program to its end."""
    return subprocess.run(command, cwd=cwd, env=environment(), capture_output=True, text=True, timeout=60)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """What the first stage of the image builds and installs."""
    folder = tmp_path_factory.mktemp("image")
    builder = image.build(folder)
    (wheel,) = (folder / "wheels").iterdir()
    return Installed(folder, builder, wheel, folder / "opt" / "transcoding-exporter" / "bin")


class Built(NamedTuple):
    """An sdist, the wheel that is built from it, and what was said meanwhile."""

    sdist: Path
    wheel: Path
    output: str


@pytest.fixture(scope="module")
def built(installed: Installed) -> Built:
    """What would be published, built like the image's wheel: by the same versions, dated alike."""
    said: list[str] = []

    def quiet(
        cmd: Sequence[str], cwd: str | None = None, extra_environ: Mapping[str, str] | None = None
    ) -> None:
        variables = image.plain(**EPOCH, **(extra_environ or {}))
        done = subprocess.run(cmd, cwd=cwd, env=variables, capture_output=True, text=True, timeout=60)
        said.append(done.stdout + done.stderr)
        assert done.returncode == 0, said[-1]

    def make(source: Path, kind: Literal["sdist", "wheel"]) -> Path:
        builder = ProjectBuilder(source, str(installed.builder), runner=quiet)
        return Path(builder.build(kind, installed.folder / "dist"))

    sdist = make(installed.folder / "src", "sdist")
    with tarfile.open(sdist) as archive:
        archive.extractall(installed.folder / "unpacked", filter="data")
    return Built(sdist, make(installed.folder / "unpacked" / NAME, "wheel"), "".join(said))


def contents(wheel: Path) -> dict[str, bytes]:
    """What is in a wheel, by name."""
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


# --- What is locked --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_names_versions_and_their_hashes_and_no_place_to_get_them(name: str) -> None:
    text = (ROOT / name).read_text().replace("\\\n", "")
    lines = [line for line in text.splitlines() if not line.strip().startswith("#")]

    odd = [
        line
        for line in lines
        if not re.fullmatch(r"[\w.-]+==[\w.]+ +(; [^;@]+? +)?(--hash=sha256:[0-9a-f]{64} *)+", line)
    ]
    assert (odd, len(lines) > 0) == ([], True)


def test_every_lock_is_what_the_image_is_made_of() -> None:
    (installing,) = (
        value for name, value in image.stages()[0] if name == "RUN" and "--require-hashes" in value
    )

    assert re.findall(r"install --require-hashes --only-binary :all: -r (\S+)", installing) == [
        "requirements-build.lock",
        "requirements.lock",
    ]
    others = [value for name, value in image.instructions() if name == "RUN" and value != installing]
    assert [value for value in others if re.search(r"\b(pip|apt|apt-get)\b", value)] == [
        value for value in others if "--no-index" in value
    ]


def test_the_locked_versions_are_all_that_is_needed(installed: Installed) -> None:
    command = [str(installed.builder), "-m", "pip", "--python", str(installed.bin / "python")]
    checked, frozen = ended([*command, "check"]), ended([*command, "freeze"])

    assert (checked.returncode, checked.stdout) == (0, "No broken requirements found.\n")
    lock = (ROOT / "requirements.lock").read_text().lower()
    others = [line for line in frozen.stdout.lower().splitlines() if not line.startswith("transcoding")]
    assert [line for line in others if f"{line.replace('_', '-')} " not in lock] == []
    assert [line for line in others if line.startswith("psycopg==")], "a ledger in PostgreSQL"


# --- What is built ---------------------------------------------------------------------------------------


def test_the_wheel_holds_all_that_belongs_into_it_and_nothing_else(installed: Installed) -> None:
    expected = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "exporter").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    expected |= {f"exporter/mixin/runbooks/{path.name}" for path in (ROOT / "docs/runbooks").glob("*.md")}
    expected |= {
        f"exporter/mixin/dashboards/{path.name}" for path in (ROOT / "grafana/dashboards").glob("*.json")
    }
    found = contents(installed.wheel)

    assert {name for name in found if ".dist-info/" not in name} == expected
    assert found[f"{NAME}.dist-info/licenses/LICENSE"] == (ROOT / "LICENSE").read_bytes()
    assert found[f"{NAME}.dist-info/entry_points.txt"].decode().split("\n")[:2] == [
        "[console_scripts]",
        "transcoding-exporter = exporter.cli:main",
    ]


def test_no_file_of_the_image_s_wheel_has_the_time_at_which_it_was_made(installed: Installed) -> None:
    with zipfile.ZipFile(installed.wheel) as archive:
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_both_packages_hold_real_files_where_the_checkout_has_links(
    installed: Installed, built: Built
) -> None:
    with zipfile.ZipFile(installed.wheel) as archive:
        kinds = {stat.S_IFMT(entry.external_attr >> 16) for entry in archive.infolist()}
    with tarfile.open(built.sdist) as packed:
        odd = [member.name for member in packed if not member.isreg() and not member.isdir()]
        names = packed.getnames()

    assert (kinds, odd) == ({stat.S_IFREG}, [])
    assert f"{NAME}/exporter/mixin/dashboards/transcoding-overview.json" in names
    assert f"{NAME}/exporter/mixin/runbooks/TranscodingTaskStalled.md" in names


def test_the_wheel_of_the_sdist_is_that_of_the_image(installed: Installed, built: Built) -> None:
    assert built.wheel.name == installed.wheel.name == f"{NAME}-py3-none-any.whl"
    assert contents(built.wheel) == contents(installed.wheel)


def test_the_tools_that_build_and_publish_have_nothing_to_complain_about(built: Built) -> None:
    twine = [sys.executable, "-m", "twine", "--no-color", "check", "--strict"]
    checked = ended([*twine, str(built.sdist), str(built.wheel)])

    assert re.findall(r"(?i).*(?:warning|deprecat).*", built.output) == []
    assert (checked.returncode, checked.stderr) == (0, "")
    said = [line for line in checked.stdout.split("Checking ") if line]
    assert len(said) == 2
    assert [line for line in said if not line.endswith(": PASSED\n")] == []


# --- What is installed -----------------------------------------------------------------------------------


def test_the_wheel_alone_knows_its_version_and_is_not_the_checkout(installed: Installed) -> None:
    place = "import exporter; print(exporter.__file__)"
    found = ended([str(installed.bin / "python"), "-I", "-c", place])

    assert installed.run("--version").stdout == f"transcoding-exporter, version {__version__}\n"
    assert Path(found.stdout.strip()).is_relative_to(installed.folder / "opt")


def test_the_wheel_alone_writes_the_dashboards_of_the_checkout(installed: Installed, tmp_path: Path) -> None:
    done = installed.run("dashboards", "--directory", str(tmp_path / "dashboards"))

    assert (done.returncode, done.stderr) == (0, "")
    assert texts(tmp_path / "dashboards", "*.json") == texts(ROOT / "grafana" / "dashboards", "*.json")


def test_the_wheel_alone_writes_the_rules_of_the_checkout(installed: Installed, tmp_path: Path) -> None:
    done = installed.run("rules", "--directory", str(tmp_path / "rules"))

    assert (done.returncode, done.stderr) == (0, "")
    assert texts(tmp_path / "rules", "*.yaml") == texts(ROOT / "prometheus" / "rules", "*.yaml")


def texts(folder: Path, pattern: str) -> dict[str, str]:
    """The texts of a folder's files, of which there is one at least."""
    found = {path.name: path.read_text() for path in folder.glob(pattern)}
    assert found
    return found


def test_the_wheel_alone_checks_a_configuration(installed: Installed, tmp_path: Path) -> None:
    (tmp_path / "good.yml").write_text("qencode: [{name: vod, task_tokens: [abc]}]\n")
    (tmp_path / "bad.yml").write_text("qencode: [{name: vod, task_token: [abc]}]\n")

    good = installed.run("check-config", str(tmp_path / "good.yml"))
    bad = installed.run("check-config", str(tmp_path / "bad.yml"))

    assert (good.returncode, good.stdout, good.stderr) == (0, "OK: qencode/vod (1 token)\n", "")
    assert (bad.returncode, bad.stdout) == (1, "")
    assert bad.stderr.startswith(f"{tmp_path}/bad.yml:1: ")


class Demo(NamedTuple):
    """The demo of the wheel, and where it is."""

    process: Process
    site: str


@pytest.fixture(scope="module")
def demo(installed: Installed) -> Iterator[Demo]:
    """The demo, served from the wheel alone."""
    with running([*installed.program, "demo", ANY_PORT]) as process:
        yield Demo(process, process.find(r"url=(http://\S+)/metrics"))


def test_the_wheel_alone_serves_metrics(demo: Demo) -> None:
    scraped = scrape(f"{demo.site}/metrics")

    assert scraped.by("provider", "transcoding_up") == {"qencode": 1, "livepeer": 1}
    assert scraped.total("transcoding_tasks") > 0


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/", "transcoding-exporter"),
        ("/runbooks/", "TranscodingTaskStalled"),
        ("/runbooks/TranscodingTaskStalled", "stalled"),
    ],
)
def test_the_wheel_alone_serves_pages_and_all_that_they_load(demo: Demo, path: str, words: str) -> None:
    page = requests.get(f"{demo.site}{path}", headers={"Accept": "text/html"}, timeout=20)
    assert (page.status_code, words in page.text) == (200, True)

    loaded = re.findall(r'(?:src|href)="([^"]+\.(?:css|js|svg|png|ico))"', page.text)
    answers = {name: requests.get(urljoin(page.url, name), timeout=20) for name in loaded}
    assert loaded
    assert {name: answer.status_code for name, answer in answers.items()} == dict.fromkeys(loaded, 200)


def test_the_wheel_alone_has_nothing_to_complain_about(demo: Demo) -> None:
    assert [line for line in demo.process.stderr.splitlines() if "level=info" not in line] == []
