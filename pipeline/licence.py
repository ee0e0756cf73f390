"""What the ledger beside the pictures says of each: which ones may be used, and which ask to be credited."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from .. import MdeasError
from .assets import Kind, Source
from .ledger import LICENCES, LedgerEntry, Origin, licence_code, read_assets
from .manifest import CREDIT_FIELDS, Asset, DatasetManifest

log = logging.getLogger(__name__)

# All other Creative Commons licences ask that the author be named.
_NO_CREDIT = ("cc0", "pdm")
_UNKNOWN = "no licence known"
_OTHER = "licence "


def check_licences(asked: Iterable[str]) -> tuple[str, ...]:
    """The codes of the licences asked for, each once and in one order.

    Raises:
        MdeasError: If one is not known.
    """
    codes = {licence_code(text): text for text in asked}
    for code, text in codes.items():
        if code not in LICENCES:
            raise MdeasError(f"unknown licence: --licence {text}; use some of {', '.join(LICENCES)}")
    return tuple(code for code in LICENCES if code in codes)


def with_origins(sources: Sequence[Source], folder: Path) -> list[Source]:
    """The sources with what the folder's ledger says of them; a line for another content says nothing.

    Raises:
        MdeasError: If the ledger is damaged or cannot be read.
    """
    try:
        entries = {entry.file: entry for entry in read_assets(folder) if entry.file}
    except OSError as error:
        raise MdeasError(
            f"cannot read: {error.filename or folder} ({error.strerror}); check the permissions"
        ) from error
    return [_with_origin(source, entries.get(source.path.name)) for source in sources]


def _with_origin(source: Source, entry: LedgerEntry | None) -> Source:
    if entry is None:
        return source
    if entry.sha256 and entry.sha256.lower() != source.sha256:
        log.warning("the ledger means another content of %s: what it says is not used", source.path)
        return source
    licence = licence_code(entry.licence)
    by_address = licence_code(entry.licence_url)
    if not licence and by_address in LICENCES:
        licence = by_address
    values = {name: getattr(entry, name).strip() for name in CREDIT_FIELDS}
    return replace(source, origin=Origin(**{**values, "licence": licence}))


def refusal(source: Source, allowed: Sequence[str]) -> str:
    """Why a picture may not be used, or an empty text; without ``allowed`` every one may."""
    licence = source.origin.licence
    if not allowed or licence in allowed:
        return ""
    return f"{_OTHER}{licence} is not among {', '.join(allowed)}" if licence else _UNKNOWN


def check_some_left(sources: Sequence[Source], folder: Path, kind: Kind, allowed: Sequence[str]) -> None:
    """Raise an MdeasError if no picture of a folder may be used."""
    if not all(refusal(source, allowed) for source in sources):
        return
    counts = Counter(source.origin.licence or _UNKNOWN for source in sources)
    what = "cut-out" if kind == "fg" else "background"
    raise MdeasError(
        f"no {what} under {', '.join(allowed)}: {folder} "
        f"({', '.join(f'{count:,} {licence}' for licence, count in counts.most_common())}); "
        f"allow more by --licence, or give another folder with --{kind}"
    )


def credit_of(record: Asset | Origin) -> dict[str, str]:
    """The fields that say whose a picture is and what may be done with it."""
    return {name: getattr(record, name) for name in CREDIT_FIELDS}


def asks_for_credit(asset: Asset) -> bool:
    """Whether the licence asks to name the author."""
    return asset.licence in LICENCES and asset.licence not in _NO_CREDIT


def first_difference(
    manifest: DatasetManifest, sources: Iterable[Source], kind: Kind, allowed: Sequence[str]
) -> str:
    """The first file of which the ledger now says something else than when the data set was made."""
    assets = {one.file: one for one in (manifest.fg if kind == "fg" else manifest.bg)}
    refused = {
        one.file: one.reason
        for one in manifest.rejected
        if one.kind == kind and (one.reason == _UNKNOWN or one.reason.startswith(_OTHER))
    }
    for source in sources:
        name = source.path.name
        if source.kind != kind:
            continue
        if refusal(source, allowed) != refused.get(name, ""):
            return name
        if name in assets and credit_of(assets[name]) != credit_of(source.origin):
            return name
    return ""
