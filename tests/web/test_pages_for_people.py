"""What a person sees: every page, in five languages, light and dark, on a small phone and a large screen, read by axe.

Looked at by eyes as well; what a program can hold is held here.
"""

import subprocess
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Playwright, expect, sync_playwright

from tests.often import often
from tests.way_in import SETTINGS, run_here
from tests.web.phone import AXE, CHROMIUM, FLAGS, ROOT, film, phone, wait_for_state
from tests.web.served import Served, serving
from web.languages import LANGUAGES as LANGUAGES_BY_NAME
from web.languages import adopted_by

LANGUAGES = ("en", "es-US", "ko", "fil", "bn")
Theme = Literal["light", "dark"]
THEMES: tuple[Theme, ...] = ("light", "dark")
WIDTHS = (320, 390, 1280)
PAGES = (
    "drop",
    "code",
    "unknown",
    "return",
    "check",
    "safety",
    "iphone",
    "forgotten",
    "nothing-here",
    "receipt",
    "me",
    "stop",
)
SAMPLE = ("drop", "check", "safety", "receipt", "me", "nothing-here")
RULES = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")
SMALLEST_TARGET, MAIN_TARGET = 24, 44


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("pages") / "archive") as site:
        yield site


@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    with sync_playwright() as found:
        yield found


@pytest.fixture(scope="module")
def browser(playwright: Playwright) -> Iterator[Browser]:
    browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
    yield browser
    browser.close()


