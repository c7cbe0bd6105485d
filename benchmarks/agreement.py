"""Compare the answers of fineline's scorer with those of lm-eval's `HFLM`, on items of every task of the shipped adapter.

`python benchmarks/agreement.py` after `make demo`: the same model object in fp32 for both, the first 32 items of each task, and
up to 128 of those that ask for generated text.
"""

import logging
import os

os.environ.setdefault("TQDM_DISABLE", "1")

from lm_eval.models.huggingface import HFLM

from fineline.chat.tokens import tokenizer_of
from fineline.evaluate import tasks
from fineline.inference.scorer import Scorer
from fineline.inference.torch_engine import TorchEngine
from fineline.project import layout, params
from fineline.stages import handover
from scoring import ADAPTER, BATCH, agreement, answers_of, requests_of, shipped


def main() -> None:
    """Print a line for each task."""
    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    block = params.load().adapter(ADAPTER)
    tokenizer = tokenizer_of(layout.base(block.base))
    model = shipped(block.base)
    standard = HFLM(pretrained=model, tokenizer=tokenizer, batch_size=BATCH)
    own = Scorer(TorchEngine(model, "fp32"), tokenizer)
    print(f"{'task':<24} {'requests':>8} {'difference':>10} {'same':>6}")
    splits = handover.read_rows(layout.curated(ADAPTER), "test", "train")
    for task in tasks.build(block.evaluate, splits["test"], splits["train"], tokenizer):
        asked = requests_of(task, tokenizer)
        difference, same = agreement(asked, answers_of(standard, asked), answers_of(own, asked))
        print(f"{task.name:<24} {len(asked):>8} {difference:>10} {same:>6}", flush=True)


if __name__ == "__main__":
    main()
