"""A project: its layout, its parameters, and the versions of its stages."""
