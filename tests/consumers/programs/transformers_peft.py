"""transformers answers with a model; PEFT applies an adapter to its base."""

import time
from pathlib import Path

import torch
from protocol import serve, without_end
from transformers import AutoModelForCausalLM, AutoTokenizer


def answer(request):
    torch.set_num_threads(1)
    adapter = request["form"] if request["base"] else None
    place = request["base"] or request["form"]
    tokenizer = AutoTokenizer.from_pretrained(tokenizer_of(request))
    model = AutoModelForCausalLM.from_pretrained(place, dtype=getattr(torch, request["dtype"]))
    base = None
    if adapter:
        from peft import PeftModel

        base = likelihoods(model.eval(), request["rows"])
        model = PeftModel.from_pretrained(model, adapter)
    model.eval()
    prompts = [ids(tokenizer, messages) for messages in request["messages"]]
    began = time.perf_counter()
    answers = [greedy(model, prompt, request, sampled=not adapter) for prompt in prompts]
    return {
        "prompts": prompts,
        "seconds": time.perf_counter() - began,
        "answers": answers,
        "loglikelihoods": likelihoods(model, request["rows"]),
        "base": base,
    }


def tokenizer_of(request):
    """Return the directory of the tokenizer: the adapter's if it has one."""
    own = Path(request["form"]) / "tokenizer_config.json"
    return request["form"] if own.exists() else request["base"]


def ids(tokenizer, messages):
    """Return the ids of a prompt; the text is tokenized separately because the result of the template differs by version."""
    text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    return tokenizer(text, add_special_tokens=False)["input_ids"]


def greedy(model, prompt, request, sampled):
    """Return the ids of an answer: of a model with its own decoding settings, next to an adapter with greedy ones."""
    settings = {} if sampled else {"do_sample": False}
    with torch.no_grad():
        out = model.generate(
            input_ids=torch.tensor([prompt]),
            attention_mask=torch.ones(1, len(prompt), dtype=torch.long),
            max_new_tokens=request["new_tokens"],
            **settings,
        )
    return without_end(out[0, len(prompt) :].tolist(), request["ends"])


def likelihoods(model, rows):
    """Return the log-likelihood of the answer of each row."""
    found = []
    for row in rows:
        start, answer = len(row["prompt"]), row["answer"]
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([row["prompt"] + answer])).logits[0].float()
        scores = torch.log_softmax(logits[start - 1 : -1], dim=-1)
        found.append(scores.gather(1, torch.tensor(answer)[:, None]).sum().item())
    return found


if __name__ == "__main__":
    serve(answer, ("transformers", "peft", "torch", "tokenizers"))
