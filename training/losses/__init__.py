"""What the two players are trained with."""
