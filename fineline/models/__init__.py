"""Base models: where they come from, how they are loaded, and the precision they compute in."""
