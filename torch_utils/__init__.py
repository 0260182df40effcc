"""PyTorch helpers that know nothing of GANs: image operations, allocator, devices."""
