"""The README's picture of a report: its first screen, after the demo without a model.

python -m experiments.pictures.run OUT.png
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

SIZE = (1200, 900)  # pixels
DRAWN_MS = 8000  # the page's own clock runs so far before the picture is taken
LIMIT_S = 600


def take(out: Path) -> None:
    """Run the demo, write its report and photograph it."""
    browser = next(filter(None, map(shutil.which, ("chromium", "google-chrome"))), None)
    if browser is None:
        raise SystemExit("a picture needs Chromium: apt-get install chromium")
    with tempfile.TemporaryDirectory() as folder:
        run, page = f"{folder}/run", f"{folder}/report.html"
        ours = [sys.executable, "-m", "raymimic.cli"]
        subprocess.run([*ours, "demo", "--llm", "none", "--out", run], check=True, timeout=LIMIT_S)
        subprocess.run([*ours, "report", run, "-o", page], check=True, timeout=LIMIT_S)
        subprocess.run(
            [browser, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
             "--disable-background-networking", f"--user-data-dir={folder}/profile",
             f"--window-size={SIZE[0]},{SIZE[1]}", f"--virtual-time-budget={DRAWN_MS}",
             f"--screenshot={out.absolute()}", f"file://{page}"],
            check=True, timeout=LIMIT_S, stderr=subprocess.DEVNULL,
        )  # fmt: skip


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    take(parser.parse_args().out)
