"""Run stage `train` for one adapter: `python -m pipelines.train NAME`."""

from fineline.stages.entry import main
from fineline.stages.train import run

if __name__ == "__main__":
    main("train", run)
