"""Pictures into a folder: crawling and cleaning."""

from __future__ import annotations

from typing import Any

import click

from ..pipeline.options import CleanConfig, CrawlConfig
from .base import FOLDER, Report, command, jobs_option, licence_option, option


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
@option(
    "--contact",
    of=CrawlConfig,
    show_default="none",
    help="Mail or web address for the keepers of servers (User-Agent).",
)
@option("--allow-private", of=CrawlConfig, is_flag=True, help="Also fetch from private networks.")
@option(
    "--ignore-robots", of=CrawlConfig, is_flag=True, help="Pass over robots.txt and noai; the ledger says so."
)
def crawl(**options: Any) -> Report:
    """Fetches pictures for every QUERY into data/raw/fg or data/raw/bg, each with origin and licence in
    assets.jsonl; what failed is in failures.jsonl. Run again, it fetches what is missing.
    """
    from ..pipeline.crawl import crawl

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
    from ..pipeline.clean import clean

    return clean(CleanConfig(**options))
