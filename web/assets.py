"""`python -m web.assets`: copy what the console uses of its npm packages from node_modules to web/static/vendor."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from runtime.errors import HearthError

ROOT = Path(__file__).parent.parent
VENDOR = ROOT / "web" / "static" / "vendor"

FILES = {
    "@tabler/core/dist/css/tabler.min.css": "tabler.min.css",
    "@tabler/core/dist/js/tabler.min.js": "tabler.min.js",
    "@tabler/icons/tabler-nodes-outline.json": "icons.json",
    "echarts/dist/echarts.common.min.js": "echarts.min.js",
    "htmx.org/dist/htmx.min.js": "htmx.min.js",
    "sortablejs/Sortable.min.js": "sortable.min.js",
}


def copy_assets(node_modules: Path = ROOT / "node_modules", target: Path = VENDOR) -> None:
    """Copy the files; raises HearthError naming the first that npm has not installed."""
    target.mkdir(parents=True, exist_ok=True)
    for source, name in FILES.items():
        path = node_modules / source
        if not path.is_file():
            raise HearthError(f"{path} is missing; run `npm ci --ignore-scripts` first (`make setup` does)")
        shutil.copyfile(path, target / name)


if __name__ == "__main__":
    try:
        copy_assets()
    except HearthError as error:
        sys.exit(str(error))
