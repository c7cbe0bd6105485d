"""Adapters that join a project and leave it: `fineline init` and `fineline retire`."""