@pytest.fixture(scope="module")
def been_there(served: Served, browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The cookies of someone who has sent a file and come back with their code."""
    context = browser.new_context()
    context.set_default_timeout(120_000)
    page = context.new_page()
    page.goto(f"http://localhost:{served.port}/d/{served.code}")
    page.set_input_files("#files", film(tmp_path_factory.mktemp("film"), "clip.mp4", 5000))
    wait_for_state(page, "safe")
    page.locator("#receipt-now").click()
    page.wait_for_url("**/receipt*")
    code = " ".join(page.locator(".code span").all_inner_texts())
    page.goto(f"http://localhost:{served.port}/r")
    page.fill("#code", code)
    page.locator("main form button").click()
    page.wait_for_url("**/r/me")
    state = context.storage_state()
    context.close()
    return {"cookies": state["cookies"], "code": code}


PATHS = {
    "code": "/d",
    "unknown": "/d/ZZZZZZ",
    "return": "/r",
    "iphone": "/help/iphone",
    "nothing-here": "/nowhere",
    "me": "/r/me",
    "stop": "/r/me/stop",
}


def address(served: Served, name: str) -> str:
    path = f"/d/{served.code}" if name == "drop" else PATHS.get(name, f"/{name}")
    return f"http://localhost:{served.port}{path}"


def context_of(browser: Browser, been_there: dict[str, Any], theme: Theme, width: int) -> BrowserContext:
    context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=theme, service_workers="block")
    context.add_cookies(been_there["cookies"])
    return context


def faults_of(page: Page) -> list[str]:
    """What axe finds, what reaches over the side, and targets that a thumb would miss."""
    page.evaluate(AXE.read_text(encoding="utf-8"))
    found = page.evaluate(
        "(tags) => axe.run(document, { runOnly: tags }).then((all) => all.violations.map("
        "(one) => one.id + ': ' + one.nodes.map((node) => node.target + ' ' + node.failureSummary)))",
        list(RULES),
    )
    over = page.evaluate("() => document.documentElement.scrollWidth - document.documentElement.clientWidth")
    small = page.evaluate(
        """([least, main]) => [...document.querySelectorAll("a, button, summary, textarea, input:not([type=hidden])")]
            .filter((one) => one.checkVisibility() && !one.classList.contains("skip"))
            .map((one) => [one.closest("label.choice, label.check") ?? one, one])
            .filter(([box, one]) => {
                const { width, height } = box.getBoundingClientRect();
                return Math.min(width, height) < least
                    || (one.matches(".btn") && height < main);
            })
            .map(([, one]) => `small target: ${one.outerHTML.slice(0, 90)}`)""",
        [SMALLEST_TARGET, MAIN_TARGET],
    )
    return [*found, *([f"reaches {over} px over the side"] if over > 0 else []), *small]


def look(served: Served, context: BrowserContext, name: str, language: str) -> list[str]:
    page = context.new_page()
    try:
        page.goto(f"{address(served, name)}?lang={language}")
        assert page.locator("html").get_attribute("lang") == language
        return [f"{name} {language}: {fault}" for fault in faults_of(page)]
    finally:
        page.close()


@pytest.mark.parametrize(("language", "theme", "width"), [("en", "light", 320), ("bn", "dark", 320)])
def test_pages_can_be_used_by_everyone(
    served: Served, browser: Browser, been_there: dict[str, Any], language: str, theme: Theme, width: int
) -> None:
    context = context_of(browser, been_there, theme, width)
    faults = [fault for name in SAMPLE for fault in look(served, context, name, language)]
    context.close()
    assert not faults, "\n".join(faults)


@pytest.mark.long
@pytest.mark.parametrize(("theme", "width"), list(product(THEMES, WIDTHS)))
def test_every_page_in_every_language_can_be_used_by_everyone(
    served: Served, browser: Browser, been_there: dict[str, Any], theme: Theme, width: int
) -> None:
    context = context_of(browser, been_there, theme, width)
    faults = [fault for name, language in product(PAGES, LANGUAGES) for fault in look(served, context, name, language)]
    context.close()
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize("language", often(LANGUAGES, "es-US", "bn"))
def test_twice_as_large_text_fits_on_the_smallest_phone(
    served: Served, browser: Browser, been_there: dict[str, Any], language: str
) -> None:
    context = context_of(browser, been_there, "light", 320)
    page = context.new_page()
    for name in ("drop", "receipt", "me"):
        page.goto(f"{address(served, name)}?lang={language}")
        page.evaluate("() => { document.documentElement.style.fontSize = '200%'; }")
        over = page.evaluate("() => document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert over <= 0, f"{name} reaches {over} px over the side"
    context.close()


def test_by_keyboard_the_picker_is_near_and_leaving_is_nearer(
    served: Served, browser: Browser, been_there: dict[str, Any]
) -> None:
    context = context_of(browser, been_there, "light", 390)
    page = context.new_page()
    page.goto(address(served, "drop"))
    seen: list[str] = []
    for _ in range(12):
        page.keyboard.press("Tab")
        seen.append(page.evaluate("() => document.activeElement.id || document.activeElement.className"))
        shown = page.evaluate(
            "() => { const one = document.activeElement.closest('.pick') ?? document.activeElement;"
            " return getComputedStyle(one).outlineStyle !== 'none'; }"
        )
        assert shown, f"the focus on {seen[-1]} is not to be seen"
    context.close()
    assert seen.index("files") < 10 and [name for name in seen if "btn-exit" in name] and seen.index("skip") == 0
    assert next(at for at, name in enumerate(seen) if "btn-exit" in name) == 2


def test_a_phone_that_wishes_for_tagalog_gets_it(served: Served) -> None:
    for wish, lang in (
        ("tl-PH,tl;q=0.9,en;q=0.5", "fil"),
        ("tl", "fil"),
        ("es-MX,es;q=0.9", "es-US"),
        ("bn-IN", "bn"),
        ("de", "en"),
    ):
        answer = served.ask("GET", "/d", {"Accept-Language": wish})
        assert f'<html lang="{lang}"' in answer.text, wish


@pytest.fixture(scope="module", params=[False, True], ids=["open", "sealed"])
def light(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A site whose phones seal their waiting copies, and one whose phones do not."""
    settings = f"{SETTINGS}\n[web]\nseal_waiting_copies = true\n" if request.param else SETTINGS
    with serving(tmp_path_factory.mktemp("light") / "archive", settings=settings) as site:
        yield site


@pytest.mark.parametrize("language", often(LANGUAGES, "en", "bn"))
def test_the_drop_page_is_light_before_a_file_is_chosen(
    light: Served, playwright: Playwright, tmp_path: Path, language: str
) -> None:
    """What Chromium itself counts as received, heads included, of a first visit: the page and all that it loads."""
    served = light
    with phone(playwright, service_workers="block") as context:
        page = context.new_page()
        line = context.new_cdp_session(page)
        asked: dict[str, str] = {}
        weights: dict[str, float] = {}
        line.on("Network.requestWillBeSent", lambda told: asked.update({told["requestId"]: told["request"]["url"]}))
        line.on("Network.loadingFinished", lambda told: weights.update({told["requestId"]: told["encodedDataLength"]}))
        line.send("Network.enable")
        page.goto(f"{address(served, 'drop')}?lang={language}", wait_until="networkidle")
        expect(page.locator("html")).to_have_attribute("lang", language)
        by_url = {asked[number]: weight for number, weight in weights.items()}
        workers = [url for url in asked.values() if ".worker-" in url]
        missing = {url for number, url in asked.items() if number not in weights and url not in workers}
        page.set_input_files("#files", film(tmp_path, "a.jpg", 3000))
        wait_for_state(page, "safe")
        needed = {url for url in asked.values() if ".worker-" in url}
    assert len(by_url) == 3 and not missing, "the page, the style, the script; all of them whole"
    assert len(needed) == 1, "a file that is chosen is copied"
    # Chromium counts a worker's script as the worker's own; it is fetched ahead where it is small.
    ahead = sum(weight_of(served, url) for url in workers)
    total = sum(by_url.values()) + ahead
    assert total <= 40_000, f"{total:.0f} octets: {by_url}, {ahead} of {workers}"


def weight_of(served: Served, url: str) -> int:
    answer = served.ask("GET", urlsplit(url).path, {"Accept-Encoding": "gzip"})
    return len(answer.body) + sum(len(f"{name}: {text}\r\n") for name, text in answer.headers.items())


def test_nothing_is_loaded_from_elsewhere(served: Served, playwright: Playwright) -> None:
    with phone(playwright, service_workers="block") as context:
        page = context.new_page()
        asked: list[str] = []
        problems: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda said: problems.append(said.text) if said.type == "error" else None)
        for name in ("drop", "check", "safety"):
            page.goto(address(served, name))
        assert not problems
        assert all(url.startswith((f"http://localhost:{served.port}/", "data:")) for url in asked)


