"""The program ``textvae``, and ``python -m textvae``: the command line."""

import sys


def main() -> None:
    """Runs one command; see ``textvae.cli.main``. An interruption while modules are imported is no error either."""
    try:
        from textvae.cli import main as run

        run()
    except KeyboardInterrupt:
        print("textvae: interrupted", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main()
