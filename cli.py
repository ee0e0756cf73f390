"""The command line: the group and its commands, in the order of the chain.

Commands read their defaults from ``pipeline/options.py``, build the stage's config, call the stage and print
its report. Stages are imported inside their commands, so that ``mdeas --help`` answers at once.
"""

from __future__ import annotations

import logging

import click

from . import __version__
from .commands import acquire, dataset, depth, learn, train
from .commands.base import MdeasGroup, config_option, debug_option


@click.group(
    cls=MdeasGroup,
    context_settings={
        "help_option_names": ["-h", "--help"],
        "auto_envvar_prefix": "MDEAS",
        "max_content_width": 100,
    },
)
@click.version_option(__version__, prog_name="mdeas")
@config_option
@debug_option
def cli() -> None:
    """From cut-outs and background photos to a paired data set (background, composite, mask, depth) and the
    small network that learns from it.

    Every option has a default, every path too. The chain, in this order:

    \b
      mdeas crawl, clean    pictures into data/fg, data/bg, where you have none yet
      mdeas make-dataset    data/fg, data/bg  ->  data/dataset (the bundled pictures without them)
      mdeas label-depth     a depth label for every sample
      mdeas stats           exact mean and standard deviation
      mdeas train           the network, into runs/

    `mdeas demo` runs the whole chain, small, in a few minutes. Options come from the command line, MDEAS_* in
    the environment (MDEAS_TRAIN_EPOCHS=3), the --config file, the defaults, in this order.
    """


for _command in (
    dataset.demo,
    acquire.crawl,
    acquire.clean,
    dataset.make_masks,
    dataset.make_dataset,
    depth.label_depth,
    dataset.stats,
    dataset.merge,
    train.train,
    train.lr_find,
    learn.evaluate,
    learn.compare,
    learn.predict,
    dataset.verify,
    dataset.rebuild,
    dataset.preview,
    learn.models,
    depth.train_depth,
    depth.evaluate_depth,
):
    cli.add_command(_command)


def main() -> None:
    """The console script."""
    logging.addLevelName(logging.WARNING, "Warning")
    logging.basicConfig(format="%(levelname)s: %(message)s", level=logging.WARNING)
    cli()
