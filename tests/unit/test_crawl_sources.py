"""The sources against a server that speaks as they do."""

from __future__ import annotations

import html
import json
import logging
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from mdeas import MdeasError
from mdeas.pipeline.http_client import Client, FetchError
from mdeas.pipeline.ledger import Origin
from mdeas.pipeline.sources import SOURCES
from mdeas.pipeline.sources.base import SourceError, tidy
from mdeas.pipeline.sources.bing import Bing
from mdeas.pipeline.sources.openverse import Openverse
from mdeas.pipeline.sources.urls import UrlList, read_url_list


def result(number: int, **changes: Any) -> dict[str, Any]:
    """A result as the interface gives it."""
    return {
        "id": f"00000000-0000-0000-0000-{number:012}",
        "title": f"Chair {number}",
        "url": f"https://live.example/{number}.png",
        "foreign_landing_url": f"https://photos.example/{number}",
        "creator": "Jo Doe",
        "creator_url": "https://photos.example/jo",
        "license": "by-sa",
        "license_version": "2.0",
        "license_url": "https://creativecommons.org/licenses/by-sa/2.0/",
        "attribution": '"Chair" by Jo Doe is licensed under CC BY-SA 2.0.',
        "category": None,
        "filetype": "png",
        "width": 640,
        "height": 480,
        "mature": False,
    } | changes  # fmt: skip


