"""The commands. What only one of them needs is imported by that one, so that `--help` is quick."""

import gc
import os
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from exporter import __version__
from exporter.commands.asking import Duration
from exporter.commands.check_config import check_config
from exporter.commands.completion import completion
from exporter.commands.dashboards import dashboards
from exporter.commands.output import Program
from exporter.commands.rules import rules
from exporter.commands.tasks import tasks
from exporter.commands.wait import wait
from exporter.flags import (
    WebFlags,
    config_option,
    log_options,
    shard_options,
    storage_option,
    web_options,
)
from exporter.startup import load_config, make_exporter, set_up_logs, stored, the_shard, told

if TYPE_CHECKING:
    from exporter.config import Config

_GARBAGE: Final = 10_000
"""New objects after which Python looks for garbage; its 700 are no match for pages of a thousand tasks."""


@click.group(cls=Program, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="transcoding-exporter")
def main() -> None:
    """Prometheus exporter for cloud transcoding: Qencode and Livepeer Studio."""
    gc.set_threshold(_GARBAGE)


for command in (check_config, tasks, wait, rules, dashboards, completion):
    main.add_command(command)


@main.command()
@config_option
@storage_option
@shard_options
@web_options
@log_options
def serve(
    config_file: Path | None,
    storage_path: str | None,
    shard: int | None,
    total_shards: int,
    log_level: str,
    log_format: str,
    **web: Any,
) -> None:
    """Serve the metrics until told to stop."""
    set_up_logs(log_level, log_format)
    part = the_shard(shard, total_shards)

    def read_config() -> "Config":
        from exporter.config import load

        return stored(load(config_file, os.environ), storage_path)

    config = told(read_config)
    from exporter.serving import serve as run

    run(make_exporter(config, shard=part), WebFlags(**web), read_config)


@main.command()
@config_option
@shard_options
@log_options
@click.option(
    "--timeout",
    type=Duration(),
    default="1m",
    metavar="DURATION",
    show_default=True,
    help="Wait no longer for the providers.",
)
@click.option("--openmetrics", is_flag=True, help="Print OpenMetrics instead of Prometheus' text format.")
def scrape(
    config_file: Path | None,
    shard: int | None,
    total_shards: int,
    log_level: str,
    log_format: str,
    timeout: float,
    openmetrics: bool,
) -> None:
    """Poll every account once and print the metrics.

    Exits with 1 if an account is down.
    """
    set_up_logs(log_level, log_format)
    # One poll is no history: a ledger that is in use is left alone.
    config = stored(load_config(config_file), "")
    with closing(make_exporter(config, shard=the_shard(shard, total_shards))) as exporter:
        exporter.refresh(timeout)
        accept = "application/openmetrics-text; version=1.0.0" if openmetrics else ""
        for piece in exporter.exposition.render(accept).pieces:
            click.echo(piece.text, nl=False)
        if not all(map(exporter.is_up, exporter.accounts)):
            sys.exit(1)


@main.command()
@web_options
@log_options
@click.option(
    "--seed", default=1, show_default=True, help="Which simulated world: the same seed, the same tasks."
)
@click.option(
    "--speed",
    type=click.FloatRange(0, 1000),
    default=1.0,
    show_default=True,
    help="How many times faster than real its time passes; to Prometheus, dates then lie in the future.",
)
@click.option(
    "--mood",
    type=click.Choice(["healthy", "ordinary", "failing", "outage"]),
    default="ordinary",
    show_default=True,
    help="What kind of day the simulated services have.",
)
def demo(log_level: str, log_format: str, seed: int, speed: float, mood: str, **web: Any) -> None:
    """Serve the metrics of simulated services: no account needed."""
    set_up_logs(log_level, log_format)
    from exporter.demo import Mood, simulation
    from exporter.serving import serve as run

    with simulation(seed=seed, speed=speed, mood=Mood(mood)) as world:
        banner = (
            "Demo: the services are simulated, no account is needed. Their URLs, to try a configuration on:"
            f"\n  Qencode   {world.simulator.qencode_url}"
            f"\n  Livepeer  {world.simulator.livepeer_url}  (API key: {world.simulator.livepeer_key})"
        )
        run(make_exporter(world.config, world.clock), WebFlags(**web), None, banner)
