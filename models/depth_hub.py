"""Where weights of the Hugging Face hub are kept, under which licence they are, and how they get here.

What is in the local cache is used without asking the network anything. What is not is fetched after its
licence was shown; weights that may not be used commercially, or of which nobody says that they may, only with
``--accept-licence``.
"""

from __future__ import annotations

import fnmatch
import hashlib
import logging
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import MdeasError
from ..pipeline.shards import file_sha256

_log = logging.getLogger(__name__)

# SPDX names, as model cards write them, that let labels be used for anything.
PERMISSIVE = frozenset({"apache-2.0", "mit", "bsd-2-clause", "bsd-3-clause", "cc0-1.0", "cc-by-4.0"})
_ONLINE_TIMEOUT_S = 10
_DESCRIPTIONS = ("config.json", "preprocessor_config.json", "README.md")
_SAFE, _PICKLED = ("*.safetensors", "*.safetensors.index.json"), ("pytorch_model*.bin", "pytorch_model*.json")


@dataclass(frozen=True)
class Alias:
    """A short name for a repository; ``licence`` as its model card states it.

    The revision is the repository's newest: the commit that was used is recorded with the labels, and
    ``NAME@REVISION`` asks for one.
    """

    repository: str
    kind: str
    licence: str


_DEPTH_ANYTHING = "depth-anything/Depth-Anything-V2"
ALIASES = {
    "depth-anything-v2-small": Alias(f"{_DEPTH_ANYTHING}-Small-hf", "relative_disparity", "apache-2.0"),
    "depth-anything-v2-base": Alias(f"{_DEPTH_ANYTHING}-Base-hf", "relative_disparity", "cc-by-nc-4.0"),
    "depth-anything-v2-large": Alias(f"{_DEPTH_ANYTHING}-Large-hf", "relative_disparity", "cc-by-nc-4.0"),
    "depth-anything-v2-indoor-small": Alias(
        f"{_DEPTH_ANYTHING}-Metric-Indoor-Small-hf", "metric_depth", "apache-2.0"
    ),
    "depth-anything-v2-outdoor-small": Alias(
        f"{_DEPTH_ANYTHING}-Metric-Outdoor-Small-hf", "metric_depth", "apache-2.0"
    ),
    "depth-anything-v1-large": Alias("LiheYoung/depth-anything-large-hf", "relative_disparity", "apache-2.0"),
    "prompt-depth-anything-small": Alias(
        "depth-anything/prompt-depth-anything-vits-hf", "relative_depth", "apache-2.0"
    ),
    "dpt-large": Alias("Intel/dpt-large", "relative_disparity", "apache-2.0"),
    "dpt-hybrid": Alias("Intel/dpt-hybrid-midas", "relative_disparity", "apache-2.0"),
    "zoedepth": Alias("Intel/zoedepth-nyu-kitti", "metric_depth", "mit"),
    "glpn-nyu": Alias("vinvino02/glpn-nyu", "metric_depth", "apache-2.0"),
    "glpn-kitti": Alias("vinvino02/glpn-kitti", "metric_depth", "apache-2.0"),
    "depth-pro": Alias("apple/DepthPro-hf", "metric_depth", "apple-amlr"),
}


@dataclass(frozen=True)
class Weights:
    """A folder with a network as transformers saves it."""

    folder: Path
    licence: str
    source: str
    sha256: str


def is_repository(name: str) -> bool:
    """Whether ``name`` is an alias, or looks like ``OWNER/NAME`` or ``OWNER/NAME@REVISION``."""
    repository = name.partition("@")[0]
    return repository in ALIASES or re.fullmatch(r"[\w-][\w.-]*/[\w-][\w.-]*", repository) is not None


def local_weights(folder: Path) -> Weights:
    """A network that was saved to a folder.

    Raises:
        MdeasError: If it is not complete.
    """
    if not _is_complete(folder):
        raise MdeasError(
            f"no network of transformers: {folder}; a folder with config.json and *.safetensors is expected"
        )
    return Weights(folder, _licence_of(folder) or "not stated", f"local folder {folder.name}", _hash(folder))


_ADVICE = "connect, or name the folder of a copy: --model FOLDER; `bundled` needs no download"


def hub_weights(name: str, accept_licence: bool, advice: str = _ADVICE) -> Weights:
    """A network of the hub, from the local cache if it is there, otherwise fetched.

    Args:
        name: An alias or ``OWNER/NAME``, each with or without ``@REVISION``.
        accept_licence: Whether a licence that is not known to be permissive will do.
        advice: What to do where the hub cannot be reached.

    Raises:
        MdeasError: If it is neither here nor to be had, or its licence was not accepted.
    """
    short, _, revision = name.partition("@")
    alias = ALIASES.get(short)
    repository, revision = alias.repository if alias else short, revision or "main"
    folder = _cached(repository, revision)
    if folder is None:
        folder = _fetch(repository, revision, alias, accept_licence, advice)
    licence = _licence_of(folder) or (alias.licence if alias else "not stated")
    # A folder of the cache is named after its commit.
    return Weights(folder, licence, f"huggingface.co/{repository}@{folder.name}", _hash(folder))


