"""Which method to use: a pure function of the forecasts and the room there is.

| LoRA fits | QLoRA fits | recommended | because |
|---|---|---|---|
| yes | any | lora | the base stays exact; four bits would buy room that is not needed |
| no | yes | qlora | the base in four bits is what makes it fit |
| no | no | none | a smaller base, a smaller batch or shorter rows are needed |

Full fine-tuning is forecast for comparison and never recommended: on the data sizes of one team it forgets more than LoRA and
is no better on the task (Biderman et al. 2024, arXiv 2405.09673).
"""

from collections.abc import Mapping

HEADROOM = 0.9  # of the memory; the rest is for what a forecast cannot see


def fits(total: int, memory: int) -> bool:
    """Whether a run of `total` bytes may be started in `memory` bytes."""
    return total <= HEADROOM * memory


def recommend(totals: Mapping[str, int], memory: int) -> tuple[str | None, str]:
    """The method, and the reason in one sentence."""
    room = f"{HEADROOM * memory / 2**30:.1f} GiB"
    if fits(totals["lora"], memory):
        return "lora", f"LoRA needs {_gib(totals['lora'])} of {room}: the base can stay in full precision."
    if fits(totals["qlora"], memory):
        return (
            "qlora",
            f"LoRA would need {_gib(totals['lora'])} of {room}; with the base in four bits {_gib(totals['qlora'])}.",
        )
    remedy = "take a smaller base, `train.batch_size` or `curate.max_tokens`"
    return None, f"Even QLoRA needs {_gib(totals['qlora'])} of {room}: {remedy}."


def _gib(size: int) -> str:
    return f"{size / 2**30:.1f} GiB"