@pytest.mark.parametrize("language", ["en", "bn"])
def test_without_scripts_files_go_in_and_can_be_stopped(
    served: Served, playwright: Playwright, tmp_path: Path, language: str
) -> None:
    files = [film(tmp_path, name, 30_000) for name in ("one.jpg", "two.mp4")]
    with phone(playwright, java_script_enabled=False, viewport={"width": 320, "height": 640}) as context:
        page = context.new_page()
        page.goto(f"{address(served, 'code')}?lang={language}")
        page.fill("#code", served.code.lower())
        page.locator("main form button").click()
        expect(page.locator("html")).to_have_attribute("lang", language)
        expect(page.locator(".scripts-off")).to_be_visible()
        dead = page.locator("main button:visible, main input[type=file]:visible")
        assert dead.count() == 2, "the file field and the button to send; nothing that does nothing"
        page.set_input_files("#files", files)
        page.fill("#happened", "I saw it myself.")
        page.locator("#finish").click()
        page.wait_for_url("**/receipt*")
        code = "".join(page.locator(".code span").all_inner_texts())
        assert len(code) == 16 and page.locator(".hash").count() >= 2
        page.goto(address(served, "return"))
        bangla = (
            code.translate({ord(digit): 0x09E6 + int(digit) for digit in "0123456789"})
            if language == "bn"
            else f" {code[:5]} {code[5:]} "
        )
        page.fill("#code", bangla)
        page.locator("main form button").click()
        page.wait_for_url("**/r/me")
        page.locator("a[href='/r/me/stop']").click()
        page.locator("main form button").click()
        expect(page.locator("main .note-ok")).to_be_visible()
        expect(page.locator("main .tag-warn")).to_be_visible()
        assert code not in page.url and code not in page.title()


