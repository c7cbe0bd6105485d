"""The stages of fineline as plain Python: no Dagster, no DVC."""
