"""The data set: made, measured, checked, looked at."""

from __future__ import annotations

from typing import Any

import click

from ..pipeline.options import (
    PRESETS,
    DemoConfig,
    MakeDatasetConfig,
    MakeMasksConfig,
    MergeConfig,
    PreviewConfig,
    RebuildConfig,
    StatsConfig,
    VerifyConfig,
)
from .base import (
    FILE,
    FOLDER,
    Report,
    backgrounds_option,
    command,
    dataset_option,
    foregrounds_option,
    jobs_option,
    licence_option,
    option,
    part_option,
    preset_option,
    scheduler_option,
    threshold_option,
)


@command("demo", "The whole chain, small, on the bundled pictures.")
@option("--out", of=DemoConfig, type=FOLDER, help="Where everything goes.")
@option("--seed", of=DemoConfig, type=click.IntRange(min=0), help="Same seed, same data set.")
@jobs_option(DemoConfig)
def demo(**options: Any) -> Report:
    """The whole chain on the bundled pictures, small, in a few minutes on two cores.

    Makes a data set, labels its depth, measures it, trains the network, evaluates it beside the baseline that
    learns nothing, and ends with the paths of what to look at.
    """
    from .chain import run_demo

    return run_demo(DemoConfig(**options))


@command("make-masks", "The mask of every cut-out, from its alpha.")
@foregrounds_option(MakeMasksConfig)
@option("--out", of=MakeMasksConfig, type=FOLDER, help="Folder for the masks.")
@threshold_option(MakeMasksConfig)
def make_masks(**options: Any) -> Report:
    """The mask of every cut-out, from its alpha: one lossless 1-bit PNG each.

    make-dataset uses the same function and does not need these files.
    """
    from ..pipeline.mask import make_masks

    return make_masks(MakeMasksConfig(**options))


@command("make-dataset", "Every cut-out on every background, with exact masks.")
@foregrounds_option(MakeDatasetConfig)
@backgrounds_option(MakeDatasetConfig)
@option("--out", of=MakeDatasetConfig, type=FOLDER, help="The data set's folder.")
@option(
    "--size", of=MakeDatasetConfig, type=click.IntRange(16, 4096), help="Side of the square pictures, pixels."
)
@option(
    "--placements",
    of=MakeDatasetConfig,
    type=click.IntRange(min=1),
    help="Random places of each cut-out on each background and flip.",
)
@option("--flips/--no-flips", of=MakeDatasetConfig, help="Also every cut-out mirrored.")
@option(
    "--scale",
    of=MakeDatasetConfig,
    type=click.FloatRange(0, 1, min_open=True),
    nargs=2,
    metavar="MIN MAX",
    help="Range of the object's longer side, as a fraction of the frame.",
)
@option("--quality", of=MakeDatasetConfig, type=click.IntRange(1, 100), help="JPEG quality of fg_bg.")
@threshold_option(MakeDatasetConfig)
@option(
    "--seed",
    of=MakeDatasetConfig,
    type=click.IntRange(min=0),
    help="Same pictures, options and seed: same bytes.",
)
@option(
    "--limit",
    of=MakeDatasetConfig,
    type=click.IntRange(min=1),
    show_default="all",
    help="Only this many samples, spread over all pairs.",
)
@licence_option("Only pictures under these, by assets.jsonl beside them.")
@preset_option(PRESETS, "Size, scale, quality and threshold of a published data set.")
@jobs_option(MakeDatasetConfig)
@scheduler_option(MakeDatasetConfig)
@part_option(MakeDatasetConfig)
@option(
    "--overwrite",
    of=MakeDatasetConfig,
    is_flag=True,
    show_default=False,
    help="Start afresh where a data set exists.",
)
def make_dataset(**options: Any) -> Report:
    """Every cut-out on every background, mirrored and not, at random places, with exact masks.

    Writes STORED zip archives, samples.parquet and dataset.json. A run that was stopped goes on from where it
    was. With neither data/fg nor data/bg, the bundled pictures are used.
    """
    from ..pipeline.composite import make_dataset, make_dataset_part

    config = MakeDatasetConfig(**options)
    return make_dataset(config) if config.part is None else make_dataset_part(config)


