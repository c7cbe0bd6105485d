"""Planning: what a training run will need, before it is paid for."""
