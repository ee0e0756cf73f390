"""The command line: one short command per stage, shared options at the top.

Commands read their defaults from ``pipeline/options.py``, build the stage's config, call the stage and print
its report. Stages are imported inside their commands, so that ``mdeas --help`` answers at once.
"""

from __future__ import annotations

import dataclasses
import errno
import functools
import json
import logging
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, cast

import click

from . import MdeasError, __version__
from .pipeline.options import (
    PRESETS,
    CleanConfig,
    CrawlConfig,
    DemoConfig,
    DepthTrainConfig,
    EvaluateConfig,
    EvaluateDepthConfig,
    LabelDepthConfig,
    MakeDatasetConfig,
    MakeMasksConfig,
    PredictConfig,
    PreviewConfig,
    StatsConfig,
    TrainConfig,
    VerifyConfig,
)

INTERRUPTED = 130
FOLDER = click.Path(path_type=Path, file_okay=False)
FILE = click.Path(path_type=Path, dir_okay=False)

Command = Callable[..., Any]


class Report(Protocol):
    """What every stage returns: a dataclass with a text for people."""

    def summary(self) -> str:
        """The text printed on stdout."""


class MdeasGroup(click.Group):
    """Turns everything a user can mend into one ``Error:`` line, at this one place."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The commands in the order of the chain, not of the alphabet."""
        return list(self.commands)

    def invoke(self, ctx: click.Context) -> Any:
        """Runs the command; exit code 1 for what can be mended, 130 when interrupted."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            click.echo("\nInterrupted: the same command goes on from here.", err=True)
            ctx.exit(INTERRUPTED)
        except (MdeasError, OSError) as error:
            if ctx.meta.get("mdeas.debug"):
                raise
            if isinstance(error, OSError) and error.errno == errno.EPIPE:
                raise
            raise click.ClickException(explain(error)) from error


def explain(error: MdeasError | OSError) -> str:
    """One line: what happened, where, what to do."""
    if isinstance(error, MdeasError):
        return str(error)
    what, where = error.strerror or type(error).__name__, error.filename or "a file"
    advice = {
        errno.ENOSPC: "free some space and run the same command again",
        errno.EDQUOT: "free some space and run the same command again",
        errno.EACCES: "check who may read and write there",
        errno.EROFS: "choose a folder that can be written",
        errno.ENOENT: "check the path",
    }.get(error.errno or 0, "run with --debug to see where")
    return f"{what}; {where}; {advice}"


def read_config(ctx: click.Context, _param: click.Parameter, path: Path | None) -> None:
    """Puts the options of a TOML file, a table a command, between the environment and the defaults."""
    if path is None:
        return
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise click.ClickException(f"not a TOML file; {path}; {error}") from error
    defaults: dict[str, dict[str, Any]] = {}
    for table, values in tables.items():
        command = cli.commands.get(table)
        if command is None or not isinstance(values, dict):
            known = ", ".join(f"[{name}]" for name in sorted(cli.commands))
            raise click.ClickException(f"no such command: [{table}]; {path}; use one of {known}")
        names = {
            option.lstrip("-"): p.name for p in command.params for option in (*p.opts, *p.secondary_opts)
        }
        for key in values:
            if key.replace("_", "-") not in names:
                raise click.ClickException(
                    f"no such option: {key}; {path} [{table}]; see mdeas {table} --help"
                )
        defaults[table] = {str(names[key.replace("_", "-")]): value for key, value in values.items()}
    mine: dict[str, Any] = defaults if ctx.command is cli else defaults.get(ctx.info_name or "", {})
    ctx.default_map = {**(ctx.default_map or {}), **mine}


def read_preset(ctx: click.Context, _param: click.Parameter, name: str | None) -> None:
    """Puts the options of a preset below those of the configuration file."""
    if name is not None:
        ctx.default_map = {**PRESETS[name], **(ctx.default_map or {})}


def note_debug(ctx: click.Context, _param: click.Parameter, value: bool) -> None:
    """Remembers ``--debug`` wherever it was given."""
    if value:
        ctx.meta["mdeas.debug"] = True


def option(*names: str, of: Any = None, **settings: Any) -> Callable[[Command], Command]:
    """A click option whose default is the field of the same name in the config class ``of``."""
    field = names[-1].split("/")[0].lstrip("-").replace("-", "_")
    if of is not None:
        settings.setdefault("default", getattr(of, field))
    settings.setdefault("show_default", True)
    return click.option(*names, **settings)


config_option = option(
    "--config",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    is_eager=True,
    expose_value=False,
    callback=read_config,
    help="TOML file with a table of options for each command.",
)
debug_option = option(
    "--debug",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    show_default=False,
    callback=note_debug,
    help="Show the traceback of an error.",
)


def command(name: str, brief: str) -> Callable[[Command], click.Command]:
    """A command whose function returns a report: text for people, or one JSON object with ``--json``."""

    def decorate(function: Command) -> click.Command:
        @functools.wraps(function)
        def run(as_json: bool, **options: Any) -> None:
            report = cast(Report, function(**options))
            values = dataclasses.asdict(report)  # type: ignore[call-overload]
            click.echo(json.dumps(values, default=str) if as_json else report.summary())
            if values.get("problems"):
                raise MdeasError(f"{len(values['problems'])} problems found; they are listed above")

        json_option = option(
            "--json",
            "as_json",
            is_flag=True,
            show_default=False,
            help="Print one JSON object instead of text.",
        )
        return cli.command(name, short_help=brief)(config_option(json_option(debug_option(run))))

    return decorate


def dataset_option(of: Any) -> Callable[[Command], Command]:
    """``--dataset``, the same everywhere."""
    return option("--dataset", of=of, type=FOLDER, help="The data set's folder.")


def jobs_option(of: Any) -> Callable[[Command], Command]:
    """``--jobs``, the same everywhere; it never changes a byte of the result."""
    return option("--jobs", of=of, type=int, callback=check_jobs, help="Worker processes; -1 is one a core.")


def check_jobs(_ctx: click.Context, _param: click.Parameter, jobs: int) -> int:
    """A positive number, or -1."""
    if jobs < 1 and jobs != -1:
        raise click.BadParameter("use a number of processes from 1, or -1 for one a core")
    return jobs


def split_commas(_ctx: click.Context, _param: click.Parameter, text: str) -> tuple[str, ...]:
    """``a,b`` as ``("a", "b")``."""
    return tuple(word.strip() for word in text.split(",") if word.strip())


def licence_option(brief: str) -> Callable[[Command], Command]:
    """``--licence``: codes with commas between them."""
    return option("--licence", default="", callback=split_commas, metavar="cc0,by,...", help=brief)


def device_option(of: Any) -> Callable[[Command], Command]:
    """``--device``, the same everywhere."""
    return option("--device", of=of, metavar="auto|cpu|cuda|cuda:N|mps", help="Where the network runs.")


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

    Every command runs with no arguments, in this order:

    \b
      mdeas crawl, clean    pictures into data/fg, data/bg, where you have none yet
      mdeas make-dataset    data/fg, data/bg  ->  data/dataset (the bundled pictures without them)
      mdeas label-depth     a depth label for every sample
      mdeas stats           exact mean and standard deviation
      mdeas train           the network, into runs/

    `mdeas demo` runs the whole chain, small, in a few minutes. Options come from the command line, MDEAS_* in
    the environment (MDEAS_TRAIN_EPOCHS=3), the --config file, the defaults, in this order.
    """


