"""The raw folders that ``mdeas clean`` reads: every entry in them, and what the user says of it."""

from __future__ import annotations

import dataclasses
import fnmatch
import hashlib
import stat
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from .. import MdeasError
from .assets import Kind, looks_like_picture
from .decode import MAX_BYTES
from .manifest import printable
from .options import RAW_DIR, CleanConfig
from .shards import file_sha256

KINDS: tuple[Kind, ...] = ("fg", "bg")
# File systems allow names of 255 bytes; what is longer is cut and told apart by its content.
MAX_STEM_BYTES = 200


@dataclass(frozen=True)
class RawFile:
    """A file as it was found: its content's hash, or why it was not even read."""

    kind: Kind
    name: str
    path: Path
    sha256: str = ""
    size: int = 0  # bytes
    reason: str = ""
    is_ignored: bool = False


def find_raw_folders(config: CleanConfig) -> dict[Kind, Path]:
    """The raw folder of each kind that there is.

    Raises:
        MdeasError: If there is none, one that was given is missing, or cleaned pictures would go into it.
    """
    folders: dict[Kind, Path] = {}
    for kind, given in (("fg", config.fg), ("bg", config.bg)):
        folder = given or RAW_DIR / kind
        if not folder.is_dir():
            if given is not None:
                raise MdeasError(f"no such folder; {given}; give another with --{kind}")
            continue
        if any(folder.resolve() == (config.out / other).resolve() for other in KINDS):
            raise MdeasError(
                f"the folder of raw pictures is also where cleaned ones go; {folder}; "
                "choose another --out, or move the pictures to data/raw"
            )
        folders[cast(Kind, kind)] = folder
    if not folders:
        raise MdeasError(
            f"nothing to clean; {RAW_DIR}/fg, {RAW_DIR}/bg; run `mdeas crawl`, or give folders by --fg, --bg"
        )
    return folders


def list_raw(kind: Kind, folder: Path) -> list[RawFile]:
    """Every entry of the folder, by name, with the hash of what is worth reading."""
    return [_raw_file(kind, path) for path in sorted(folder.iterdir(), key=lambda path: path.name)]


def _raw_file(kind: Kind, path: Path) -> RawFile:
    file = RawFile(kind, path.name, path)
    if path.name.startswith("."):
        return dataclasses.replace(file, reason="a hidden file", is_ignored=True)
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            return dataclasses.replace(file, reason="a folder: what is in it is not read", is_ignored=True)
        if not stat.S_ISREG(status.st_mode):
            return dataclasses.replace(file, reason="not a regular file")
        if not looks_like_picture(path):
            return dataclasses.replace(file, reason="not a picture by name or content", is_ignored=True)
        if status.st_size > MAX_BYTES:
            return dataclasses.replace(file, reason=f"the file has more than {MAX_BYTES >> 20} MiB")
        return dataclasses.replace(file, sha256=file_sha256(path), size=status.st_size)
    except OSError as error:
        reason = (
            "a link to nowhere"
            if path.is_symlink() and not path.exists()
            else f"cannot be read ({error.strerror})"
        )
        return dataclasses.replace(file, reason=reason)


@dataclass(frozen=True)
class Words:
    """The user's lists: patterns of names, of which some may be for one kind (``fg/name``)."""

    keep: tuple[str, ...]
    drop: tuple[str, ...]

    def keeps(self, file: RawFile) -> bool:
        """Whether the user wants the file."""
        return _listed(self.keep, file)

    def drops(self, file: RawFile) -> bool:
        """Whether the user does not."""
        return _listed(self.drop, file)


def _listed(words: Sequence[str], file: RawFile) -> bool:
    names = (printable(file.name), f"{file.kind}/{printable(file.name)}")
    return any(word in names or any(fnmatch.fnmatchcase(name, word) for name in names) for word in words)


def read_words(out: Path) -> Words:
    """What ``keep.txt`` and ``drop.txt`` say.

    Raises:
        MdeasError: If both name the same.
    """
    lists = []
    for name in ("keep.txt", "drop.txt"):
        try:
            text = (out / name).read_text(encoding="utf-8-sig", errors="replace")
        except FileNotFoundError:
            text = ""
        lines = (line.strip() for line in text.splitlines())
        lists.append(tuple(line for line in lines if line and not line.startswith("#")))
    both = sorted(set(lists[0]) & set(lists[1]))
    if both:
        raise MdeasError(f"{both[0]} is in keep.txt and in drop.txt; {out}; take it out of one of them")
    return Words(*lists)


def output_names(files: Sequence[RawFile]) -> dict[RawFile, str]:
    """``stem.png`` for every file; where several would get the same, each takes a part of its hash."""
    stems = {file: _stem(file) for file in files}
    counts = Counter((file.kind, stem.casefold()) for file, stem in stems.items() if file.sha256)
    return {
        file: f"{stem}.png" if counts[file.kind, stem.casefold()] < 2 else f"{stem}-{_mark(file)}.png"
        for file, stem in stems.items()
    }


def _mark(file: RawFile) -> str:
    """Eight characters of the content and of the name, which two equal copies still differ in."""
    return hashlib.sha256(f"{file.sha256}/{printable(file.name)}".encode()).hexdigest()[:8]


def _stem(file: RawFile) -> str:
    # Bytes that are no text, and characters that no one can type, stay out of the names that we choose.
    text = Path(file.name).stem.encode("utf-8", "replace").decode().replace("?", "_")
    stem = "".join(letter if letter.isprintable() else "_" for letter in text)
    if len(stem.encode()) <= MAX_STEM_BYTES:
        return stem
    return stem.encode()[:MAX_STEM_BYTES].decode("utf-8", "ignore") + f"-{_mark(file)}"
