"""Run stage `assess` for one adapter: `python -m pipelines.assess NAME`."""

from fineline.stages.assess import run
from fineline.stages.entry import main

if __name__ == "__main__":
    main("assess", run)