@command("demo", "The whole chain, small, on the bundled pictures.")
@option("--out", of=DemoConfig, type=FOLDER, help="Where everything goes.")
@option("--seed", of=DemoConfig, type=click.IntRange(min=0), help="Same seed, same data set.")
@jobs_option(DemoConfig)
def demo(**options: Any) -> Report:
    """The whole chain on the bundled pictures, small, in a few minutes on two cores.

    Makes a data set, labels its depth, measures it, trains the network, evaluates it beside the baseline that
    learns nothing, and ends with the paths of what to look at.
    """
    from .pipeline.demo import run_demo

    return run_demo(DemoConfig(**options))


@command("crawl", "Fetch pictures, with origin and licence of each.")
@click.argument("kind", type=click.Choice(["fg", "bg"]))
@click.argument("queries", metavar="QUERY...", nargs=-1, required=True)
@option("--source", of=CrawlConfig, metavar="openverse|bing|urls", help="Where to look; `urls` reads files.")
@option(
    "--limit",
    of=CrawlConfig,
    type=click.IntRange(min=1),
    show_default="100; of a list, all",
    help="Pictures for each QUERY.",
)
@licence_option("Only pictures under these.")
@option("--out", of=CrawlConfig, type=FOLDER, help="Folder that gets fg/ and bg/, with a ledger in each.")
@option("--min-size", of=CrawlConfig, type=click.IntRange(min=1), help="Shorter side of a picture, pixels.")
@option("--parallel", of=CrawlConfig, type=click.IntRange(1, 64), help="Downloads at a time.")
@option("--contact", of=CrawlConfig, help="Mail or web address for the keepers of servers (User-Agent).")
@option("--allow-private", of=CrawlConfig, is_flag=True, help="Also fetch from private networks.")
@option(
    "--ignore-robots", of=CrawlConfig, is_flag=True, help="Pass over robots.txt and noai; the ledger says so."
)
def crawl(**options: Any) -> Report:
    """Fetches pictures for every QUERY into data/raw/fg or data/raw/bg, each with origin and licence in
    assets.jsonl; what failed is in failures.jsonl. Run again, it fetches what is missing.
    """
    from .pipeline.crawl import crawl

    return crawl(CrawlConfig(**options))


