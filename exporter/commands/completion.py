"""The command `completion`."""

import click

_VARIABLE = "_TRANSCODING_EXPORTER_COMPLETE"


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, /, shell: str) -> None:
    """Print what makes a shell complete our commands and options.

    \b
    In ~/.bashrc:  eval "$(transcoding-exporter completion bash)"
    In ~/.zshrc:   eval "$(transcoding-exporter completion zsh)"
    In ~/.config/fish/config.fish:  transcoding-exporter completion fish | source
    """  # noqa: D301 - click wants the character
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    if kind is None:
        raise click.ClickException(f"click can't complete for {shell}")
    click.echo(kind(context.find_root().command, {}, "transcoding-exporter", _VARIABLE).source())
