"""``python -m tests.benchmarks``."""

import argparse
import json
import tempfile
import time
from pathlib import Path

from tests.benchmarks import big, fresh, latency, overhead, threads, works
from tests.benchmarks.settings import Settings, machine

SECTIONS = (works, fresh, threads, overhead, latency, big)


def main() -> None:
    """Run what the command line asks for, and print it."""
    arguments = _parser().parse_args()
    settings = Settings(
        arguments.folder,
        arguments.peers,
        arguments.only,
        arguments.repeat,
        arguments.latency / 1000,
    )
    started = time.strftime("%Y-%m-%d %H:%M")
    told = f"{started}, {machine()}"
    print(told)
    found = []
    for section in SECTIONS:
        for table in section.tables(settings):
            text = table.as_markdown() if arguments.markdown else table.as_text()
            print(f"\n{text}", flush=True)
            found.append(table.as_json())
            if arguments.json:  # after every table: a run takes a while, and may be stopped
                content = json.dumps({"machine": told, "tables": found}, indent=1)
                arguments.json.write_text(content)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m tests.benchmarks",
        description="Measure how fast lazyusid reads. Files of 6 GB are made once and kept.",
        epilog=f"Sections: {', '.join(section.__name__.split('.')[-1] for section in SECTIONS)}.",
    )
    folder = Path(tempfile.gettempdir()) / "lazyusid-benchmarks"
    add = parser.add_argument
    add("--peers", action="store_true", help="let others read too, where they are installed")
    add("--json", type=Path, metavar="FILE", help="write all numbers there as well")
    add("--markdown", action="store_true", help="print tables as markdown")
    add("--only", default="", metavar="WORD", help="run only what has this in its name")
    add("--repeat", type=int, default=5, metavar="N", help="rounds of each (5)")
    add("--folder", type=Path, default=folder, help=f"where the files are ({folder})")
    add("--latency", type=float, default=1.0, metavar="MS", help="of a slow request (1)")
    return parser


if __name__ == "__main__":
    main()
