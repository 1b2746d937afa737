"""The page in a real browser: it complains of nothing and asks for nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from harvester.report.html.page import html_page
from tests.html.browser import CHROMIUM, chromium_running, new_tab
from tests.html.samples import summary

pytestmark = [
    pytest.mark.skipif(
        CHROMIUM is None,
        reason="NO CHROMIUM: the report was not tried in a browser (apt-get install chromium)",
    ),
    pytest.mark.xdist_group("chromium"),
]
_SEEN = (
    "[...document.querySelectorAll('{} svg')].filter(svg => svg.getBoundingClientRect().width > 200).length"
)
_COLOURS = """[
    getComputedStyle(document.body).backgroundColor,
    getComputedStyle(document.querySelector(".wide svg path[fill*=first]")).fill,
].join()"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Chromium, started once."""
    with chromium_running(tmp_path_factory.mktemp("profile")) as address:
        yield address


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report, drawn once."""
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(html_page(summary()))
    return path


@pytest.fixture
def spoilt(page: Path, tmp_path: Path) -> Path:
    """The report with markup in it that must not be there."""
    bad = "<script>document.title='run'</script><img src='http://127.0.0.1:9/a.png'></main>"
    path = tmp_path / "spoilt.html"
    path.write_text(page.read_text().replace("</main>", bad))
    return path


async def test_the_page_is_whole_by_itself(browser: str, page: Path) -> None:
    """At each width, light and dark: no complaint, no request, no sideways scrolling, charts that show."""
    async with new_tab(browser) as tab:
        for width, scheme, shown, hidden in (
            (1200, "light", ".wide", ".narrow"),
            (1200, "dark", ".wide", ".narrow"),
            (375, "dark", ".narrow", ".wide"),
        ):
            await tab.visit(page.as_uri(), width=width, scheme=scheme)
            assert await tab.value("document.documentElement.scrollWidth") <= width
            assert await tab.value(_SEEN.format(shown)) == 8
            assert await tab.value(_SEEN.format(hidden)) == 0
    assert set(tab.requested) - {"about:blank", "data:,"} == {page.as_uri()}
    assert tab.complaints == []


async def test_the_policy_of_the_page_holds(browser: str, spoilt: Path) -> None:
    """Were markup ever to get into it, the browser would run and fetch nothing of it."""
    async with new_tab(browser) as tab:
        await tab.visit(spoilt.as_uri(), width=800, scheme="light")
        assert await tab.value("document.title") == "Account usage of acme.api.identitynow.com"
    assert len(tab.complaints) == 2
    assert all("Content Security Policy" in complaint for complaint in tab.complaints)


async def test_the_colours_follow_the_reader(browser: str, page: Path) -> None:
    """Page and charts have other colours in the dark."""
    async with new_tab(browser) as tab:
        await tab.visit(page.as_uri(), width=1200, scheme="light")
        assert await tab.value(_COLOURS) == "rgb(246, 247, 249),rgb(0, 114, 178)"
        await tab.visit(page.as_uri(), width=1200, scheme="dark")
        assert await tab.value(_COLOURS) == "rgb(18, 22, 29),rgb(86, 180, 233)"
