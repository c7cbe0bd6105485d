"""What single families require beyond the sizes: sections of rotary embeddings, periods of layers, vision towers."""

from typing import Any

_MAMBA = {"mamba_n_heads": 4, "mamba_d_head": 32}
_BOTH = {kind: {"rope_type": "default", "rope_theta": 10000.0} for kind in ("full_attention", "sliding_attention")}
_INDEXER = {
    "indexer_budget": 8,
    "indexer_compress_ratio": 4,
    "indexer_n_heads": 4,
    "indexer_kv_heads": 1,
    "indexer_head_dim": 16,
}
_SHARED = {  # the upper half of the layers reads the keys and values of the lower
    "num_hidden_layers": 4,
    "layer_types": ["sliding_attention", "full_attention"] * 2,
    "num_kv_shared_layers": 2,
    "intermediate_size": [64] * 4,
    "activation_sparsity_pattern": [0.95, 0.95, 0.0, 0.0],
}
_SECTIONS = [2, 3, 3]  # of half a head
_CHANNELS = {"channel_multiplier": [1, 1], "base_channels": 32, "num_res_blocks": 1, "resolution": 16}

DEFAULTS: dict[str, dict[str, Any]] = {
    "dots1": {"n_routed_experts": 4, "n_shared_experts": 1},
    "gemma4_assistant": {  # it drafts for another model, whose keys and values it reads
        "text_config": {"model_type": "gemma4_text", "hidden_size_per_layer_input": 0, "vocab_size_per_layer_input": 0}
    },
}
"""Model type -> values without which its default configuration does not exist."""
VALUES: dict[str, dict[str, Any]] = {
    "bamba": _MAMBA | {"attn_layer_indices": [1]},
    "blt": {"encoder_hash_byte_group_vocab": 500},
    "chameleon": {"vocabulary_map": {"<image>": 384, "IMGIMGA": 385}}
    | {f"vq_config.{key}": value for key, value in _CHANNELS.items()},
    "cohere_compass": {"text_config.rope_parameters": _BOTH},
    "cohere_compass_text": {"rope_parameters": _BOTH},
    "dbrx": {"attn_config.rope_theta": 10000.0, "attn_config.clip_qkv": 8.0},
    "deepseek_ocr2": {"text_config.mlp_layer_types": ["dense", "sparse"], "text_config.num_experts_per_tok": 2},
    "deepseek_v2": {"num_experts_per_tok": 2},
    "dots1": {"n_routed_experts": 4, "n_shared_experts": 1, "moe_intermediate_size": 64, "num_experts_per_tok": 2},
    "emu3": {"vocabulary_map": {"<image>": 384, "<|extra_200|>": 385, "<|visual token 000000|>": 386}}
    | {f"vq_config.{key}": value for key, value in _CHANNELS.items()},
    "ernie4_5_vl_moe": {"text_config.rope_parameters.mrope_section": [3, 3, 2]},
    "diffusion_gemma": {"text_config.num_experts": 4, "text_config.top_k_experts": 2, "text_config.moe_intermediate_size": 64},
    "dots3_note": {"text_config.head_dim": 32},
    "dots3_note_text": {"head_dim": 32},
    "falcon_h1": {"mamba_d_ssm": 64, "mamba_n_heads": 4, "mamba_d_head": 16},
    "gemma3n": {f"text_config.{key}": value for key, value in _SHARED.items()},
    "gemma3n_text": _SHARED,
    "gemma4_assistant": {"text_config.vocab_size_per_layer_input": 0, "text_config.num_kv_shared_layers": 2},
    "glm46v": {"text_config.rope_parameters.mrope_section": _SECTIONS},
    "glm4v": {"text_config.rope_parameters.mrope_section": _SECTIONS},
    "glm4v_moe": {"text_config.rope_parameters.mrope_section": [1, 1, 2]},
    "glm_ocr": {"text_config.rope_parameters.mrope_section": _SECTIONS},
    "granite4_vision": {"deepstack_layer_map": [[0, 0], [1, 1]], "spatial_target_layers": [0, 1], "downsample_rate": "1/2"},
    "granitemoehybrid": _MAMBA | {"layer_types": ["linear_attention", "full_attention"]},
    "hrm_text": {"num_hidden_layers": 16, "num_layers_per_stack": 2},
    "hunyuan_vl": {"text_config.rope_parameters.mrope_section": [2, 2, 2, 2]},
    "inkling_mm_model": {"audio_config.n_mel_bins": 8, "audio_config.mel_vocab_size": 8},
    "jamba": {"attn_layer_period": 2, "attn_layer_offset": 1},
    "lfm2_moe": {"layer_types": ["conv", "full_attention"], "num_dense_layers": 1},
    "longcat_flash": {"head_dim": 16},
    "mamba2": {"num_heads": 8},
    "molmo2": {"adapter_config.vision_feature_layer": [-1, -2]},
    "nemotron": {"num_key_value_heads": 2},
    "paddleocr_vl": {"text_config.rope_parameters.mrope_section": _SECTIONS},
    "perception_lm": {
        "vision_config.architecture": "vit_pe_core_large_patch14_336",
        "vision_config.model_args": {"embed_dim": 64, "depth": 2, "num_heads": 4, "img_size": [56, 56]}
        | {"ref_feat_shape": [4, 4]},
    },
    "qwen2_5_omni_thinker": {"vision_start_token_id": 390, "text_config.rope_parameters.mrope_section": _SECTIONS},
    "qwen2_5_vl": {"text_config.rope_parameters.mrope_section": _SECTIONS},
    "qwen3_omni_moe_thinker": {"vision_start_token_id": 390},
    "qwen2_vl": {"text_config.rope_parameters.mrope_section": _SECTIONS},
    "qwen4_exp": {f"text_config.{key}": value for key, value in _INDEXER.items()},
    "qwen4_exp_text": _INDEXER,
    "recurrent_gemma": {"num_hidden_layers": 3},
    "reformer": {"axial_pos_shape": [16, 32], "axial_pos_embds_dim": [16, 48]},
    "step3p7": {"text_config.sliding_window": 8},
    "udop": {"decoder_start_token_id": 0},
    "xlstm": {"qk_dim_factor": 1.0},
    "xmod": {"default_language": "en_XX"},
    "zamba": {"num_hidden_layers": 3, "layers_block_type": ["linear_attention", "hybrid", "hybrid"]},
    "zamba2": {"num_hidden_layers": 3, "layers_block_type": ["linear_attention", "hybrid", "hybrid"]},
}
"""Model type -> values of the tiny model; a key with dots is one of a part."""


def adjust(model_type: str, kind: str, values: dict[str, Any]) -> dict[str, Any]:
    """Return the values of a configuration with those that the family requires."""
    wanted = DEFAULTS if kind == "default" else VALUES
    for path, value in wanted.get(model_type, {}).items():
        *parts, name = path.split(".")
        place = values
        for part in parts:
            if place.get(part) is None:
                place[part] = {}
            place = place[part]
        place[name] = value
    return values
