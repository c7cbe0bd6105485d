"""Training: an adapter on a frozen base model."""
