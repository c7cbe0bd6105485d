"""How fast an exported model writes, with the runtime it is shipped for."""

import time
from pathlib import Path

PROMPT_TOKENS = 32
NEW_TOKENS = 64


def tokens_per_second(directory: Path, prompt: list[int]) -> float:
    """Decoding speed of onnxruntime-genai for one request: NEW_TOKENS after PROMPT_TOKENS, greedy, second of two runs."""
    import onnxruntime_genai

    model = onnxruntime_genai.Model(str(directory))
    start = (prompt * PROMPT_TOKENS)[:PROMPT_TOKENS]
    seconds = 0.0
    for _ in range(2):
        parameters = onnxruntime_genai.GeneratorParams(model)
        length = PROMPT_TOKENS + NEW_TOKENS + 1
        parameters.set_search_options(max_length=length, min_length=length, do_sample=False)
        generator = onnxruntime_genai.Generator(model, parameters)
        generator.append_tokens(start)
        generator.generate_next_token()
        began = time.perf_counter()
        for _ in range(NEW_TOKENS - 1):
            generator.generate_next_token()
        seconds = time.perf_counter() - began
    return (NEW_TOKENS - 1) / seconds
