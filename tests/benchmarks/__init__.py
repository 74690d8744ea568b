"""How fast lazyusid reads, against its neighbours and against the machine; run by hand.

``python -m tests.benchmarks --help`` says how.
"""
