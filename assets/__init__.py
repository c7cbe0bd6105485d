"""The Dagster code location of this project. Add assets of your own here."""
