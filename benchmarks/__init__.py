"""Runnable measurements, one file a question: python -m benchmarks.NAME --json FILE (see README.md here)."""
