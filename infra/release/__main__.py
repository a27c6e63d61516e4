"""``python -m infra.release cut VERSION`` cuts a release; ``record`` writes the calls of the present version only."""

from __future__ import annotations

import argparse
import sys

from infra.migrate.release import this_release
from infra.migrate.snapshot import fresh_database
from infra.migrate.up_and_status import up
from infra.release.calls import recorded
from infra.release.cut import NoReleaseError, cut, write


def main() -> int:
    """Cut a release, or record its calls."""
    parser = argparse.ArgumentParser(prog="python -m infra.release", description=__doc__)
    steps = parser.add_subparsers(dest="step", required=True)
    steps.add_parser("cut", help="cut a release").add_argument("version")
    steps.add_parser("record", help="write tests/releases for the version in pyproject.toml")
    given = parser.parse_args()
    if given.step == "record":
        with fresh_database() as server:
            up(server.url())
            write(recorded(server.url()), this_release())
        return 0
    try:
        print(cut(given.version))
    except NoReleaseError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
