"""Runnable measurements, one file a question: python -m benchmarks.NAME --json FILE (see README.md here)."""

import sys

if sys.argv[:1] == ["-m"] and sys.stderr.isatty():  # so it is while Python looks for the module it was told to run
    sys.stderr.write("loading PyTorch ...\r")
