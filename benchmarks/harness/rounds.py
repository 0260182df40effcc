"""How many rounds a benchmark takes."""

LEAST_ROUNDS = 5  # the fewest whose range is a 90% confidence interval of the median
QUICK_ROUNDS = 2
MOST_ROUNDS, MOST_THREADS = 10_000, 1024