@command("clean", "Raw pictures to usable ones, a reason for each.")
@option("--fg", of=CleanConfig, type=FOLDER, show_default="data/raw/fg", help="Folder of raw cut-outs.")
@option("--bg", of=CleanConfig, type=FOLDER, show_default="data/raw/bg", help="Folder of raw photos.")
@option("--out", of=CleanConfig, type=FOLDER, help="Folder that gets fg/, bg/, clean.csv and review.html.")
@option("--fg-min-side", of=CleanConfig, type=click.IntRange(min=4), help="Least longer side of an object.")
@option("--fg-max-side", of=CleanConfig, type=click.IntRange(min=64), help="Larger objects are shrunk to it.")
@option(
    "--fg-min-coverage", of=CleanConfig, type=click.FloatRange(0, 1), help="Least solid share of its box."
)
@option("--bg-min-side", of=CleanConfig, type=click.IntRange(min=16), help="Least shorter side of a photo.")
@option("--bg-max-aspect", of=CleanConfig, type=click.FloatRange(min=1), help="Longest shape of a photo.")
@option("--bg-size", of=CleanConfig, type=click.IntRange(min=16), help="Side of the squares that are kept.")
@option(
    "--duplicate-bits", of=CleanConfig, type=click.IntRange(-1, 20), help="Hash distance; -1: same bytes."
)
@option("--cutout", of=CleanConfig, type=click.Choice(["none", "rembg"]), help="Cut out what has no alpha.")
@jobs_option(CleanConfig)
def clean(**options: Any) -> Report:
    """Cleans data/raw/fg and data/raw/bg into data/fg and data/bg: broken, fake and repeated pictures out,
    the others mended. clean.csv has a verdict and a reason for every file, review.html shows them; names in
    keep.txt and drop.txt beside it win. Run again, it does only what is new.
    """
    from .pipeline.clean import clean

    return clean(CleanConfig(**options))


@command("make-masks", "The mask of every cut-out, from its alpha.")
@option(
    "--fg",
    of=MakeMasksConfig,
    type=FOLDER,
    show_default="data/fg, or the bundled pictures",
    help="Folder of cut-outs with alpha.",
)
@option("--out", of=MakeMasksConfig, type=FOLDER, help="Folder for the masks.")
@option(
    "--mask-threshold",
    of=MakeMasksConfig,
    type=click.IntRange(0, 254),
    help="Foreground where alpha is above this.",
)
def make_masks(**options: Any) -> Report:
    """The mask of every cut-out, from its alpha: one lossless 1-bit PNG each.

    make-dataset uses the same function and does not need these files.
    """
    from .pipeline.mask import make_masks

    return make_masks(MakeMasksConfig(**options))


@command("make-dataset", "Every cut-out on every background, with exact masks.")
@option(
    "--fg",
    of=MakeDatasetConfig,
    type=FOLDER,
    show_default="data/fg, or the bundled pictures",
    help="Folder of cut-outs with alpha.",
)
@option(
    "--bg",
    of=MakeDatasetConfig,
    type=FOLDER,
    show_default="data/bg, or the bundled pictures",
    help="Folder of background photos.",
)
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
@option(
    "--mask-threshold",
    of=MakeDatasetConfig,
    type=click.IntRange(0, 254),
    help="Foreground where alpha is above this.",
)
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
    help="Only this many samples, spread over all pairs.",
)
@licence_option("Only pictures under these, by assets.jsonl beside them.")
@option(
    "--preset",
    type=click.Choice(list(PRESETS)),
    is_eager=True,
    expose_value=False,
    callback=read_preset,
    help="Size, scale, quality and threshold of a published data set.",
)
@jobs_option(MakeDatasetConfig)
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
    from .pipeline.composite import make_dataset

    return make_dataset(MakeDatasetConfig(**options))


