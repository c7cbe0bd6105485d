"""Documents of an adapter, made from its records."""
