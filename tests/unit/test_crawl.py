"""The stage and its command: what is kept, what is noted, what a second run does, what a kill leaves."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from mdeas import MdeasError
from mdeas.cli import cli
from mdeas.pipeline.crawl import CrawlReport, crawl
from mdeas.pipeline.http_client import Client, Limits
from mdeas.pipeline.ledger import (
    ASSETS_NAME,
    FAILURES_NAME,
    LedgerWriter,
    Origin,
    read_assets,
    read_failures,
)
from mdeas.pipeline.manifest import write_bytes
from mdeas.pipeline.options import CrawlConfig
from mdeas.pipeline.sources.base import Kind
from mdeas.pipeline.sources.openverse import Openverse


class Shelf:
    """A source that finds what was put on it."""

    name = "openverse"
    lists_all = False

    def __init__(self, **origins: list[Origin]) -> None:
        self.origins = origins
        self.asked: list[str] = []

    def search(self, client: Client, query: str, kind: Kind, licences: tuple[str, ...]) -> Iterator[Origin]:
        self.asked.append(query)
        for origin in self.origins[query]:
            yield dataclasses.replace(origin, query=query, source=self.name)


def origins(web: Any, *paths: str) -> list[Origin]:
    return [Origin(web.url(path), title=path, licence="by", author="Jo") for path in paths]


@pytest.fixture
def config(tmp_path: Path) -> CrawlConfig:
    return CrawlConfig(kind="fg", queries=("cat",), limit=3, out=tmp_path / "raw", parallel=3)


def pictures(web: Any, count: int, start: int = 0) -> list[str]:
    paths = [f"/p{number}.png" for number in range(start, start + count)]
    for number, path in enumerate(paths, start):
        web.picture(path, number)
    return paths


def check(folder: Path) -> None:
    """What the ledger says is so, and nothing lies beside it that nobody knows."""
    entries = read_assets(folder)
    for entry in entries:
        data = (folder / entry.file).read_bytes()
        assert (hashlib.sha256(data).hexdigest(), len(data)) == (entry.sha256, entry.bytes)
    files = {path.name for path in folder.iterdir()} - {ASSETS_NAME, FAILURES_NAME}
    assert files == {entry.file for entry in entries}
    assert len({entry.sha256 for entry in entries}) == len(entries)


def test_what_is_kept(web: Any, client: Client, config: CrawlConfig) -> None:
    data = web.picture("/a.png", 1)
    web.picture("/photo", 2, "WEBP", (200, 100))
    web.routes["/b.png"] = (200, {"Content-Type": "image/png"}, web.picture("/b", 3, "JPEG"))  # it lies
    report = crawl(config, client, Shelf(cat=origins(web, "/a.png", "/photo", "/b.png", "/not-needed.png")))
    folder = config.out / "fg"
    check(folder)
    entries = {entry.title: entry for entry in read_assets(folder)}
    entry = entries["/a.png"]
    assert entry == dataclasses.replace(
        entry, url=web.url("/a.png"), licence="by", author="Jo", query="cat", source="openverse",
        robots="none", sha256=hashlib.sha256(data).hexdigest(), bytes=len(data), width=96, height=80,
    )  # fmt: skip
    assert entry.file.startswith("cat-") and entry.file.endswith(f"-{entry.sha256[:10]}.png")
    assert entry.date.endswith("+00:00") and (entries["/photo"].width, entries["/photo"].height) == (200, 100)
    assert [entries[title].file[-5:] for title in ("/photo", "/b.png")] == [
        ".webp",
        f"{entries['/b.png'].file[-5]}.jpg",
    ]
    assert (report.asked, report.held, report.new, report.failures) == (3, 3, 3, {})
    assert report.new_bytes == sum(entry.bytes for entry in entries.values())
    assert "cat: 3 of 3, 3 new" in report.summary()
    assert "/not-needed.png" not in web.paths()


def test_a_second_run_asks_for_nothing(web: Any, client: Client, config: CrawlConfig) -> None:
    shelf = Shelf(cat=origins(web, *pictures(web, 5)))
    crawl(config, client, shelf)
    before = sorted((path.name, path.read_bytes()) for path in (config.out / "fg").iterdir())
    web.hits.clear()
    shelf.asked.clear()
    report = crawl(config, client, shelf)
    assert (report.held, report.new, web.hits, shelf.asked) == (3, 0, [], [])
    assert sorted((path.name, path.read_bytes()) for path in (config.out / "fg").iterdir()) == before
    assert crawl(dataclasses.replace(config, limit=5), client, shelf).new == 2
    assert len(web.paths()) == 2


@pytest.mark.usefixtures("pretend_public")
def test_what_is_not_kept_and_why(web: Any, client: Client, config: CrawlConfig) -> None:
    good = web.picture("/good.png", 1)
    answers = {
        "/copy.png": (200, {}, good),
        "/page.png": (200, {"Content-Type": "image/png"}, b"\n<!DOCTYPE html><html>not here"),
        "/drawing.png": (200, {}, b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>'),
        "/empty.png": (200, {}, b""),
        "/text.png": (200, {}, b"BMI of a text file"),
        "/header.png": (200, {}, good[:20]),
        "/noai.png": (200, {"X-Robots-Tag": "noai"}, good),
        "/huge.png": (200, {}, bytes(200_000)),
        "/gone.png": (404, {}, b""),
        "/private.png": (200, {}, good),
    }
    web.routes.update(answers)
    web.routes["/robots.txt"] = (200, {}, b"User-agent: *\nDisallow: /private\n")
    web.picture("/tiny.png", 9, "PNG", (200, 40))
    found = origins(web, "/good.png", *answers, "/tiny.png")
    found += [Origin("file:///etc/passwd"), Origin("http://10.0.0.1/a.png")]
    client = Client(client.limits, resolve=lambda host, port: [host])
    with pytest.raises(MdeasError) as caught:
        crawl(dataclasses.replace(config, limit=20), client, Shelf(cat=found))
    folder = config.out / "fg"
    check(folder)
    assert len(read_assets(folder)) == 1
    failures = {failure.url.rsplit("/", 1)[1]: failure for failure in read_failures(folder)}
    twins = {"good.png", "copy.png"}  # the same bytes: whichever comes second is the copy
    assert [failures[name].reason for name in twins if name in failures] == ["duplicate"]
    assert {
        name: (failure.reason, failure.detail) for name, failure in failures.items() if name not in twins
    } == {
        "page.png": ("not a picture", "a page of HTML"),
        "drawing.png": ("not a picture", "an SVG drawing"),
        "empty.png": ("not a picture", "empty"),
        "text.png": ("not a picture", "a damaged BMP header"),
        "header.png": ("not a picture", "a damaged PNG header"),
        "noai.png": ("noai", "the server forbids use for AI in X-Robots-Tag"),
        "huge.png": ("too large", "200,000 bytes"),
        "gone.png": ("HTTP 404", ""),
        "private.png": ("robots.txt", f"{web.base}/robots.txt forbids this address"),
        "tiny.png": ("too small", "200x40"),
        "passwd": ("not an address", "only http:// and https:// with a host can be fetched"),
        "a.png": ("private address", "10.0.0.1 is 10.0.0.1; --allow-private would fetch it"),
    }
    assert (failures["gone.png"].title, failures["gone.png"].licence) == ("/gone.png", "by")
    error = str(caught.value)
    assert (
        "only 1 of 20 pictures came (cat 1 of 20)" in error
        and "not a picture 5" in error
        and "\n" not in error
    )
    assert str(folder) in error and "duplicate 1" in error


def test_failures_are_tried_again_and_nothing_else(web: Any, client: Client, config: CrawlConfig) -> None:
    paths = pictures(web, 3)
    mended = web.routes.pop(paths[1])
    web.routes[paths[2]] = (503, {}, b"")
    shelf = Shelf(cat=origins(web, *paths))
    with pytest.raises(MdeasError, match=r"HTTP (404|503) 1, HTTP (404|503) 1"):
        crawl(config, client, shelf)
    web.routes[paths[1]] = mended
    web.hits.clear()
    with pytest.raises(MdeasError, match="only 2 of 3"):
        crawl(config, client, shelf)
    assert set(web.paths()) == set(paths[1:])
    web.picture(paths[2], 2)
    assert crawl(config, client, shelf).held == 3
    assert read_failures(config.out / "fg") == []
    check(config.out / "fg")


def test_one_picture_under_two_addresses_is_kept_once(web: Any, client: Client, config: CrawlConfig) -> None:
    paths = pictures(web, 3)
    web.routes["/copy"] = web.routes[paths[0]]
    shelf = Shelf(cat=origins(web, paths[0], "/copy", *paths[1:]), dog=origins(web, paths[0]))
    crawl(dataclasses.replace(config, parallel=1), client, shelf)
    check(config.out / "fg")
    (failure,) = read_failures(config.out / "fg")
    assert failure.reason == "duplicate" and failure.detail.startswith("same as cat-")
    web.hits.clear()
    with pytest.raises(MdeasError, match="held for another query 1"):
        crawl(dataclasses.replace(config, queries=("dog",), limit=1), client, shelf)
    with pytest.raises(MdeasError, match="only 3 of 4"):
        crawl(dataclasses.replace(config, limit=4), client, shelf)
    assert web.hits == []


def test_a_lost_file_is_fetched_again(web: Any, client: Client, config: CrawlConfig) -> None:
    shelf = Shelf(cat=origins(web, *pictures(web, 3)))
    crawl(config, client, shelf)
    lost = config.out / "fg" / read_assets(config.out / "fg")[1].file
    lost.unlink()
    assert crawl(config, client, shelf).new == 1
    assert lost.exists()
    check(config.out / "fg")


def test_a_query_is_no_path(web: Any, client: Client, config: CrawlConfig) -> None:
    query = "../../\u00fcber/ETC passwd\x00 " + "long" * 50
    crawl(
        dataclasses.replace(config, queries=(query,), limit=1),
        client,
        Shelf(**{query: origins(web, *pictures(web, 1))}),
    )
    check(config.out / "fg")
    assert read_assets(config.out / "fg")[0].file.startswith("ber-etc-passwd-longlong")


def test_another_crawl_of_the_same_folder(web: Any, client: Client, config: CrawlConfig) -> None:
    shelf = Shelf(cat=origins(web, *pictures(web, 3)))
    begun, go_on = threading.Event(), threading.Event()
    route = web.routes["/p0.png"]
    web.routes["/p0.png"] = lambda handler: (begun.set(), go_on.wait(10), handler.answer(*route))
    thread = threading.Thread(target=crawl, args=(config, client, shelf))
    thread.start()
    assert begun.wait(10)
    with pytest.raises(MdeasError, match="another mdeas process"):
        crawl(config, client, shelf)
    go_on.set()
    thread.join()
    check(config.out / "fg")


def test_a_source_that_changed(web: Any, client: Client, config: CrawlConfig) -> None:
    web.routes["/v1/images/"] = (200, {}, b"<html>welcome</html>")
    with pytest.raises(
        MdeasError, match="openverse, cat: its answer is no JSON: the interface may have changed"
    ):
        crawl(config, client, Openverse(web.base, 0))
    web.routes["/v1/images/"] = (500, {}, b"")
    with pytest.raises(MdeasError, match=r"only 0 of 3 .* openverse, cat: HTTP 500; run the same command"):
        crawl(config, client, Openverse(web.base, 0))


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"source": "altavista"}, "no such source: altavista; --source; use one of openverse, bing, urls"),
        ({"queries": ()}, "nothing to look for"),
        ({"contact": "me\r\nX-Evil: 1"}, "not plain text"),
        ({"licence": ("mit",)}, "openverse has no licence mit"),
    ],
)
def test_options_that_cannot_be(config: CrawlConfig, changes: dict[str, Any], problem: str) -> None:
    with pytest.raises(MdeasError, match=problem):
        crawl(dataclasses.replace(config, **changes))


# --- the command ---


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """What makes its own client waits for nothing between two requests to one host."""
    monkeypatch.setattr("mdeas.pipeline.http_client.Limits", functools.partial(Limits, pause_s=0))


def run(*arguments: str) -> Any:
    return CliRunner().invoke(cli, ["crawl", *arguments])


def test_the_command_with_a_list(web: Any, tmp_path: Path) -> None:
    rows = [
        f"{web.url(path)},{licence}"
        for path, licence in zip(pictures(web, 3), ("CC0 1.0", "cc-by", "mit"), strict=True)
    ]
    (tmp_path / "list.csv").write_text("url,licence\n" + "\n".join(rows))
    arguments = ["bg", str(tmp_path / "list.csv"), "--source", "urls", "--out", str(tmp_path / "raw")]
    result = run(*arguments, "--licence", "CC-BY, cc0")
    assert result.exit_code == 1 and "private address 2" in result.stderr and web.hits == []
    result = run(*arguments, "--licence", "CC-BY, cc0", "--allow-private", "--ignore-robots", "--json")
    assert result.exit_code == 0, result.stderr
    report = json.loads(result.stdout)
    assert set(report) == {field.name for field in dataclasses.fields(CrawlReport)}
    assert (report["asked"], report["held"], report["new"]) == (2, 2, 2)
    entries = read_assets(tmp_path / "raw" / "bg")
    assert {(entry.licence, entry.robots) for entry in entries} == {("cc0", "ignored"), ("by", "ignored")}
    assert all(entry.file.startswith("list-") for entry in entries)
    assert "/robots.txt" not in {path for path, _ in web.hits}


def test_a_list_with_the_same_picture_twice_is_complete(web: Any, tmp_path: Path) -> None:
    (path,) = pictures(web, 1)
    web.routes["/copy"] = web.routes[path]
    (tmp_path / "list.txt").write_text(f"{web.url(path)}\n{web.url('/copy')}\n")
    arguments = [
        "fg",
        str(tmp_path / "list.txt"),
        "--source",
        "urls",
        "--out",
        str(tmp_path),
        "--allow-private",
    ]
    for new in (1, 0):
        result = run(*arguments, "--json")
        report = json.loads(result.stdout)
        assert (report["asked"], report["held"], report["new"]) == (2, 2, new)
        assert len(web.paths()) == 2


def test_the_error_is_one_line(web: Any, tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text(f"{web.url('/gone')}\n")
    result = run(
        "fg", str(tmp_path / "list.txt"), "--source", "urls", "--out", str(tmp_path), "--allow-private"
    )
    assert result.exit_code == 1
    (line,) = result.stderr.strip().splitlines()
    assert line.startswith("Error: only 0 of 1 pictures came") and "HTTP 404 1" in line


@pytest.mark.parametrize(
    "arguments", [["fg"], ["sky", "x"], ["fg", "x", "--limit", "0"], ["fg", "x", "--parallel", "0"]]
)
def test_wrong_usage(arguments: list[str]) -> None:
    assert run(*arguments).exit_code == 2


# The command as a process of its own, without the pause between two requests to one host.
SCRIPT = """
import functools, mdeas.cli, mdeas.pipeline.http_client as client
client.Limits = functools.partial(client.Limits, pause_s=0)
mdeas.cli.main()
"""


@pytest.mark.skipif(os.name != "posix", reason="sends signals")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGKILL, -signal.SIGKILL), (signal.SIGINT, 130)])
def test_it_goes_on_after_it_was_stopped(
    web: Any, client: Client, tmp_path: Path, number: int, code: int
) -> None:
    """Stopped while it downloads, it leaves nothing half done; run again, it fetches only what is missing."""
    paths = pictures(web, 10)
    routes, blocked = dict(web.routes), threading.Event()
    for path in paths[5:]:
        web.routes[path] = lambda _handler: (blocked.set(), web.closing.wait(30))
    (tmp_path / "list.txt").write_text("\n".join(web.url(path) for path in paths))
    command = [sys.executable, "-c", SCRIPT, "crawl", "bg", str(tmp_path / "list.txt"), "--source", "urls"]
    command += ["--out", str(tmp_path), "--allow-private", "--ignore-robots", "--parallel", "1"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert blocked.wait(60)
    process.send_signal(number)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == code, errors
    if number == signal.SIGINT:
        assert errors.strip() == "Interrupted: the same command goes on from here."
        check(tmp_path / "bg")
    assert {entry.url for entry in read_assets(tmp_path / "bg")} == {web.url(path) for path in paths[:5]}

    web.routes.update(routes)
    web.hits.clear()
    config = CrawlConfig("bg", (str(tmp_path / "list.txt"),), "urls", out=tmp_path)
    assert crawl(config, client).new == 5
    assert sorted(web.paths()) == sorted(paths[5:])
    check(tmp_path / "bg")


@pytest.mark.parametrize("name", ["write_bytes", "LedgerWriter.append"])
def test_a_full_disk_leaves_nothing_half_done(
    web: Any, client: Client, config: CrawlConfig, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    shelf = Shelf(cat=origins(web, *pictures(web, 3)))
    calls: list[object] = []

    def full(*arguments: Any) -> None:
        calls.append(arguments)
        if len(calls) == 2:
            raise OSError(28, "No space left on device")
        return original(*arguments)

    target = f"mdeas.pipeline.crawl.{name}"
    original = write_bytes if name == "write_bytes" else LedgerWriter.append
    with monkeypatch.context() as patch:
        patch.setattr(target, full)
        with pytest.raises(OSError, match="No space"):
            crawl(config, client, shelf)
    assert len(read_assets(config.out / "fg")) == 1
    # The client of a run that failed has stopped.
    assert crawl(config, Client(client.limits, allow_private=True), shelf).new == 2
    check(config.out / "fg")
