"""Rotary positions of a model as metadata of GGUF, and the factors of Llama 3's scaling as a tensor."""

from math import pi
from typing import Any

from fineline.export.gguf.unsupported import Unsupported, Values


def metadata(values: Values) -> dict[str, Any]:
    """Return the metadata of rotary positions.

    Raises:
        Unsupported: llama.cpp does not have this kind of scaling.
    """
    given: Values = values.get("rope_parameters") or {}
    local: Values | None = given.get("sliding_attention")
    main: Values = given.get("full_attention") or given
    head = values.get("head_dim") or values["hidden_size"] // values["num_attention_heads"]
    found: dict[str, Any] = {"rope_freq_base": float(main.get("rope_theta", 10000.0))}
    found["rope_dimension_count"] = int(head * main.get("partial_rotary_factor", 1.0))
    if local and local.get("rope_theta"):
        found["rope_freq_base_swa"] = float(local["rope_theta"])
        if local.get("rope_type", "default") != "default":
            raise Unsupported("llama.cpp scales no positions in layers with a window")
    kind = main.get("rope_type", "default")
    if kind == "linear":
        found |= {"rope_scaling_type": "linear", "rope_scaling_factor": float(main["factor"])}
    elif kind == "yarn":
        found |= {"rope_scaling_type": "yarn", "rope_scaling_factor": float(main["factor"])}
        found["rope_scaling_orig_ctx_len"] = int(
            main.get("original_max_position_embeddings") or values["max_position_embeddings"]
        )
        for key, name in (("beta_fast", "yarn_beta_fast"), ("beta_slow", "yarn_beta_slow")):
            if main.get(key) is not None:
                found[f"rope_scaling_{name}"] = float(main[key])
    elif kind not in ("default", "llama3"):
        raise Unsupported(f"llama.cpp has no scaling of positions of the kind {kind} for this family")
    return found


def factors(values: Values) -> list[float] | None:
    """Return by what the frequency of each pair of rows is divided, for Llama 3's scaling of positions; None without it.

    The formula is transformers' `_compute_llama3_parameters`.
    """
    given = values.get("rope_parameters") or {}
    if given.get("rope_type") != "llama3":
        return None
    size = metadata(values)["rope_dimension_count"]
    original, factor = given["original_max_position_embeddings"], given["factor"]
    low, high = given["low_freq_factor"], given["high_freq_factor"]
    found = []
    for place in range(0, size, 2):
        wavelength = 2 * pi * given["rope_theta"] ** (place / size)
        if wavelength < original / high:
            found.append(1.0)
        elif wavelength > original / low:
            found.append(float(factor))
        else:
            smooth = (original / wavelength - low) / (high - low)
            found.append(1 / ((1 - smooth) / factor + smooth))
    return found
