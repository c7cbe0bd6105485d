"""onnxruntime-genai answers with an ONNX model, and onnxruntime computes the likelihoods from the same graph."""

import json
import time
from pathlib import Path

import numpy as np
import onnxruntime
import onnxruntime_genai
from protocol import serve, without_end

TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(int64)": np.int64, "tensor(int32)": np.int32}


def answer(request):
    place = request["form"]
    model = onnxruntime_genai.Model(place)
    tokenizer = onnxruntime_genai.Tokenizer(model)
    prompts = []
    for messages in request["messages"]:
        text = tokenizer.apply_chat_template(json.dumps(messages), add_generation_prompt=True)
        prompts.append([int(token) for token in tokenizer.encode(text)])
    began = time.perf_counter()
    answers = [greedy(model, prompt, request) for prompt in prompts]
    seconds = time.perf_counter() - began
    session = onnxruntime.InferenceSession(graph(place), providers=["CPUExecutionProvider"])
    return {
        "prompts": prompts,
        "seconds": seconds,
        "answers": answers,
        "loglikelihoods": [likelihood(session, row) for row in request["rows"]],
        "base": None,
    }


def greedy(model, prompt, request):
    """Return the ids of an answer with the settings in genai_config.json; only the length is limited."""
    parameters = onnxruntime_genai.GeneratorParams(model)
    parameters.set_search_options(max_length=len(prompt) + request["new_tokens"])
    generator = onnxruntime_genai.Generator(model, parameters)
    generator.append_tokens(prompt)
    while not generator.is_done():
        generator.generate_next_token()
    ids = [int(token) for token in generator.get_sequence(0)[len(prompt) :]]
    return without_end(ids, request["ends"])


def graph(place):
    """Return the file of the graph that genai_config.json names."""
    settings = json.loads((Path(place) / "genai_config.json").read_text(encoding="utf-8"))
    return Path(place) / settings["model"]["decoder"]["filename"]


def likelihood(session, row):
    """Return the log-likelihood of the answer of a row: one pass over all tokens, with empty caches."""
    ids = row["prompt"] + row["answer"]
    feeds = {}
    for wanted in session.get_inputs():
        kind = TYPES[wanted.type]
        if wanted.name == "input_ids":
            feeds[wanted.name] = np.array([ids], dtype=kind)
        elif wanted.name == "attention_mask":
            feeds[wanted.name] = np.ones((1, len(ids)), dtype=kind)
        elif wanted.name == "position_ids":
            feeds[wanted.name] = np.arange(len(ids), dtype=kind)[None]
        else:  # a cache: one row, no positions; the state of a convolution has no positions and starts at zero
            shape = [size if isinstance(size, int) else 1 if "batch" in size else 0 for size in wanted.shape]
            feeds[wanted.name] = np.zeros(shape, dtype=kind)
    logits = session.run(["logits"], feeds)[0][0].astype(np.float64)
    start = len(row["prompt"])
    scores = logits[start - 1 : -1]
    scores -= scores.max(axis=-1, keepdims=True)
    scores -= np.log(np.exp(scores).sum(axis=-1, keepdims=True))
    return float(scores[np.arange(len(row["answer"])), row["answer"]].sum())


if __name__ == "__main__":
    serve(answer, ("onnxruntime", "onnxruntime-genai"))
