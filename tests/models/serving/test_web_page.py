"""A version's page in a browser: scores are those of Python, and nothing leaves the machine."""

from __future__ import annotations

import json
import pathlib
import re
import threading
from collections.abc import Iterator

import numpy as np
import pytest

from ranklite.models.serving import demo
from ranklite.models.serving.scorer import Scorer
from tests import client_version
from tests.browser import PHONE, Visit, needs_browser, opened
from tests.litert_js import litert

pytestmark = [pytest.mark.slow, needs_browser]

ROWS = 10_000
_SCORE = """async (rows) => {
  const { Ranker } = await import("./ranklite-client.js");
  const { toRow } = await import("./selftest.js");
  const litert = await import("@litertjs/core");
  const ranker = await Ranker.load({ litert, model: "model.tflite" });
  const scores = await ranker.score(rows.map(toRow));
  ranker.delete();
  return Array.from(scores);
}"""


@pytest.fixture(scope="module")
def pushed(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    return client_version.push(tmp_path_factory.mktemp("pushed"))


def blocks(document: str) -> list[str]:
    """The JavaScript in a document of ours."""
    text = (pathlib.Path(__file__).parents[3] / document).read_text("utf-8")
    return re.findall("```js\n(.*?)```", text, re.DOTALL)


@pytest.fixture(scope="module")
def address(pushed: pathlib.Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The page's, beside which lies one with the README's code."""
    served = demo.files(str(pushed), str(litert()))
    readme = tmp_path_factory.mktemp("readme")
    [code] = blocks("README.md")
    [import_map] = re.findall(
        '<script type="importmap">.*?</script>', served["/clients/web/index.html"].read_text()
    )
    own = '<script type="module" src="readme.js"></script>'
    for name, text in {
        "readme.js": f"{code}document.title = JSON.stringify(best);",
        "readme.html": f'<link rel="icon" href="data:,"><body>{import_map}{own}',
    }.items():
        (readme / name).write_text(text)
        served[f"/clients/web/{name}"] = readme / name
    with demo.server(served, 0) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield demo.address(running)
        running.shutdown()


def ranking(visit: Visit) -> list[str]:
    """The items on the page, best first, once there are some."""
    visit.page.locator("#ranking li").first.wait_for(timeout=60_000)
    return visit.page.locator("#ranking .name").all_inner_texts()


def best(pushed: pathlib.Path, user: dict[str, object], items: list[int], k: int) -> list[str]:
    top = Scorer(str(pushed)).top_k(user, [{"item": item} for item in items], k)
    return [str(items[index]) for index, _ in top]


def test_scores_are_those_of_the_interpreter(pushed: pathlib.Path, address: str) -> None:
    rows = client_version.rows(ROWS)
    expected = Scorer(str(pushed)).score(rows)
    with opened(address) as visit:
        ranking(visit)
        scores = visit.page.evaluate(_SCORE, [client_version.shown(row) for row in rows])
        assert not visit.complaints
    assert len(set(expected)) > ROWS / 4
    np.testing.assert_allclose(scores, expected, rtol=0, atol=1e-6)


def test_the_page_ranks_as_the_scorer_does_and_without_a_network(
    pushed: pathlib.Path, address: str
) -> None:
    user = {"user": "u0", "shop": 7, "tags": [], "price": None}
    with opened(address) as visit:
        page = visit.page
        assert ranking(visit) == best(pushed, user, [*range(1, 101)], 10)
        facts = page.locator("#facts li").all_inner_texts()
        assert facts[2:] == ["64 rows a call", "32 test vectors agree"]
        assert page.locator("h1").inner_text() == "shop <&> \u00fc"
        page.context.set_offline(True)
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.get_by_label("user", exact=True).fill("n\u00e4chste")
        page.get_by_label("tags").fill("a|\u00fc")
        page.get_by_label("price").fill("2.5")
        page.get_by_role("textbox", name="Candidates").fill("item\n3\n-5\n9223372036854775807\n1\n")
        page.get_by_role("button", name="Rank").click()
        page.get_by_text("4 candidates in").wait_for()
        user = {"user": "n\u00e4chste", "shop": 7, "tags": ["a", "\u00fc"], "price": 2.5}
        assert ranking(visit) == best(pushed, user, [3, -5, 2**63 - 1, 1], 4)
        assert not asked
        assert not visit.complaints


def test_the_code_in_the_readme_works(pushed: pathlib.Path, address: str) -> None:
    user = {"user": "u7", "shop": 5, "tags": ["a"], "price": 9.99}
    top = Scorer(str(pushed)).top_k(user, [{"item": 3}, {"item": 8}], 10)
    with opened(f"{address}readme.html") as visit:
        visit.page.wait_for_function("document.title")
        made = json.loads(visit.page.title())
    assert [best["index"] for best in made] == [index for index, _ in top]
    np.testing.assert_allclose([best["score"] for best in made], [s for _, s in top], atol=1e-6)
    assert blocks("docs/clients.md") == blocks("README.md")


def test_what_is_wrong_is_said_on_the_page(address: str) -> None:
    with opened(address) as visit:
        ranking(visit)
        visit.page.get_by_label("shop").fill("seven")
        visit.page.get_by_role("button", name="Rank").click()
        visit.page.get_by_text("shop = seven is no integer").wait_for()
        visit.page.get_by_label("shop").fill("")
        visit.page.get_by_role("textbox", name="Candidates").fill("")
        visit.page.get_by_role("button", name="Rank").click()
        visit.page.get_by_text("There are no candidates.").wait_for()
        assert not visit.complaints


def test_the_page_lets_nothing_out(address: str) -> None:
    """Its own policy: a request to another place fails before it is made."""
    with opened(address) as visit:
        ranking(visit)
        elsewhere = address.replace("127.0.0.1", "localhost")
        failed = visit.page.evaluate(
            "(url) => fetch(url, { method: 'POST', body: 'u0' }).then(() => '', String)", elsewhere
        )
        assert "TypeError" in failed
        assert any("Content Security Policy" in line for line in visit.complaints)


@pytest.mark.parametrize("width", [1280, PHONE])
def test_the_page_fits(address: str, width: int) -> None:
    with opened(address, width) as visit:
        ranking(visit)
        page = visit.page
        assert page.evaluate("document.documentElement.scrollWidth") == width
        form, result = (page.locator(name).bounding_box() for name in ("form", ".result"))
        assert form is not None
        assert result is not None
        is_beside = result["x"] >= form["x"] + form["width"]
        is_below = result["y"] >= form["y"] + form["height"]
        assert (is_beside, is_below) == ((True, False) if width > PHONE else (False, True))
        for control in page.locator("input:visible, button").all():
            box = control.bounding_box()
            assert box is not None
            assert box["height"] >= 36  # a finger's
        shot = page.screenshot(full_page=True)
        assert int.from_bytes(shot[16:20], "big") == width  # of a PNG's header
