"""The page in a real browser: it complains of nothing, requests nothing, and fits screen and paper."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path

import pytest

from harvester.page.page import html_page
from tests.page.browser import CHROMIUM, chromium_running, new_tab
from tests.page.samples import ANSWER, summary

pytestmark = [
    pytest.mark.skipif(
        CHROMIUM is None,
        reason="NO CHROMIUM: the report was not tried in a browser (apt-get install chromium)",
    ),
    pytest.mark.xdist_group("chromium"),
]
_SEEN = (
    "[...document.querySelectorAll('figure:has(svg)')]"
    ".filter(figure => figure.checkVisibility() && figure.getBoundingClientRect().width > 200).length"
)
_COLORS = """[
    getComputedStyle(document.body).backgroundColor,
    getComputedStyle(document.querySelector(".bars .first rect")).fill,
].join()"""
_BARS = """[...document.querySelectorAll('.bars rect')].map(bar => bar.getBoundingClientRect().width)
    .filter(width => width > 0)"""
_UNFOLD = "document.querySelectorAll('details.run').forEach(run => run.open = true)"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Chromium, started once."""
    with chromium_running(tmp_path_factory.mktemp("profile")) as address:
        yield address


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report, drawn once."""
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(html_page(summary(), ANSWER))
    return path


@pytest.fixture
def spoiled(page: Path, tmp_path: Path) -> Path:
    """The report with markup in it that must not be there."""
    bad = "<script>document.title='run'</script><img src='http://127.0.0.1:9/a.png'></main>"
    path = tmp_path / "spoiled.html"
    path.write_text(page.read_text().replace("</main>", bad))
    return path


async def test_the_page_stands_by_itself(browser: str, page: Path) -> None:
    """At each width, light and dark: no complaint, no request, no sideways scrolling, charts that show."""
    async with new_tab(browser) as tab:
        for width, scheme in ((1200, "light"), (1200, "dark"), (375, "dark")):
            await tab.visit(page.as_uri(), width=width, scheme=scheme)
            assert await tab.value(_SEEN) == 2  # those of the answer: the run is folded
            await tab.value(_UNFOLD)
            assert await tab.value(_SEEN) == 5
            assert await tab.value("document.documentElement.scrollWidth") <= width
    assert set(tab.requested) - {"about:blank", "data:,"} == {page.as_uri()}
    assert tab.complaints == []


async def test_the_policy_of_the_page_holds(browser: str, spoiled: Path) -> None:
    """Were markup ever to get into it, the browser would run and fetch nothing of it."""
    async with new_tab(browser) as tab:
        await tab.visit(spoiled.as_uri(), width=800, scheme="light")
        assert await tab.value("document.title") == "Account usage of acme"
    assert len(tab.complaints) == 2
    assert all("Content Security Policy" in complaint for complaint in tab.complaints)


async def test_the_colors_follow_the_reader(browser: str, page: Path) -> None:
    """Page and charts have other colors in the dark."""
    async with new_tab(browser) as tab:
        await tab.visit(page.as_uri(), width=1200, scheme="light")
        assert await tab.value(_COLORS) == "rgb(246, 247, 249),rgb(0, 114, 178)"
        await tab.visit(page.as_uri(), width=1200, scheme="dark")
        assert await tab.value(_COLORS) == "rgb(18, 22, 29),rgb(86, 180, 233)"


async def test_the_smallest_bar_is_still_seen(browser: str, page: Path) -> None:
    """One account beside two thousand is a line of its own, with its figure."""
    async with new_tab(browser) as tab:
        await tab.visit(page.as_uri(), width=1200, scheme="light")
        assert await tab.value(f"{_BARS}.length") >= 9
        assert await tab.value(f"Math.min(...{_BARS})") > 1.2


async def test_the_page_prints_with_the_run_unfolded(browser: str, page: Path) -> None:
    """Paper can't be clicked."""
    async with new_tab(browser) as tab:
        await tab.visit(page.as_uri(), width=1200, scheme="light")
        await tab.call("Emulation.setEmulatedMedia", media="print")
        assert await tab.value(_SEEN) == 5
        pdf = b64decode((await tab.call("Page.printToPDF"))["data"])
    assert pdf.startswith(b"%PDF-")