@command("stats", "Exact mean and std of bg, fg_bg, mask and depth.")
@dataset_option(StatsConfig)
@jobs_option(StatsConfig)
@scheduler_option(StatsConfig)
@part_option(StatsConfig)
def stats(**options: Any) -> Report:
    """Exact mean and standard deviation of bg, fg_bg, mask and depth, over the decoded files."""
    from ..pipeline.stats import compute_stats, compute_stats_part

    config = StatsConfig(**options)
    return compute_stats(config) if config.part is None else compute_stats_part(config)


@command("merge", "Parts made with --part become one data set.")
@dataset_option(MergeConfig)
@click.argument("folders", nargs=-1, type=FOLDER)
def merge(**options: Any) -> Report:
    """What parts of make-dataset, label-depth and stats have made becomes what one machine would write.

    FOLDERS: where parts worked that did not work in the data set's folder itself. Parts that are missing are
    named.
    """
    from ..pipeline.merge import merge

    return merge(MergeConfig(**options))


@command("verify", "Check every archive and every row.")
@dataset_option(VerifyConfig)
@option(
    "--sample",
    of=VerifyConfig,
    type=click.IntRange(min=1),
    show_default="all",
    help="Decode only this many pictures a kind.",
)
@jobs_option(VerifyConfig)
@option(
    "--repair",
    of=VerifyConfig,
    is_flag=True,
    show_default=False,
    help="Mend what can be mended and drop what cannot be trusted, so that it is made again.",
)
def verify(**options: Any) -> Report:
    """Checks every archive and every row of a data set; says what is wrong and where, one line each.

    With --repair, torn directories are made again from local headers, dataset.json, depth.json and the sample
    table from their second copies, and what is damaged is dropped: make-dataset and label-depth with the same
    options then make it again, and nothing else.
    """
    from ..pipeline.repair import repair_dataset
    from ..pipeline.verify import verify_dataset

    config = VerifyConfig(**options)
    return repair_dataset(config) if config.repair else verify_dataset(config)


@command("rebuild", "A data set, or one shard, again from its lock file.")
@option("--lock", of=RebuildConfig, type=FILE, help="The dataset.lock.json, or a dataset.json.")
@foregrounds_option(RebuildConfig, "Folder with the cut-outs, under any names.")
@backgrounds_option(RebuildConfig, "Folder with the background photos, under any names.")
@option("--out", of=RebuildConfig, type=FOLDER, help="Where the data set goes.")
@option(
    "--shard",
    of=RebuildConfig,
    type=click.IntRange(min=0),
    show_default="all",
    help="Only the archives of this number.",
)
@jobs_option(RebuildConfig)
def rebuild(**options: Any) -> Report:
    """Makes a data set, or a single shard of it, again from its lock file and the same pictures.

    Pictures are found by their hash. What is made is held against the recorded hashes; where encoders here
    write other bytes, decoded pixels are compared.
    """
    from ..pipeline.rebuild import rebuild

    return rebuild(RebuildConfig(**options))


@command("preview", "A contact sheet of random samples.")
@dataset_option(PreviewConfig)
@option("--out", of=PreviewConfig, type=FILE, help="The PNG to write.")
@option("--count", of=PreviewConfig, type=click.IntRange(1, 1000), help="Samples on the sheet.")
@option("--seed", of=PreviewConfig, type=click.IntRange(min=0), help="Which samples.")
def preview(**options: Any) -> Report:
    """A contact sheet of random samples: bg, fg_bg, mask, depth."""
    from ..pipeline.preview import make_preview

    return make_preview(PreviewConfig(**options))
