"""``python -m textvae`` is ``textvae``."""

from textvae.cli import main

main()
