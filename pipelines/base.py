"""Run stage `base` for one base: `python -m pipelines.base NAME`."""

from fineline.stages.base import run
from fineline.stages.entry import main

if __name__ == "__main__":
    main("base", run)
