"""Every option of every command with its default: frozen dataclasses, standard library only.

The command line reads its defaults from here and hands the finished dataclass to the stage, so a default is
written once. Nothing heavy may be imported here: ``mdeas --help`` reads this file.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

RAW_DIR = Path("data/raw")
FG_DIR = Path("data/fg")
BG_DIR = Path("data/bg")
DATASET_DIR = Path("data/dataset")
RUNS_DIR = Path("runs")


@dataclass(frozen=True)
class CrawlConfig:
    """``mdeas crawl``: up to ``limit`` pictures for each of ``queries`` into ``out``/``kind``."""

    kind: Literal["fg", "bg"] = "fg"
    queries: tuple[str, ...] = ()
    source: str = "openverse"
    limit: int | None = None  # None: 100 for a query; of a list of addresses, all
    licence: tuple[str, ...] = ()  # none: of openverse, those that allow changes; of the others, any
    out: Path = Path("data/raw")
    min_size: int = 64
    parallel: int = 8
    contact: str = ""
    allow_private: bool = False
    ignore_robots: bool = False


@dataclass(frozen=True)
class CleanConfig:
    """``mdeas clean``: sides in pixels; a negative ``duplicate_bits`` drops only copies of the same bytes."""

    fg: Path | None = None  # None: data/raw/fg and data/raw/bg, whichever there is
    bg: Path | None = None
    out: Path = Path("data")
    fg_min_side: int = 32  # of the object's longer side
    fg_max_side: int = 1024  # an object fills 0.7 of the frame at most: enough for frames of 1462
    fg_min_coverage: float = 0.01  # solid share of the object's box
    bg_min_side: int = 224  # of the shorter side: make-dataset's own size
    bg_max_aspect: float = 4.0
    bg_size: int = 512  # twice what make-dataset needs by default, and never enlarged
    duplicate_bits: int = 8  # of 64
    cutout: Literal["none", "rembg"] = "none"
    jobs: int = -1


@dataclass(frozen=True)
class MakeMasksConfig:
    """``mdeas make-masks``: foreground where alpha > ``mask_threshold`` (0-254)."""

    fg: Path | None = None  # None: data/fg, or the bundled pictures where neither data/fg nor data/bg exists
    out: Path = Path("data/fg_mask")
    mask_threshold: int = 127


@dataclass(frozen=True)
class MakeDatasetConfig:
    """``mdeas make-dataset``: ``size`` in pixels, ``scale`` as fractions of it, ``jobs`` -1 = one a core."""

    fg: Path | None = None  # None: as in MakeMasksConfig
    bg: Path | None = None
    out: Path = DATASET_DIR
    size: int = 224
    placements: int = 20
    flips: bool = True
    scale: tuple[float, float] = (0.3, 0.7)
    quality: int = 90
    mask_threshold: int = 127
    seed: int = 0
    limit: int | None = None
    licence: tuple[str, ...] = ()  # none: any, also pictures of which the ledger says nothing
    jobs: int = -1
    scheduler: str | None = None  # a dask cluster's address; None: this machine
    part: tuple[int, int] | None = None  # (i, n): only the i-th of n shares of the shards
    overwrite: bool = False


# Sizes, scales and qualities of published data sets of this kind. What was wrong in them (objects cut by the
# border, lossy masks) is not repeated; masks are every pixel with any alpha, as there.
PRESETS: dict[str, dict[str, object]] = {
    "modest": {"size": 224, "scale": (108 / 224, 108 / 224), "quality": 75, "mask_threshold": 0},
    "mdeas": {"size": 224, "scale": (0.4 * 150 / 224, 150 / 224), "quality": 50, "mask_threshold": 0},
    "depthmask": {"size": 160, "scale": (0.6 * 150 / 160, 150 / 160), "quality": 50, "mask_threshold": 0},
    "vathos": {"size": 200, "scale": (80 / 200, 109 / 200), "quality": 30, "mask_threshold": 0},
}


@dataclass(frozen=True)
class LabelDepthConfig:
    """``mdeas label-depth``; ``batch`` samples are one commit to disk, ``micro_batch`` one forward pass."""

    dataset: Path = DATASET_DIR
    batch: int = 1000
    micro_batch: int | None = None  # None: what suits the network and the device
    model: str = "bundled"
    weights: Path | None = None
    mode: str = "model"  # or "composed": the network sees backgrounds and cut-outs, not the samples
    bits: int = 12  # half the bytes of 16 for a rounding far below any network's error
    device: str = "auto"  # several with commas between: cuda:0,cuda:1
    dtype: str = "float32"  # bfloat16 is faster, and keeps about 8 bits of a value
    runtime: str = "auto"
    accept_licence: bool = False
    jobs: int = -1
    scheduler: str | None = None
    part: tuple[int, int] | None = None
    pictures: Path | None = None  # label this folder of pictures instead of a data set
    out: Path = Path("depth")  # where the labels of ``pictures`` go
    format: str = "png"  # of those labels; or npy, exr, hdf5: the network's own numbers
    relabel_bad: bool = False
    overwrite: bool = False


@dataclass(frozen=True)
class StatsConfig:
    """``mdeas stats``."""

    dataset: Path = DATASET_DIR
    jobs: int = -1
    scheduler: str | None = None
    part: tuple[int, int] | None = None


@dataclass(frozen=True)
class MergeConfig:
    """``mdeas merge``: what parts have made, in ``dataset`` or in folders of their own."""

    dataset: Path = DATASET_DIR
    folders: tuple[Path, ...] = ()


@dataclass(frozen=True)
class VerifyConfig:
    """``mdeas verify``: ``sample`` pictures a kind are decoded; None, or ``repair``, decodes all."""

    dataset: Path = DATASET_DIR
    sample: int | None = None
    jobs: int = -1
    repair: bool = False


@dataclass(frozen=True)
class RebuildConfig:
    """``mdeas rebuild``: from ``lock``, all shards or one, into a folder of its own."""

    lock: Path = DATASET_DIR / "dataset.lock.json"
    fg: Path | None = None  # None: as in MakeMasksConfig
    bg: Path | None = None
    out: Path = Path("data/rebuilt")
    shard: int | None = None
    jobs: int = -1


@dataclass(frozen=True)
class PreviewConfig:
    """``mdeas preview``: a contact sheet of ``count`` samples drawn with ``seed``."""

    dataset: Path = DATASET_DIR
    out: Path = Path("preview.png")
    count: int = 8
    seed: int = 0


@dataclass(frozen=True)
class TrainConfig:
    """``mdeas train``; ``size`` None = the data set's own, ``limit`` counts training samples.

    Several sizes, epochs, batch sizes or losses are trained one after another: ``size=(96, 160)`` with
    ``epochs=(3, 5)``. ``val_limit`` samples of each validation stratum are measured after every epoch,
    None = all of them.
    """

    dataset: Path = DATASET_DIR
    model: str = "mdeas"
    run: str = "mdeas"
    runs: Path = RUNS_DIR
    size: int | tuple[int, ...] | None = None
    epochs: int | tuple[int, ...] = 10
    batch_size: int | tuple[int, ...] = 32  # over all processes together
    lr: float = 1e-3
    loss: str | tuple[str, ...] = "mdeas"
    schedule: str = "constant"
    optimizer: str = "adam"
    # Of SGD, or beta1 of Adam (MDEAS's); two numbers: low where the rate is high, as in one-cycle training.
    momentum: float | tuple[float, float] = 0.5
    weight_decay: float = 0.0
    augment: str = "camera"
    normalise: str | None = None  # of the inputs, by the figures of stats.json; None: 0..1 as they are
    ema: float = 0.0  # decay of the averaged weights; 0: none
    patience: int | None = None  # epochs without a better ``best`` before a size is given up
    init_from: Path | None = None  # weights to begin with
    encoder_weights: str | None = None  # of a timm encoder: imagenet (the hub's) or a file
    limit: int | None = None
    val_limit: int | None = 1000
    seed: int = 0
    device: str = "auto"
    precision: str = "auto"
    compile: bool = False
    histograms: bool = False
    workers: int = 2
    resume: bool = True
    overwrite: bool = False


# How published systems were trained, faults of their losses, schedules and inputs included. DSResNet: the
# run whose rates are all known. MaskDepth never said how many epochs.
TRAIN_PRESETS: dict[str, dict[str, object]] = {
    "dsresnet": {
        "model": "dsresnet", "size": (96, 160, 224), "epochs": (3, 5, 3), "batch_size": 128, "lr": 0.01,
        "loss": "dsresnet", "schedule": "plateau", "optimizer": "sgd", "momentum": 0.9, "augment": "colour",
        "normalise": "dsresnet-original",
    },
    "mdeas": {
        "model": "mdeas", "size": 224, "epochs": 20, "batch_size": 32, "lr": 1e-3, "loss": "mdeas",
        "schedule": "mdeas-original", "optimizer": "adam", "momentum": 0.5, "augment": "none",
    },
    "maskdepth": {
        "model": "maskdepth", "size": (80, 160), "epochs": (5, 5), "batch_size": (128, 64), "lr": 0.01,
        "loss": ("maskdepth-80", "maskdepth-original"), "schedule": "constant", "optimizer": "sgd",
        "momentum": 0.0, "augment": "flip",
    },
    "vathos": {
        "model": "resunet", "size": 96, "epochs": 15, "batch_size": 128, "lr": 0.1, "loss": "vathos-original",
        "schedule": "onecycle", "optimizer": "adamw", "momentum": (0.85, 0.95), "weight_decay": 0.01,
        "augment": "none",
    },
}  # fmt: skip


@dataclass(frozen=True)
class LrFindConfig(TrainConfig):
    """``mdeas lr-find``: the rate grows from ``start`` to ``end`` over ``steps`` steps."""

    run: str = "lr-find"
    start: float = 1e-7
    end: float = 10.0
    steps: int = 200


@dataclass(frozen=True)
class EvaluateConfig:
    """``mdeas evaluate``: a checkpoint on every validation stratum, beside the no-learning baseline.

    ``robustness`` samples are disturbed in many ways; 0: none. ``pair`` (a background and a frame, ``mask``
    its truth) or the folder ``cdnet`` (a change-detection benchmark) takes the place of the data set.
    """

    dataset: Path = DATASET_DIR
    run: str = "mdeas"
    runs: Path = RUNS_DIR
    checkpoint: Path | None = None  # None: best.ckpt of the run
    batch_size: int = 32
    limit: int | None = None
    device: str = "auto"
    workers: int = 2
    robustness: int = 200
    pair: tuple[Path, Path] | None = None
    mask: Path | None = None
    cdnet: Path | None = None


@dataclass(frozen=True)
class CompareConfig:
    """``mdeas compare``: networks under one budget; no ``models``: all there are.

    ``limit`` counts training samples, ``eval_limit`` samples of each stratum that is judged at the end.
    """

    dataset: Path = DATASET_DIR
    models: tuple[str, ...] = ()
    out: Path = RUNS_DIR / "compare"
    size: int | None = None
    epochs: int = 5
    batch_size: int = 16
    lr: float = 1e-3
    loss: str = "vathos"
    schedule: str = "onecycle"
    limit: int | None = None
    val_limit: int | None = 100
    eval_limit: int | None = None
    robustness: int = 200
    seeds: tuple[int, ...] = (0,)
    device: str = "auto"
    precision: str = "auto"
    workers: int = 2
    overwrite: bool = False


@dataclass(frozen=True)
class PredictConfig:
    """``mdeas predict BG FRAME...``: depth and mask pictures from a checkpoint."""

    background: Path = Path()
    frames: tuple[Path, ...] = ()
    checkpoint: Path | None = None  # None: best.ckpt of runs/mdeas
    out: Path = Path("predictions")
    device: str = "auto"


@dataclass(frozen=True)
class DepthTrainConfig:
    """``mdeas train-depth``: the bundled depth network again, from rendered rooms."""

    out: Path = RUNS_DIR / "depth"
    steps: int = 8_500
    seed: int = 0
    batch_size: int = 32
    lr: float = 6e-4
    early_share: float = 0.55  # of the steps, on small pictures
    window: int = 32_768  # rendered scenes held at a time, on disk
    reuse: int = 8  # how often a scene is used, augmented anew
    threads: int = 1  # of the optimizer; augmenting and rendering are processes of their own
    processes: int = 1  # that render; 0: this one does
    loaders: int = 1  # that augment; 0: this one does
    bfloat16: bool = True
    pairs: Path | None = None  # RGB-D frames to report on now and then
    init_from: Path | None = None  # weights to start from; None: fresh ones


@dataclass(frozen=True)
class EvaluateDepthConfig:
    """``mdeas evaluate-depth``: a depth network on real RGB-D frames in the folder ``pairs``."""

    pairs: Path = Path()
    model: str = "bundled"
    weights: Path | None = None
    device: str = "auto"


@dataclass(frozen=True)
class DemoConfig:
    """``mdeas demo``: the whole chain on the bundled pictures."""

    out: Path = Path("demo")
    seed: int = 0
    jobs: int = -1
