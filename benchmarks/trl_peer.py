# /// script
# requires-python = ">=3.11"
# dependencies = [
#   "accelerate",
#   "bitsandbytes==0.50.2",
#   "datasets>=5",
#   "peft==0.21.2",
#   "torch==2.13.0",
#   "transformers==5.23.0",
#   "trl==1.16.0",
# ]
# ///
"""The peer of benchmarks/training.py: the same rows, first weights and hyper-parameters through TRL's SFTTrainer.

`uv run --script benchmarks/trl_peer.py TASK.json` trains and prints one JSON line. uv reads the packages off the block above
and puts them into a separate environment. TASK.json holds `base` (directory), `adapter` (directory with the first weights),
`rows` (`input_ids` and `labels` in the order of training), `quantized`, `precision` (bf16 or fp32), `batch_size`,
`learning_rate`, `warmup_steps`, `seed`, `out` (directory for the trained adapter).

Where a choice was open, it favors TRL: rows come already tokenized and in batches of like length; activations are kept and
not computed again, which is not its default; the model is in the precision that fineline takes on this machine, the fastest;
the weights of a QLoRA adapter stay in fp32, which is faster here and learns better than the bf16 that TRL rounds them to;
nothing is logged, saved or validated on the way.
"""

import json
import os
import resource
import sys
from pathlib import Path

os.environ.update(HF_HUB_OFFLINE="1", HF_HUB_DISABLE_TELEMETRY="1", TRL_EXPERIMENTAL_SILENCE="1", TQDM_DISABLE="1")

import torch
from datasets import Dataset
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig
from trl import SFTConfig, SFTTrainer


def main(task: dict) -> None:
    """Train as the task says."""
    precision = torch.bfloat16 if task["precision"] == "bf16" else torch.float32
    quantization = None
    if task["quantized"]:
        quantization = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=precision,
        )
    model = AutoModelForCausalLM.from_pretrained(task["base"], dtype=precision, quantization_config=quantization)
    model = PeftModel.from_pretrained(model, task["adapter"], is_trainable=True)
    rows = task["rows"]
    trainer = SFTTrainer(
        model=model,
        args=SFTConfig(
            output_dir=task["out"],
            num_train_epochs=1,
            per_device_train_batch_size=task["batch_size"],
            train_sampling_strategy="sequential",
            learning_rate=task["learning_rate"],
            lr_scheduler_type="cosine",
            warmup_steps=task["warmup_steps"],
            weight_decay=0.0,
            max_grad_norm=1.0,
            seed=task["seed"],
            bf16=task["precision"] == "bf16",
            use_cpu=not torch.cuda.is_available(),
            gradient_checkpointing=False,
            max_length=None,
            logging_strategy="no",
            save_strategy="no",
            report_to="none",
            dataloader_pin_memory=False,
        ),
        train_dataset=Dataset.from_list(rows),
        processing_class=AutoTokenizer.from_pretrained(task["base"]),
    )
    for parameter in trainer.model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()
    result = trainer.train()
    trainer.save_model(task["out"])
    tokens = sum(len(row["input_ids"]) for row in rows)
    print(
        json.dumps(
            {
                "tokens_per_second": tokens / result.metrics["train_runtime"],
                "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
                "steps": result.global_step,
            }
        )
    )


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