def _cached(repository: str, revision: str) -> Path | None:
    from huggingface_hub import try_to_load_from_cache

    # By one file: newer libraries call a snapshot incomplete that lacks files which were not asked for.
    try:
        description = try_to_load_from_cache(repository, "config.json", revision=revision)
    except ValueError:  # not a repository's name
        return None
    if not isinstance(description, str):
        return None
    folder = Path(description).parent
    return folder if _is_complete(folder) else None


def _fetch(repository: str, revision: str, alias: Alias | None, accept_licence: bool, advice: str) -> Path:
    """Show the licence, then fetch.

    The first question is asked once and with a time limit, where the library's own way would repeat it.
    """
    from huggingface_hub import HfApi, snapshot_download

    # Read here: the library reads it once, when it is imported.
    endpoint = os.environ.get("HF_ENDPOINT")
    try:
        about = HfApi(endpoint).model_info(repository, revision=revision, timeout=_ONLINE_TIMEOUT_S)
    except Exception as error:  # of several libraries, by version
        raise MdeasError(f"{_why(error, repository, revision)}; {advice}") from error
    stated = _card_licence(about) or (alias.licence if alias else None)
    _log.warning("%s@%s: licence %s", repository, about.sha, stated or "not stated")
    if stated not in PERMISSIVE and not accept_licence:
        raise MdeasError(
            f"licence of {repository}: {stated or 'not stated'}; read https://huggingface.co/{repository}, "
            "then give --accept-licence if your use is allowed"
        )
    names = [file.rfilename for file in about.siblings or ()]
    weights = _SAFE if any(fnmatch.fnmatch(name, "*.safetensors") for name in names) else _PICKLED
    try:
        folder = snapshot_download(
            repository, revision=revision, allow_patterns=[*_DESCRIPTIONS, *weights], endpoint=endpoint
        )
    except Exception as error:  # as above
        raise MdeasError(f"{_why(error, repository, revision)}; {advice}") from error
    if not _is_complete(Path(folder)):
        raise MdeasError(f"no weights in {repository}@{revision}; {advice}")
    return Path(folder)


def _why(error: Exception, repository: str, revision: str) -> str:
    name = type(error).__name__
    if name in ("RepositoryNotFoundError", "RevisionNotFoundError", "GatedRepoError", "HFValidationError"):
        words = {
            "RepositoryNotFoundError": "no such repository, or a private one",
            "RevisionNotFoundError": "no such revision",
            "GatedRepoError": "its owner wants you to log in and agree first (`hf auth login`)",
            "HFValidationError": "not a repository's name",
        }
        return f"cannot fetch {repository}@{revision}: {words[name]}"
    return f"not in the local cache, and the hub cannot be reached: {repository}@{revision} ({name})"


def _card_licence(about: Any) -> str | None:
    """The licence on the model's card, or among its tags."""
    card = getattr(about, "card_data", None)
    licence = card.get("license") if card else None
    names = licence if isinstance(licence, list) else [licence] if licence else []
    names = names or [tag.partition(":")[2] for tag in about.tags or () if tag.startswith("license:")]
    if names == ["other"] and card and card.get("license_name"):
        return str(card.get("license_name"))
    return ", ".join(names) or None


def _licence_of(folder: Path) -> str | None:
    """The licence that the folder's model card states."""
    card = folder / "README.md"
    if not card.is_file():
        return None
    head = re.match(r"---\r?\n(.*?)\r?\n---", card.read_text(encoding="utf-8", errors="replace"), re.DOTALL)
    pairs = re.findall(
        r"^(license|license_name):[ \t]*[\"']?([\w.-]+)", head[1] if head else "", re.MULTILINE
    )
    stated = dict(pairs)
    named = stated.get("license_name") if stated.get("license") == "other" else None
    return named or stated.get("license")


def _is_complete(folder: Path) -> bool:
    return (folder / "config.json").is_file() and bool(_weight_files(folder))


def _weight_files(folder: Path) -> Sequence[Path]:
    return sorted(folder.glob("*.safetensors")) or sorted(folder.glob("pytorch_model*.bin"))


def _hash(folder: Path) -> str:
    """Of the one weights file, or of the hashes of several."""
    digests = [file_sha256(path) for path in _weight_files(folder)]
    return digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()
