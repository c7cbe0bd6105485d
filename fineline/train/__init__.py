"""Training of an adapter on a frozen base model."""
