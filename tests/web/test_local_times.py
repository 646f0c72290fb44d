"""Local times on receipts and pages are of the zone that the settings name, with UTC beside them."""

import re
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from tests.often import often
from tests.way_in import SETTINGS
from tests.web.served import Browser, serving
from tests.web.test_handing_over import post, return_code, send


@pytest.mark.parametrize("zone", often(["Asia/Dhaka", "America/Los_Angeles"], "Asia/Dhaka"))
def test_receipt_and_return_page_tell_the_hour_of_the_archives_own_zone(tmp_path: Path, zone: str) -> None:
    with serving(tmp_path / "archive", settings=f'{SETTINGS}\n[web]\ntime_zone = "{zone}"\n') as served:
        browser = send(served, [("a.bin", b"octets")])
        receipt = browser.get("/receipt").text
        told = re.search(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) UTC", receipt)
        assert told
        local = datetime.fromisoformat(told[1]).replace(tzinfo=UTC).astimezone(ZoneInfo(zone))
        words = f"{local:%b} {local.day}, {local.year}, {local.hour % 12 or 12}:{local:%M:%S}"
        shown = r"\s".join(map(re.escape, words.split(" "))) + rf"\s{local:%p} {re.escape(f'{local:%Z}')}"
        assert re.search(shown, receipt), receipt
        other = Browser(served)
        assert post(other, "/r", other.get("/r").text, code=return_code(receipt)) == 303
        assert re.search(shown, other.get("/r/me").text)
