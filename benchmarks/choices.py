"""What options of benchmarks choose from, and their bounds. Nothing here needs torch: --help answers at once."""

EXTRACTORS = ("inception", "random")
DTYPES = ("float32", "float16", "bfloat16")
READ_BATCH = 16  # images
MOST_WORKERS = 256
