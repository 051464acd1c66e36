"""The page in a real browser: no console errors, filters and clicks work, foreign text is text."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

pytest.importorskip("plotly", reason="the page needs plotly: pip install 'raymimic[report]'")

from in_chromium import Browser, needs_browser
from report_ledgers import HOSTILE, trial_id, write_ledger

from raymimic.cli import main

COUNT = "$('f-count').textContent"
CHOSEN = "$('story').hidden ? '' : document.querySelector('#story h2 code').textContent"
DRAW_ALL = """
    for (const plot of all('main section:not([hidden]) .plot')) {
      plot.scrollIntoView();
      await until(() => plot.data || plot.classList.contains('empty'));
    }
"""


def report_of(folder: Path) -> str:
    assert main(["report", str(folder)]) == 0
    return (folder / "report.html").as_uri()


@pytest.fixture(scope="module")
def forty(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("forty")
    write_ledger(folder / "ledger.jsonl", 40)
    return report_of(folder)


@needs_browser
def test_filters_change_every_panel_and_are_taken_back(browser: Browser, forty: str):
    browser.open(forty)
    dots = "$('progress').data.filter((d) => d.customdata).flatMap((d) => d.customdata).length"
    assert browser.run("", COUNT) == "40 trials"
    before = browser.run("", dots)
    choose = "const field = $('f-source'); field.value = 'llm';"
    choose += "field.dispatchEvent(new Event('input', {bubbles: true}))"
    browser.run(f"{choose}; await until(() => {COUNT} !== '40 trials')")
    assert browser.run("", COUNT).endswith(" of 40 trials")
    assert 0 < browser.run("", dots) < before
    sources = browser.run("", "all('#trials tbody tr').map((row) => row.children[3].textContent)")
    assert set(sources) == {"llm"}
    browser.click("#f-reset")
    browser.run(f"await until(() => {COUNT} === '40 trials')")
    browser.run(
        "$('parallel').scrollIntoView(); await until(() => $('parallel').data);"
        "$('parallel').emit('plotly_selected', {range: {x: [-0.1, 0.1], y: [0.4, 0.6]}})"
    )
    browser.run("await until(() => all('#chips button').length === 1)")
    assert browser.run("", COUNT).endswith(" of 40 trials")
    browser.click("#chips button")
    browser.run(f"await until(() => {COUNT} === '40 trials')")
    assert browser.console == []


@needs_browser
def test_a_parameter_is_shown_only_where_it_exists(browser: Browser, forty: str):
    browser.open(forty)
    browser.run("$('parallel').scrollIntoView(); await until(() => $('parallel').data)")
    notes = "$('parallel').layout.annotations.filter((note) => note.text === 'absent').length"
    assert browser.run("", notes) == 1
    passing = "$('parallel').data.flatMap((line) => line.y).filter((y) => y === -0.12).length"
    assert browser.run("", passing) > 0
    rows = "all('#trials tbody tr').map((row) => row.lastChild.textContent)"
    settings = browser.run("", rows)
    assert all(("momentum=" in text) == ("optimizer=sgd" in text) for text in settings)
    assert any("momentum=" in text for text in settings)
    browser.run("$('effect-of').value = 'momentum'; $('effect-of').onchange()")
    browser.run("await until(() => $('effect').data)")
    assert "null" not in browser.run("", "JSON.stringify($('effect').data.map((line) => line.x))")
    assert browser.console == []


@needs_browser
def test_a_click_or_a_key_on_a_trial_tells_its_story(browser: Browser, forty: str):
    browser.open(forty)
    browser.click("#progress .points path")
    browser.run("await until(() => !$('story').hidden)")
    story = browser.run("", "$('story-lines').innerText")
    assert "Proposed" in story
    assert "Ended" in story
    assert browser.run("", "document.activeElement.id") == "story-close"
    browser.key("Escape")
    assert browser.run("", CHOSEN) == ""
    browser.run("$('curves').focus()")
    browser.key("ArrowRight")
    browser.key("ArrowRight")
    browser.key("Enter")
    browser.run("await until(() => !$('story').hidden)")
    assert browser.run("", CHOSEN) == trial_id(1)  # the second in the order they began
    browser.key("Escape")
    assert browser.run("", "document.activeElement.id") == "curves"
    browser.click("#trials button.link")
    named = browser.run("", "document.querySelector('#trials button.link').textContent")
    assert browser.run("", CHOSEN) == named
    assert browser.console == []


@needs_browser
def test_every_panel_is_drawn_in_light_and_in_dark(browser: Browser, forty: str):
    browser.open(forty + "?theme=light")
    browser.run(DRAW_ALL)
    assert browser.run("", "all('main .plot .main-svg').length") >= 8
    assert browser.run("", "all('details.batch').length") == 8
    light = browser.run("", "getComputedStyle(document.body).backgroundColor")
    browser.click("#theme")
    assert browser.run("", "getComputedStyle(document.body).backgroundColor") != light
    browser.run(DRAW_ALL)
    assert browser.console == []


@needs_browser
def test_text_from_models_and_users_is_shown_and_never_run(browser: Browser, tmp_path: Path):
    ledger = write_ledger(tmp_path / "ledger.jsonl", 24, hostile=HOSTILE)
    rows = [json.loads(line) for line in ledger.read_text().splitlines()]
    text = json.dumps(rows).replace('"val_loss"', json.dumps(f"loss {HOSTILE} {{{{data}}}}"))
    for name in ("lr", "optimizer", "sgd"):
        text = text.replace(f'"{name}"', json.dumps(f"{name}<b>{HOSTILE}"))
    ledger.write_text("".join(json.dumps(row) + "\n" for row in json.loads(text)))
    address = report_of(tmp_path)
    page = (tmp_path / "report.html").read_text()
    assert "<script>window" not in page
    assert "<img" not in page
    browser.open(address)
    browser.run(DRAW_ALL + "for (const one of all('#trials button.link')) one.click();"
                "all('details').forEach((one) => { one.open = true; })")  # fmt: skip
    assert browser.run("", "window.pwned === undefined")
    assert browser.run("", "[all('img').length, all('script').length]") == [0, 2]
    assert HOSTILE in browser.run("", "document.body.innerText")
    assert HOSTILE in browser.run("", "$('story').innerText")
    assert browser.console == []


@needs_browser
@pytest.mark.parametrize("trials", [0, 1])
def test_a_run_that_has_just_begun_has_a_page(browser: Browser, tmp_path: Path, trials: int):
    write_ledger(tmp_path / "ledger.jsonl", trials, ended=False)
    browser.open(report_of(tmp_path))
    browser.run(DRAW_ALL)
    assert browser.run("", "$('state').textContent").startswith("no summary: running or killed")
    assert browser.run("", COUNT) == ("1 trial" if trials else "0 trials")
    assert browser.console == []


def test_without_plotly_the_error_says_what_to_install(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    write_ledger(tmp_path / "ledger.jsonl", 1)
    monkeypatch.setitem(sys.modules, "plotly.offline", None)
    assert main(["report", str(tmp_path)]) == 2
    assert 'pip install "raymimic[report]"' in capsys.readouterr().err
    assert not (tmp_path / "report.html").exists()


def test_the_page_is_whole_and_asks_nobody(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    write_ledger(tmp_path / "ledger.jsonl", 10)
    report_of(tmp_path)
    assert "of 10 trials" in capsys.readouterr().out
    page = (tmp_path / "report.html").read_text()
    assert "default-src 'none'" in page[: page.index("</head>")]
    assert "<script src" not in page
    assert "stylesheet" not in page[: page.index("<script")]
    assert "{{" not in page[: page.index("<script")]
    assert len(page) < 6e6
