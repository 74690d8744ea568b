"""``python -m lazyusid``."""

from lazyusid.cli import main

main()
