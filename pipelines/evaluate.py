"""Run stage `evaluate` for one adapter: `python -m pipelines.evaluate NAME`."""

from fineline.stages.entry import main
from fineline.stages.evaluate import run

if __name__ == "__main__":
    main("evaluate", run)
