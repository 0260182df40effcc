"""What all benchmarks share: options, progress, timing in turns, the machine's rate, the report and its verdict."""
