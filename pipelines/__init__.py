"""One file per stage of dvc.yaml: `python -m pipelines.<stage> NAME` runs it. Add steps of your own here."""