def openverse(web: Any, results: list[dict[str, Any]], last_page: int = 99) -> list[dict[str, str]]:
    """Serve results by pages; the fields of the requests come back."""
    asked: list[dict[str, str]] = []

    def serve(handler: Any) -> None:
        fields = handler.fields()
        asked.append(fields)
        page, size = int(fields["page"]), int(fields["page_size"])
        if page > last_page:
            return handler.answer(401, {}, b'{"detail": "too deep"}')
        answer = {
            "result_count": len(results),
            "page_count": -(-len(results) // size),
            "page_size": size,
            "page": page,
            "results": results[(page - 1) * size : page * size],
        }
        return handler.answer(200, {"Content-Type": "application/json"}, json.dumps(answer).encode())

    web.routes["/v1/images/"] = serve
    return asked


def bing_page(*pictures: dict[str, Any]) -> bytes:
    items = "".join(
        f'<li><a class="iusc" style="" m="{html.escape(json.dumps(picture))}" href="/x"></a></li>'
        for picture in pictures
    )
    return f'<div class="dgControl"><ul class="dgControl_list">{items}</ul></div>'.encode()


def test_openverse(web: Any, client: Client) -> None:
    asked = openverse(web, [result(number) for number in range(45)])
    found = list(Openverse(web.base, pause_s=0).search(client, "office chair", "fg", ()))
    assert found[7] == Origin(
        url="https://live.example/7.png",
        page="https://photos.example/7",
        title="Chair 7",
        author="Jo Doe",
        author_url="https://photos.example/jo",
        licence="by-sa",
        licence_url="https://creativecommons.org/licenses/by-sa/2.0/",
        query="office chair",
        source="openverse",
    )
    assert len(found) == 45 and [fields["page"] for fields in asked] == ["1", "2", "3"]
    assert asked[0] == {
        "q": "office chair", "license": "cc0,pdm,by,by-sa,by-nc,by-nc-sa", "extension": "png,webp",
        "page": "1", "page_size": "20",
    }  # fmt: skip


def test_openverse_asks_for_pages_only_as_they_are_needed(web: Any, client: Client) -> None:
    asked = openverse(web, [result(number) for number in range(45)])
    list(islice(Openverse(web.base, 0).search(client, "x", "bg", ("cc0", "by-sa")), 20))
    assert len(asked) == 1
    assert (asked[0]["license"], asked[0]["category"], "extension" in asked[0]) == (
        "cc0,by-sa",
        "photograph",
        False,
    )


def test_openverse_is_an_interface_for_programs(web: Any, client: Client) -> None:
    web.routes["/robots.txt"] = (200, {}, b"User-agent: *\nDisallow: /\n")
    openverse(web, [result(1)])
    assert len(list(Openverse(web.base, 0).search(client, "x", "fg", ()))) == 1


def test_openverse_gives_only_so_many_pages(web: Any, client: Client) -> None:
    openverse(web, [result(number) for number in range(100)], last_page=2)
    assert len(list(Openverse(web.base, 0).search(client, "x", "fg", ()))) == 40
    openverse(web, [result(1)], last_page=0)
    with pytest.raises(FetchError, match="HTTP 401"):
        list(Openverse(web.base, 0).search(client, "x", "fg", ()))


def test_openverse_passes_over_what_was_not_asked_for(web: Any, client: Client) -> None:
    openverse(
        web, [result(1, license="by-nd"), result(2), result(3, url=None), result(4, title=None, creator=7)]
    )
    found = list(Openverse(web.base, 0).search(client, "x", "fg", ()))
    assert [(origin.url[-5:], origin.title, origin.author) for origin in found] == [
        ("2.png", "Chair 2", "Jo Doe"),
        ("4.png", "", ""),
    ]


@pytest.mark.parametrize(
    "body",
    [
        "<html>Just a moment...</html>",
        "[]",
        '{"detail": "moved"}',
        '{"results": {}}',
        '{"results": [1]}',
        "[" * 99_000,
        '{"results": [{"image": "https://live.example/1.png"}]}',
    ],
    ids=lambda body: body[:12],
)
def test_openverse_has_changed(web: Any, client: Client, body: str) -> None:
    web.routes["/v1/images/"] = (200, {}, body.encode())
    with pytest.raises(SourceError, match="may have changed"):
        list(Openverse(web.base, 0).search(client, "x", "fg", ()))


def test_bing(web: Any, client: Client) -> None:
    asked: list[dict[str, str]] = []
    pictures = [
        {
            "murl": f"https://site.example/{n}.png",
            "purl": f"https://site.example/p{n}",
            "t": f"A \ue000 {n} & co",
        }
        for n in range(50)
    ]

    def serve(handler: Any) -> None:
        asked.append(handler.fields())
        first = int(asked[-1]["first"]) - 1
        handler.answer(200, {}, bing_page(*pictures[first : first + 30]) or b"<div></div>")

    web.routes["/images/async"] = serve
    found = list(Bing(web.base).search(client, "r\u00f6d stol", "fg", ("cc0", "by", "pdm")))
    assert [origin.url for origin in found] == [picture["murl"] for picture in pictures]
    assert found[3].page == "https://site.example/p3" and found[3].title.endswith("3 & co")
    assert (found[3].licence, found[3].source, found[3].query) == ("", "bing", "r\u00f6d stol")
    assert asked[0]["q"] == "r\u00f6d stol"
    assert asked[0]["qft"] == "filterui:photo-transparent filterui:license-L1_L2" or asked[0][
        "qft"
    ].strip() == ("filterui:photo-transparent filterui:license-L1_L2")
    assert [fields["first"] for fields in asked] == ["1", "31", "51"]


def test_bing_repeats_itself(web: Any, client: Client) -> None:
    web.routes["/images/async"] = (
        200,
        {},
        bing_page({"murl": "https://site.example/1.png"}, {"turl": "x"}, {"murl": 3}),
    )
    assert len(list(Bing(web.base).search(client, "x", "bg", ()))) == 1


@pytest.mark.parametrize(
    "page", [b"", b"<html><h1>Are you a robot?</h1></html>", b'<a m="{&quot;murl&quot;:">', b'<a m="']
)
def test_bing_has_changed(web: Any, client: Client, page: bytes) -> None:
    web.routes["/images/async"] = (200, {}, page)
    with pytest.raises(SourceError, match=r"no picture in its page of \d+ bytes"):
        list(Bing(web.base).search(client, "x", "fg", ()))


def test_bing_is_asked_only_if_it_allows_it(web: Any, client: Client) -> None:
    web.routes["/robots.txt"] = (200, {}, b"User-agent: *\nDisallow: /images/\n")
    with pytest.raises(FetchError, match="forbids this address"):
        list(Bing(web.base).search(client, "x", "fg", ()))
    assert web.paths() == []


@pytest.mark.parametrize("source", [Openverse, Bing])
def test_a_licence_that_a_source_does_not_know(client: Client, source: Callable[[], Any]) -> None:
    with pytest.raises(MdeasError, match="mit; --licence; use cc0"):
        list(source().search(client, "x", "fg", ("mit",)))


ROWS = {
    "list.txt": "\ufeffhttp://a.test/1.png\r\n# old ones\n\n  http://a.test/2.png\nhttp://a.test/1.png\n",
    "list.csv": "URL,License,Creator,extra\nhttp://a.test/1.png,CC BY 4.0,Jo,1\nhttp://a.test/2.png,,\n,cc0\n",
    "list.jsonl": '{"url": "http://a.test/1.png", "author": "Jo", "licence_url": "https://creativecommons.org/licenses/by/4.0/"}'
    '\n\n"http://a.test/2.png"\n{"title": "nothing"}\n{"url": 3}\n',
}


@pytest.mark.parametrize("name", ROWS)
def test_lists_of_addresses(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text(ROWS[name], encoding="utf-8", newline="")
    found = read_url_list(path)
    assert [origin.url for origin in found] == ["http://a.test/1.png", "http://a.test/2.png"]
    assert {origin.query for origin in found} == {str(path)}
    if name != "list.txt":
        assert [(origin.licence, origin.author) for origin in found] == [("by", "Jo"), ("", "")]


def test_a_list_filtered_by_licence(tmp_path: Path, client: Client, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "list.csv"
    path.write_text(ROWS["list.csv"])
    with caplog.at_level(logging.WARNING):
        found = list(UrlList().search(client, str(path), "fg", ("by",)))
    assert [origin.url for origin in found] == ["http://a.test/1.png"]
    assert "1 of 2 addresses have no wanted licence" in caplog.text
    with pytest.raises(MdeasError, match="none of its 2 addresses has a wanted licence"):
        list(UrlList().search(client, str(path), "fg", ("cc0",)))


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("missing.txt", None, "cannot read"),
        ("empty.txt", b"# nothing\n", "no address in"),
        ("picture.txt", b"\x89PNG\r\n\x1a\n\xff", "not a text file"),
        ("other.csv", b"name,place\na,b\n", "no address in"),
        ("wide.csv", b'url\n"' + b"x" * 200_000 + b'"\n', "damaged CSV file"),
        ("broken.jsonl", b'{"url": "http://a"}\n{"url": \n', "line 2"),
    ],
)
def test_a_list_that_cannot_be_used(tmp_path: Path, name: str, content: bytes | None, problem: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(MdeasError, match=problem) as caught:
        read_url_list(tmp_path / name)
    assert name in str(caught.value)


def test_every_source_is_listed_by_its_name() -> None:
    assert {name: source().name for name, source in SOURCES.items()} == {name: name for name in SOURCES}
    assert {name for name, source in SOURCES.items() if source().lists_all} == {"urls"}


def test_texts_of_strangers_fit_a_line() -> None:
    assert tidy("a\r\n\tb\x00c\x85d\ud800 ") == "a b c d?"
    assert tidy(None) == tidy(7) == ""
    assert len(tidy("x" * 10_000)) == 500