def test_the_receipt_file_is_checked_in_the_browser_without_a_network(
    served: Served, playwright: Playwright, tmp_path: Path
) -> None:
    clip, other = film(tmp_path, "clip.mp4", 300_000), film(tmp_path, "other.mp4", 1000)
    with phone(playwright) as context:
        page = context.new_page()
        page.goto(address(served, "drop"))
        page.set_input_files("#files", clip)
        wait_for_state(page, "safe")
        page.locator("#receipt-now").click()
        page.wait_for_url("**/receipt*")
        with page.expect_download() as download:
            page.get_by_role("link", name="Save receipt").click()
        saved = tmp_path / "receipt.json"
        download.value.save_as(saved)
        page.goto(address(served, "check"))
        context.set_offline(True)
        page.reload()
        page.set_input_files("#receipt", saved)
        expect(page.locator("#verdict.note-ok")).to_be_visible()
        page.set_input_files("#compare", [clip, other])
        expect(page.locator("#compared .note-ok")).to_have_count(1)
        expect(page.locator("#compared .note-warn")).to_have_count(1)
        for number, (was, becomes) in enumerate(
            ((b'"size":300000', b'"size":300001'), (b"\\n9", b"\\n8"), (b'"index":', b'"Index":'))
        ):
            changed = tmp_path / f"changed-{number}.json"
            changed.write_bytes(
                saved.read_bytes().replace(was, becomes) if was in saved.read_bytes() else saved.read_bytes()[:-3]
            )
            page.set_input_files("#receipt", changed)
            expect(page.locator("#verdict.note-bad")).to_be_visible()
        context.set_offline(False)


def test_the_bundles_are_made_of_the_sources_beside_them(tmp_path: Path) -> None:
    made = tmp_path / "static"
    subprocess.run(["node", "web/frontend/build.mjs", str(made)], cwd=ROOT, check=True, timeout=120)
    committed = {path.name: path.read_bytes() for path in (ROOT / "web" / "static").iterdir()}
    again = {path.name: path.read_bytes() for path in made.iterdir()}
    assert again == committed, "run: node web/frontend/build.mjs"


def test_the_lock_file_of_the_bundles_names_no_address() -> None:
    lock = (ROOT / "web" / "frontend" / "package-lock.json").read_text(encoding="utf-8")
    assert "resolved" not in lock and "integrity" in lock


def test_the_operator_sees_which_languages_are_drafts(served: Served) -> None:
    said = run_here(served.home, "doctor").stdout
    line = next(line for line in said.splitlines() if "languages" in line)
    for code, name in LANGUAGES_BY_NAME.items():
        assert (name in said) == (adopted_by(code) is None), line


def test_no_word_is_missing_in_any_language() -> None:
    python = ROOT / ".venv" / "bin" / "python"
    found = subprocess.run(
        [str(python), "scripts/catalogues", "--check"], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert found.returncode == 0, found.stdout


@pytest.mark.parametrize("scripts", [True, False])
def test_the_return_code_is_there_in_every_language_until_it_is_written_down(
    served: Served, playwright: Playwright, tmp_path: Path, scripts: bool
) -> None:
    with phone(playwright, java_script_enabled=scripts) as context:
        page = context.new_page()
        page.goto(f"{address(served, 'drop')}?lang=en")
        page.set_input_files("#files", film(tmp_path, "a.jpg", 3000))
        if scripts:
            wait_for_state(page, "safe")
        page.locator("#finish").click()
        page.wait_for_url("**/receipt*")
        code = "".join(page.locator(".code span").all_inner_texts())
        assert len(code) == 16
        for language in ("ko", "bn"):
            page.wait_for_load_state("networkidle")  # The picture that tells of the page has been fetched.
            page.locator(f".langs a[lang={language}]").click()
            expect(page.locator("html")).to_have_attribute("lang", language)
            assert "".join(page.locator(".code span").all_inner_texts()) == code
        page.locator("form[action^='/receipt/written'] button").click()
        expect(page.locator(".slip")).to_be_visible()
        expect(page.locator(".code")).to_have_count(0)
        page.go_back()
        expect(page.locator(".slip")).to_be_visible()
        expect(page.locator(".code")).to_have_count(0)
