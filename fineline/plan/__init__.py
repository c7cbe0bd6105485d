"""Planning: the forecast of memory, time and cost of a training run, and the choice of its settings."""
