"""What the benchmarks' commands have in common."""

from typing import Any

import click

from gream.errors import GreamError


class Benchmark(click.Command):
    """A command that an error which is meant to be read ends in one sentence, as it does `gream`."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except GreamError as error:
            raise click.ClickException(str(error)) from error
