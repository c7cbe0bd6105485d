"""The adapter: put on a base model, and saved in PEFT's layout so that the same weights give the same bytes."""

import json
from pathlib import Path
from typing import Any

from pipelines.params.training import Train

FILES = ("adapter_config.json", "adapter_model.safetensors")


def attach(model: Any, train: Train) -> Any:
    """LoRA matrices on every linear layer but the head (arXiv 2106.09685), in fp32; everything else is frozen."""
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(
        r=train.rank,
        lora_alpha=train.alpha,
        lora_dropout=train.dropout,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )
    return get_peft_model(model, config)


def save(model: Any, directory: Path) -> None:
    """Write the adapter's weights and configuration, and nothing else."""
    model.save_pretrained(directory)
    for file in directory.iterdir():
        if file.name not in FILES:
            file.unlink()
    config_file = directory / "adapter_config.json"
    config = json.loads(config_file.read_text(encoding="utf-8"))
    config["target_modules"] = sorted(config["target_modules"])  # PEFT writes a set: its order changes from run to run
    config_file.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")
