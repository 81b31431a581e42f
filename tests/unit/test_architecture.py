"""The arrows of docs/architecture.md point one way, and a module fits in one reading."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import exporter

PACKAGE = Path(exporter.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))

MAY_IMPORT = {
    "model": set(),
    "schema": {"schema"},
    "config": {"schema", "config"},
    "http_client": set(),
    "providers": {"model", "http_client", "providers"},
    "sharding": {"model"},
    "tracking": {"model", "sharding", "tracking"},
    "health": {"model"},
    "poller": {"health", "model", "providers", "tracking", "poller"},
    "metrics": {"model", "tracking", "pieces", "metrics"},
    "mixin": {"mixin"},
    "report": {"health", "model", "tracking", "metrics", "report"},
    "terminal": {"model", "http_client", "report", "terminal"},
    "server": {"server"},
    "guard": {"schema", "server", "guard"},
    "web": {"model", "report", "pieces", "server", "web"},
    "simulator": {"simulator"},
    "logs": set(),
    "clock": set(),
    "pieces": set(),
    "flags": {"server", "web"},
}
"""What each room may import of ours; the rim (cli, assembly, demo) may import everything."""

ROOMS = {
    "poll_log": "poller",
    "config_sections": "config",
    "config_values": "schema",
    "secret": "schema",
    "strict_yaml": "schema",
}
RIM = {
    "cli",
    "commands",
    "startup",
    "serving",
    "signals",
    "token_desk",
    "viewing",
    "reporter",
    "assembly",
    "services",
    "storage",
    "ledger_file",
    "demo",
    "__main__",
    "__init__",
}


def room(module: Path) -> str:
    name = module.relative_to(PACKAGE).parts[0].removesuffix(".py")
    return ROOMS.get(name, name)


def imported_rooms(module: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(module.read_text())):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module]
        for name in names:
            parts = name.split(".")
            if parts[0] == "exporter" and len(parts) > 1:
                yield ROOMS.get(parts[1], parts[1])


@pytest.mark.parametrize("module", MODULES, ids=lambda module: str(module.relative_to(PACKAGE)))
def test_imports_point_one_way(module: Path) -> None:
    if room(module) in RIM:
        return
    assert set(imported_rooms(module)) <= MAY_IMPORT[room(module)]


@pytest.mark.parametrize("module", MODULES, ids=lambda module: str(module.relative_to(PACKAGE)))
def test_a_module_fits_in_one_reading(module: Path) -> None:
    assert len(module.read_text().splitlines()) <= 320


def test_nobody_imports_the_command_line() -> None:
    assert not [module for module in MODULES if "cli" in imported_rooms(module) and module.stem != "__main__"]
