"""The number of tokens that published base models were trained on, to put the size of a fine-tuning run into proportion.

Sources: the models' cards and reports. SmolLM 2407; SmolLM2 arXiv 2502.02737; Llama 2307.09288 and 2407.21783; Qwen 2412.15115
and 2505.09388; Gemma 2408.00118 and 2503.19786; Phi 2404.14219; OLMo 2 2501.00656; TinyLlama 2401.02385; Pythia 2304.01373.
Mistral has not published it.
"""

_T = 10**12
_TOKENS = {
    "smollm-135m": 0.6 * _T,
    "smollm-360m": 0.6 * _T,
    "smollm-1.7b": _T,
    "smollm2-135m": 2 * _T,
    "smollm2-360m": 4 * _T,
    "smollm2-1.7b": 11 * _T,
    "smollm3-3b": 11.2 * _T,
    "llama-2": 2 * _T,
    "llama-3": 15 * _T,
    "llama-3.1": 15 * _T,
    "llama-3.2": 9 * _T,
    "llama-3.3": 15 * _T,
    "qwen2.5": 18 * _T,
    "qwen3": 36 * _T,
    "gemma-2-2b": 2 * _T,
    "gemma-2-9b": 8 * _T,
    "gemma-2-27b": 13 * _T,
    "gemma-3-1b": 2 * _T,
    "gemma-3-4b": 4 * _T,
    "gemma-3-12b": 12 * _T,
    "gemma-3-27b": 14 * _T,
    "phi-3-mini": 3.3 * _T,
    "olmo-2-1124-7b": 4 * _T,
    "olmo-2-1124-13b": 5 * _T,
    "tinyllama": 3 * _T,
    "pythia": 0.3 * _T,
}


def training_tokens(*names: str) -> float | None:
    """Return the number of tokens that a base was trained on, by the longest entry found in its names; None if unknown."""
    spelled = [name.lower().replace("_", "-") for name in names]
    found = [entry for entry in _TOKENS if any(entry in name for name in spelled)]
    return _TOKENS[max(found, key=len)] if found else None
