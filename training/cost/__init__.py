"""What a run takes: parameters, memory, arithmetic, launches, and time on a GPU, estimated from counts."""