@command("label-depth", "A depth label for every sample.")
@dataset_option(LabelDepthConfig)
@option(
    "--batch",
    of=LabelDepthConfig,
    type=click.IntRange(min=1),
    help="Samples a commit to disk; memory is given back after each.",
)
@option("--micro-batch", of=LabelDepthConfig, type=click.IntRange(min=1), help="Pictures a forward pass.")
@option("--model", of=LabelDepthConfig, help="Depth network; `mdeas models` lists them.")
@option("--weights", of=LabelDepthConfig, type=FILE, help="Weights file, for networks that need one.")
@device_option(LabelDepthConfig)
@jobs_option(LabelDepthConfig)
@option(
    "--pictures",
    of=LabelDepthConfig,
    type=FOLDER,
    help="Label this folder of pictures instead of a data set.",
)
@option("--out", of=LabelDepthConfig, type=FOLDER, help="With --pictures: where the labels go.")
@option(
    "--overwrite",
    of=LabelDepthConfig,
    is_flag=True,
    show_default=False,
    help="Start afresh where labels exist.",
)
def label_depth(**options: Any) -> Report:
    """A depth label for every sample, by a pretrained monocular network, as 16-bit PNG.

    The bundled network works offline. depth.json states what the values mean: kind, unit, way, mapping.
    """
    from .pipeline.depth import label_depth

    return label_depth(LabelDepthConfig(**options))


@command("stats", "Exact mean and std of bg, fg_bg, mask and depth.")
@dataset_option(StatsConfig)
@jobs_option(StatsConfig)
def stats(**options: Any) -> Report:
    """Exact mean and standard deviation of bg, fg_bg, mask and depth, over the decoded files."""
    from .pipeline.stats import compute_stats

    return compute_stats(StatsConfig(**options))


@command("train", "Train a network for depth and mask.")
@dataset_option(TrainConfig)
@option("--model", of=TrainConfig, help="Dual-head network; `mdeas models` lists them.")
@option("--run", of=TrainConfig, help="Name of the run.")
@option("--runs", of=TrainConfig, type=FOLDER, help="Folder of all runs.")
@option(
    "--size",
    of=TrainConfig,
    type=click.IntRange(min=16),
    show_default="the data set's own",
    help="Side of the pictures it trains on.",
)
@option("--epochs", of=TrainConfig, type=click.IntRange(min=1), help="Passes over the training samples.")
@option("--batch-size", of=TrainConfig, type=click.IntRange(min=1), help="Samples a step.")
@option("--lr", of=TrainConfig, type=click.FloatRange(min=0, min_open=True), help="Learning rate.")
@option("--loss", of=TrainConfig, help="Loss preset.")
@option("--schedule", of=TrainConfig, help="Learning-rate schedule.")
@option("--limit", of=TrainConfig, type=click.IntRange(min=1), help="Only this many training samples.")
@option(
    "--val-limit",
    of=TrainConfig,
    type=click.IntRange(min=1),
    help="Samples of each validation stratum to measure after an epoch.",
)
@option("--seed", of=TrainConfig, type=click.IntRange(min=0), help="Seed of weights and order.")
@device_option(TrainConfig)
@option("--workers", of=TrainConfig, type=click.IntRange(min=0), help="Threads that read and decode.")
@option("--resume/--no-resume", of=TrainConfig, help="Go on from last.ckpt where there is one.")
@option(
    "--overwrite", of=TrainConfig, is_flag=True, show_default=False, help="Start afresh where the run exists."
)
def train(**options: Any) -> Report:
    """Trains a network that takes (bg, fg_bg) and predicts depth and mask, into runs/NAME.

    Splits are by asset: no validation picture shares what it is judged on with training. A stopped run goes
    on and ends with the same figures.
    """
    from .models.train import train

    return train(TrainConfig(**options))


