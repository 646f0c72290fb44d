"""The first command of the README, as a stranger runs it."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def test_the_demonstration_goes_from_an_empty_folder_to_a_verified_packet_and_sees_a_changed_one_refused(
    tmp_path: Path,
) -> None:
    run = [sys.executable, str(ROOT / "demo" / "run.py"), str(tmp_path)]
    done = subprocess.run(run, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    assert "time-stamp by throw-away: attested" in done.stdout
    assert re.search("^MATCHES +the receipt as a whole$", done.stdout, re.MULTILINE)
    assert "Where everything is" in done.stdout and "Traceback" not in done.stdout + done.stderr
    assert (tmp_path / "packet" / "read-me-first.html").is_file()
