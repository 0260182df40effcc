"""Spatially steerable GANs: networks, layouts, losses, data and the training loop."""
