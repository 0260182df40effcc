"""Pictures with a known truth: procedural scenes, and cut-outs on backgrounds."""