@command("evaluate", "Metrics of a checkpoint, beside the baseline.")
@dataset_option(EvaluateConfig)
@option("--run", of=EvaluateConfig, help="Name of the run.")
@option("--runs", of=EvaluateConfig, type=FOLDER, help="Folder of all runs.")
@option(
    "--checkpoint", of=EvaluateConfig, type=FILE, show_default="best.ckpt of the run", help="Checkpoint file."
)
@option("--batch-size", of=EvaluateConfig, type=click.IntRange(min=1), help="Samples a forward pass.")
@option("--limit", of=EvaluateConfig, type=click.IntRange(min=1), help="Only this many samples a stratum.")
@device_option(EvaluateConfig)
@option("--workers", of=EvaluateConfig, type=click.IntRange(min=0), help="Threads that read and decode.")
def evaluate(**options: Any) -> Report:
    """Metrics of a checkpoint on every validation stratum, beside the baseline that learns nothing."""
    from .models.evaluate import evaluate

    return evaluate(EvaluateConfig(**options))


@command("predict", "Depth and mask pictures from a checkpoint.")
@click.argument("background", metavar="BG", type=FILE)
@click.argument("frames", metavar="FRAME...", type=FILE, nargs=-1, required=True)
@option(
    "--checkpoint", of=PredictConfig, type=FILE, show_default="runs/mdeas/best.ckpt", help="Checkpoint file."
)
@option("--out", of=PredictConfig, type=FOLDER, help="Folder for the pictures.")
@device_option(PredictConfig)
def predict(**options: Any) -> Report:
    """Depth and mask pictures of what changed in each FRAME in front of the known background BG."""
    from .models.predict import predict

    return predict(PredictConfig(**options))


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
def verify(**options: Any) -> Report:
    """Checks every archive and every row of a data set; says what is wrong and where, one line each."""
    from .pipeline.verify import verify_dataset

    return verify_dataset(VerifyConfig(**options))


@command("preview", "A contact sheet of random samples.")
@dataset_option(PreviewConfig)
@option("--out", of=PreviewConfig, type=FILE, help="The PNG to write.")
@option("--count", of=PreviewConfig, type=click.IntRange(1, 1000), help="Samples on the sheet.")
@option("--seed", of=PreviewConfig, type=click.IntRange(min=0), help="Which samples.")
def preview(**options: Any) -> Report:
    """A contact sheet of random samples: bg, fg_bg, mask, depth."""
    from .pipeline.preview import make_preview

    return make_preview(PreviewConfig(**options))


@command("models", "The networks there are.")
def models() -> Report:
    """The networks: name, parameters, input sizes, licence, and where the weights come from."""
    from .models.catalogue import list_models

    return list_models()


@command("train-depth", "Train the bundled depth network again.")
@option("--out", of=DepthTrainConfig, type=FOLDER, help="Folder of the run: checkpoint, log, weights.")
@option("--steps", of=DepthTrainConfig, type=click.IntRange(min=1), help="Training steps.")
@option("--seed", of=DepthTrainConfig, type=click.IntRange(min=0), help="Seed of scenes and weights.")
def train_depth(**options: Any) -> Report:
    """Trains the bundled depth network again, on rendered rooms only (needs the extra `scenes`)."""
    from .models.depth_train import train_depth

    return train_depth(DepthTrainConfig(**options))


@command("evaluate-depth", "Judge a depth network on RGB-D frames.")
@click.argument("pairs", type=FOLDER)
@option("--model", of=EvaluateDepthConfig, help="Depth network; `mdeas models` lists them.")
@option("--weights", of=EvaluateDepthConfig, type=FILE, help="Weights file, for networks that need one.")
@device_option(EvaluateDepthConfig)
def evaluate_depth(**options: Any) -> Report:
    """Judges a depth network on real RGB-D frames.

    PAIRS is a folder of NAME_rgb.jpg beside NAME_depth.png (16 bit, millimetres, 0 where unknown). Scale and
    shift are fitted in log inverse depth; a constant and the best linear function of the row stand beside it.
    """
    from .models.depth_eval import evaluate_depth

    return evaluate_depth(EvaluateDepthConfig(**options))


def main() -> None:
    """The console script."""
    logging.addLevelName(logging.WARNING, "Warning")
    logging.basicConfig(format="%(levelname)s: %(message)s", level=logging.WARNING)
    cli()
