"""The page in Chromium: nothing is loaded, nothing runs, and it fits a desktop and a telephone in light and dark."""

import pytest

from fineline.report import page
from tests.dagster.front import CHROMIUM, browser
from tests.report.conftest import HOSTILE, answered

pytest.importorskip("playwright")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed (chromium)")


def test_the_page_fits_every_screen_and_runs_nothing(project):
    answered(HOSTILE)
    file = page.write_local("home")
    with browser() as tab:
        asked, said = [], []
        tab.on("request", lambda request: asked.append(request.url))
        tab.on("console", lambda message: said.append(message.text))
        tab.on("dialog", lambda dialog: said.append(dialog.message))
        grounds = set()
        for width in (1280, 400):
            for scheme in ("light", "dark"):
                tab.set_viewport_size({"width": width, "height": 900})
                tab.emulate_media(color_scheme=scheme)
                tab.goto(file.absolute().as_uri())
                for summary in tab.locator("summary").all():
                    summary.click()
                assert tab.evaluate("document.documentElement.scrollWidth") == width
                assert tab.get_by_role("heading", level=1).inner_text().lower().endswith("pass")
                assert tab.locator(".graph").filter(visible=True).count() == 1
                grounds.add(tab.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert len(grounds) == 2
    assert set(asked) == {file.absolute().as_uri()}
    assert not said
