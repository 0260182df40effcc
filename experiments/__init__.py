"""Series of training runs, and what the papers' tables take: python -m experiments.NAME."""
