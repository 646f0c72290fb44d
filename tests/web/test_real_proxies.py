"""The shipped proxy files in the proxies themselves, as Debian packages them: nginx and Caddy, with TLS.

They run where they are installed, or where TESTIGO_PROXIES names a folder with `nginx` and `caddy` in it.
"""

import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Playwright, expect, sync_playwright

from tests.way_in import ROOT, SETTINGS, command_line, environment
from tests.web.phone import film, phone, state, until, wait_for_state
from tests.web.served import Served, free_port, serving
from tests.web.test_sending_in_a_browser import sha256, stored_digests, wait_until_sent
from tests.web.weak_line import WeakLine

KIB, MIB = 1 << 10, 1 << 20
OVERHEAD = 0.03
"""Headers, handshakes and TLS records, as a part of the file."""
ON = SETTINGS + "[web]\nproxies = 1\n"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("proxied") / "var", settings=ON) as served:
        yield served


@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    with sync_playwright() as found:
        yield found


def program(name: str) -> str:
    folder = os.environ.get("TESTIGO_PROXIES", "")
    found = shutil.which(name, path=f"{folder}:{os.environ['PATH']}:/usr/sbin")
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def certificate(folder: Path) -> tuple[Path, Path]:
    words = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost"
    names = ["-addext", "subjectAltName=DNS:localhost", "-keyout", str(folder / "key"), "-out", str(folder / "cert")]
    subprocess.run([*words.split(), *names], check=True, capture_output=True)
    return folder / "cert", folder / "key"


def changed(text: str, *changes: tuple[str, str]) -> str:
    """Put this machine's names into a shipped file; each of its lines that is meant must be there."""
    for pattern, new in changes:
        text, count = re.subn(pattern, new, text, flags=re.MULTILINE)
        assert count, pattern
    return text


def nginx(folder: Path, port: int, served: Served) -> list[str]:
    cert, key = certificate(folder)
    site = changed(
        (ROOT / "deploy" / "nginx.conf").read_text(),
        (r"listen 443 ", f"listen 127.0.0.1:{port} "),
        (r"listen 80;", f"listen 127.0.0.1:{free_port()};"),
        (r"^ *listen \[::\].*$", ""),
        (r"drop\.example\.org;", "localhost;"),
        (r"ssl_certificate  .*;", f"ssl_certificate {cert};"),
        (r"ssl_certificate_key .*;", f"ssl_certificate_key {key};"),
        (r"error_log \S+", f"error_log {folder}/error.log"),
        (r"127\.0\.0\.1:8080", f"127.0.0.1:{served.port}"),
    )
    (folder / "site").write_text(site)
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    places = "".join(f"{kind}_temp_path {folder}/{kind};" for kind in kinds)
    user = "user root;" if os.getuid() == 0 else ""
    http = f"http {{ {places} include {folder}/site; }}"
    (folder / "conf").write_text(f"{user} daemon off; pid {folder}/pid; events {{}} {http}")
    return [program("nginx"), "-p", str(folder), "-c", str(folder / "conf"), "-e", str(folder / "error.log")]


def caddy(folder: Path, port: int, served: Served) -> list[str]:
    cert, key = certificate(folder)
    site = changed(
        (ROOT / "deploy" / "Caddyfile").read_text(),
        (r"^drop\.example\.org \{", f"https://localhost:{port} {{\n\ttls {cert} {key}"),
        (r"127\.0\.0\.1:8080", f"127.0.0.1:{served.port}"),
        (r"\A((?:#.*\n)*)\{\n", r"\1{\n\tadmin off\n\tauto_https disable_redirects\n"),
    )
    (folder / "conf").write_text(site)
    return [program("caddy"), "run", "--adapter", "caddyfile", "--config", str(folder / "conf")]


PROXIES = {"nginx": nginx, "caddy": caddy}


@contextmanager
def proxied(
    prepare: Callable[[Path, int, Served], list[str]], folder: Path, served: Served
) -> Iterator[tuple[int, Path]]:
    """Run a proxy before the server; give its port and its certificate."""
    folder.mkdir()
    port = free_port()
    words = prepare(folder, port, served)
    around = {**os.environ, "HOME": str(folder), "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(words, env=around, stdout=log, stderr=log)
    try:
        for _ in range(200):
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                assert process.poll() is None, (folder / "log").read_text()
                time.sleep(0.05)
        yield port, folder / "cert"
    finally:
        process.terminate()
        process.wait(30)


@pytest.mark.parametrize("name", PROXIES)
def test_the_doctor_finds_nothing_wrong_with_the_shipped_proxy_files(served: Served, tmp_path: Path, name: str) -> None:
    with proxied(PROXIES[name], tmp_path / name, served) as (port, cert):
        words = command_line("doctor", "--url", f"https://localhost:{port}")
        unknown = subprocess.run(words, env=environment(served.home), capture_output=True, text=True, check=False)
        assert unknown.returncode == 2
        assert "certificate" in unknown.stdout
        around = environment(served.home, SSL_CERT_FILE=str(cert))
        told = subprocess.run(words, env=around, capture_output=True, text=True, check=False)
        assert told.returncode == 0, told.stdout + told.stderr
        for check in ("proxy headers", "proxy body limit", "proxy buffering"):
            assert re.search(rf"good +{check}", told.stdout), told.stdout


@pytest.mark.long
@pytest.mark.parametrize("name", PROXIES)
def test_three_cuts_behind_a_shipped_proxy_cost_no_tap_and_almost_nothing_sent_twice(
    served: Served, playwright: Playwright, tmp_path: Path, name: str
) -> None:
    clip = film(tmp_path, "clip.mp4", 20 * MIB)
    with (
        proxied(PROXIES[name], tmp_path / name, served) as (port, _),
        WeakLine(port, rate=1_000_000) as line,
        phone(playwright, ignore_https_errors=True, service_workers="block") as context,
    ):
        page = context.new_page()
        page.goto(f"https://localhost:{line.port}/d/{served.code}")
        before, whole = line.sent, clip.stat().st_size
        page.set_input_files("#files", clip)
        for share in (0.2, 0.45, 0.7):
            wait_until_sent(line, before + share * whole)
            line.cut()
            assert wait_for_state(page, "offline", 3) < 3
            expect(page.locator("#state-text")).to_contain_text("Nothing is lost.")
            time.sleep(3)
            line.mend()
            assert until(lambda: state(page) != "offline", 10) < 3
        wait_for_state(page, "safe", 120)
        twice = line.sent - before - whole
        print(f"{name}: {twice / KIB:.0f} KiB sent beyond the file, headers and TLS included, in three cuts")
        assert twice < 3 * 64 * KIB + OVERHEAD * whole
    assert sha256(clip) in stored_digests(served)
