"""Every method, initialization and form of quantization, trained on one small batch."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch.nn.functional import cross_entropy

from fineline import adapters
from fineline.adapters import methods
from fineline.adapters.methods import METHODS
from fineline.models import loading
from fineline.models.config import Precision
from fineline.project.params.training import Train

STEPS = 20
LORA = {"rank": 4, "alpha": 8}
VIRTUAL = {"virtual_tokens": 6}


@dataclass(frozen=True)
class Case:
    """Training settings, and the small base to train."""

    train: Train
    base: str = "plain"
    rate: float = 1e-2


def _case(base: str = "plain", rate: float = 1e-2, **train: Any) -> Case:
    return Case(Train(**train), base, rate)


CASES = {
    "lora": _case(method="lora", **LORA),
    "lora-attention": _case(method="lora", targets="attention", **LORA),
    "lora-named": _case(method="lora", targets=["up_proj", "self_attn.q_proj"], **LORA),
    "lora-pissa": _case(method="lora", initialization="pissa", rate=1e-3, **LORA),
    "lora-eva": _case(method="lora", initialization="eva", **LORA),
    "qlora": _case(method="qlora", **LORA),
    "qlora-fp4": _case(method="qlora", quantization={"type": "fp4"}, **LORA),
    "qlora-single": _case(method="qlora", quantization={"double": False}, **LORA),
    "qlora-pissa": _case(method="qlora", initialization="pissa", rate=1e-3, **LORA),
    "qlora-loftq": _case(method="qlora", initialization="loftq", **LORA),
    "qlora-eva": _case(method="qlora", initialization="eva", **LORA),
    "dora": _case(method="dora", **LORA),
    "qdora": _case(method="qdora", **LORA),
    "rslora": _case(method="rslora", **LORA),
    "rslora-pissa": _case(method="rslora", initialization="pissa", rate=1e-3, **LORA),
    "vera": _case(method="vera", rank=16, rate=3e-2),
    "ia3": _case(method="ia3", rate=3e-2),
    "ia3-biased": _case("biased", method="ia3", rate=3e-2),
    "prefix": _case(method="prefix", rate=3e-2, **VIRTUAL),
    "prompt": _case(method="prompt", rate=3e-2, **VIRTUAL),
    "p-tuning": _case(method="p-tuning", **VIRTUAL),
    "bottleneck": _case(method="bottleneck", bottleneck={"size": 8}),
    "bottleneck-houlsby": _case(method="bottleneck", bottleneck={"size": 8, "placement": "houlsby"}),
    "bitfit": _case("biased", method="bitfit", rate=3e-2),
    "full": _case(method="full", rate=1e-3),
}
MERGEABLE = [name for name, case in CASES.items() if METHODS[case.train.method].mergeable]
PROMPT_LEARNING = [name for name, case in CASES.items() if METHODS[case.train.method].prompt_learning]


@dataclass
class Trained:
    """A case after training."""

    case: Case
    model: Any
    directory: Path
    base: Path
    losses: list[float] = field(default_factory=list)


def batch() -> dict[str, torch.Tensor]:
    """Four rows of different lengths, padded on the right."""
    drawn = torch.randint(3, 250, (4, 24), generator=torch.Generator().manual_seed(1))
    mask = torch.arange(24) < torch.tensor([24, 20, 16, 9])[:, None]
    return {"input_ids": drawn.where(mask, 2), "attention_mask": mask.long()}


def new(case: Case, base: Path) -> Any:
    """The base with a new adapter."""
    torch.manual_seed(0)
    model = loaded_base(case, base)
    torch.manual_seed(0)
    return adapters.attach(model, case.train, base, [batch()])


def loaded_base(case: Case, base: Path, precision: Precision = "bf16") -> Any:
    return loading.base_model(base, quantization=methods.quantization_of(case.train.model_dump()), precision=precision)


def train(case: Case, base: Path, directory: Path) -> Trained:
    """A few steps of AdamW, and the result saved."""
    trained = Trained(case, new(case, base), directory, base)
    weights = [weight for weight in trained.model.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=case.rate, weight_decay=0.0)
    trained.model.train()
    for _ in range(STEPS):
        loss = next_token_loss(trained.model)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        trained.losses.append(loss.item())
    trained.model.eval()
    adapters.save(trained.model, directory)
    return trained


def next_token_loss(model: Any, *, half: bool = True) -> torch.Tensor:
    """Mean over the tokens of the batch; virtual tokens are cut off."""
    rows = batch()
    with torch.autocast("cpu", torch.bfloat16, enabled=half):
        logits = model(**rows).logits[:, -rows["input_ids"].shape[1] :]
    labels = rows["input_ids"].where(rows["attention_mask"].bool(), -100)
    return cross_entropy(logits[:, :-1].flatten(0, 1).float(), labels[:, 1:].flatten())


@torch.no_grad()
def logits(model: Any, *, half: bool = True) -> torch.Tensor:
    """(rows, tokens, vocabulary), in the precision of judging."""
    with torch.autocast("cpu", torch.bfloat16, enabled=half):
        return model(input_ids=batch()["input_ids"]).logits.float()
