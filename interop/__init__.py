"""What comes in and what goes out: foreign checkpoints read without running them; exports, cards and the hub."""
