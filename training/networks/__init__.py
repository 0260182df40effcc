"""The two players: layers, mapping, synthesis, discriminators, and how layouts condition them."""
