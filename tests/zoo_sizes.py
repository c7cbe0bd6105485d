"""How a published configuration shrinks: every size by its name, every list of layers to one layer of each kind."""

from typing import Any

HIDDEN, HEADS, KV_HEADS, HEAD_DIM, LAYERS, EXPERTS, WINDOW = 64, 4, 2, 16, 2, 4, 8
BOS, EOS, PAD = 1, 2, 0
MEDIA = 16
"""Number of tokens at the end of the vocabulary that mark images, sound and the like."""

_BY_NAME: list[tuple[int, str]] = [
    (HIDDEN, """hidden_size d_model n_embd embed_dim embedding_size embedding_dim emb_dim dim word_embed_proj_dim text_embed_dim
        input_embedding_size output_embedding_size encoder_hidden_size out_hidden_size text_hidden_size
        vision_hidden_size lru_width output_dim vision_output_dim projection_dim projector_hidden_size
        image_token_embed_dim intermediate_size d_inner dim_ff d_ff dff ffn_dim n_inner moe_intermediate_size
        encoder_ffn_dim decoder_ffn_dim mlp_dim ffn_hidden_size expert_ffn_hidden_size shared_expert_intermediate_size
        shared_intermediate_size dense_intermediate_size intermediate_size_mlp moe_shared_expert_intermediate_size
        shared_experts_intermediate_size feed_forward_size projector_input_dim projector_output_dim
        projection_hidden_size projection_intermediate_size backbone_hidden_size alignment_intermediate_size
        merged_hidden_size moe_hidden_size share_expert_dim image_text_hidden_size d_ssm hidden_size_global
        adapter_out_dim adapter_in_dim adapter_input_size projection_hidden_dim patch_embed_hidden_size decoder_hidden_size
        mamba_d_ssm input_size router_hidden_size pooler_output_size output_channels pronunciation_embed_dim
        shape_embed_dim prompt_mid_dim downsample_hidden_size position_embedding_size classifier_proj_size"""),
    (LAYERS, """num_hidden_layers n_layer n_layers num_layers layers encoder_layers decoder_layers depth num_encoder_layers
        num_decoder_layers num_global_layers resampler_depth conf_num_hidden_layers num_blocks aligner_num_add_layers
        num_mem_blocks"""),
    (HEADS, """num_attention_heads n_head n_heads num_heads encoder_attention_heads decoder_attention_heads attention_heads
        num_encoder_attention_heads num_decoder_attention_heads swa_num_attention_heads linear_num_heads
        linear_num_value_heads resampler_n_heads resampler_heads num_sliding_attention_heads index_n_heads n_mamba_heads
        conf_num_attention_heads"""),
    (KV_HEADS, """num_key_value_heads swa_num_key_value_heads num_kv_heads kv_n_heads linear_num_key_heads num_query_groups
        num_global_key_value_heads num_attention_groups"""),
    (HEAD_DIM, """head_dim v_head_dim qk_nope_head_dim qk_rope_head_dim swa_head_dim d_kv d_head dim_head kv_channels
        linear_head_dim linear_key_head_dim linear_value_head_dim resampler_head_dim resampler_dim_head
        attention_head_size index_head_dim attention_head_dim global_head_dim kv_lora_rank q_lora_rank o_lora_rank
        state_size ssm_state_size mamba_d_state time_step_rank mamba_dt_rank rotary_dim adapter_rank gated_norm_rank
        laurel_rank hc_lowrank chunk_size mamba_chunk_size block_size codebook_dim vector_quantization_hidden_dimension
        hidden_size_per_layer_input swa_v_head_dim rope_head_dim nope_head_dim swa_qk_rope_head_dim swa_qk_nope_head_dim
        latent_query_num num_query_tokens"""),
    (EXPERTS, """num_experts n_routed_experts num_local_experts moe_num_experts num_routed_experts zero_expert_num num_centroids
        mamba_num_heads mamba_n_heads upsample_groups"""),
    (2, """num_experts_per_tok num_experts_per_token moe_topk moe_k moe_top_k centroid_intermediate_top_k num_codebooks
        max_window_layers num_random_blocks o_groups index_topk_blocks n_groups heads_per_ngram"""),
    (1, """num_dense_layers first_k_dense_replace n_group topk_group num_expert_group num_shared_experts n_shared_experts
        moe_num_shared_experts moe_layer_start_index mamba_n_groups mamba_ngroups first_num_dense_layers
        num_nextn_predict_layers"""),
    (WINDOW, """sliding_window sliding_window_size attention_window_size attention_chunk_size local_attention index_topk
        index_kpool keep_window_size local_attention_window_len index_block_size local_attn_chunk_length
        lsh_attn_chunk_length"""),
    (512, """max_position_embeddings n_positions n_ctx max_seq_len context_length model_max_length max_target_positions
        max_sequence_length position_bias_max_distance rel_extent"""),
    (32, """image_size crop_size resolution max_source_positions base_channels num_filters codebook_size audio_vocab_size
        num_embeddings pronunciation_vocab_size shape_vocab_size"""),
    (8, "patch_size prompt_length"),
]  # fmt: skip
SIZES = {name: size for size, names in _BY_NAME for name in names.split()}
"""Name of a size in a configuration -> its value in a tiny model."""
DRAWN = dict.fromkeys(("initializer_range", "init_std", "embed_init_std"), 0.05)
"""Larger random weights than the published, so that windows, routers and caps show in the logits of a tiny model."""
_COUNTS = ("num_hidden_layers", "n_layer", "n_layers", "num_layers", "layers", "decoder_layers", "depth", "num_blocks")
_KINDS = (
    "layer_types",
    "layers_block_type",
    "mlp_layer_types",
    "indexer_types",
    "block_types",
    "attn_layers",
    "attention_layers",
)
_DERIVED = ("qk_head_dim", "swa_qk_head_dim", "mamba_headdim", "hybrid_layer_ids", "attention_hidden_size")
_MAY_BE_ZERO = (
    "num_nextn_predict_layers",
    "first_k_dense_replace",
    "num_dense_layers",
    "num_shared_experts",
    "n_shared_experts",
    "shared_intermediate_size",
    "moe_layer_start_index",
)


def shrink(config: dict[str, Any], vocabulary: int) -> dict[str, Any]:
    """Return a configuration and its parts with tiny sizes.

    Args:
        vocabulary: Number of tokens.
    """
    media = iter(range(vocabulary - MEDIA, vocabulary))
    return _shrunk(config, vocabulary, media, {})


def _shrunk(config: dict[str, Any], vocabulary: int, media: Any, seen: dict[int, int]) -> dict[str, Any]:
    chosen, length = _layers(config)
    result: dict[str, Any] = {}
    for name, value in config.items():
        if name in _DERIVED or (name == "head_dim" and value and value == config.get("qk_head_dim")):
            continue  # from the sizes that remain
        if name == "per_layer_config" and isinstance(value, dict):
            single = _single(config)
            kept = {str(new): single[old] for new, old in enumerate(chosen) if old in single}
            result[name] = {layer: _shrunk(one, vocabulary, media, seen) for layer, one in kept.items()}
        elif isinstance(value, dict):
            result[name] = _rope(value, config) if "rope" in name else _shrunk(value, vocabulary, media, seen)
        elif isinstance(value, list) and length and len(value) == length and not name.endswith(("ids", "tokens")):
            result[name] = [value[index] for index in chosen]
        else:
            result[name] = _value(name, value, vocabulary, media, seen)
    if "kv_lora_rank" in config and "num_key_value_heads" in result:
        result["num_key_value_heads"] = HEADS  # latent attention (MLA) has no groups
    for name in _COUNTS:
        if chosen and config.get(name) == length:
            result[name] = len(chosen)
    return result


def _value(name: str, value: Any, vocabulary: int, media: Any, seen: dict[int, int]) -> Any:
    if name in DRAWN:
        return DRAWN[name]
    if value is None and name == "head_dim":
        return HEAD_DIM
    if isinstance(value, bool | str) or value is None or not isinstance(name, str):
        return value
    if name.endswith(("token_id", "token_index", "token_idx", "tokens_id")) or name in ("image_patch_id", "im_start_id"):
        return _token(name, value, media, seen)
    if name.endswith("token_ids") and isinstance(value, list):
        return [_token(name, one, media, seen) for one in value]
    words = name.endswith("vocab_size") and name not in SIZES and name != "type_vocab_size"
    if words or name == "vocab_size_per_layer_input":
        return vocabulary if isinstance(value, int) else value
    if name in SIZES and isinstance(value, int) and not (value == 0 and name in _MAY_BE_ZERO):
        return min(value, SIZES[name]) if value > 0 else value
    return value


def _token(name: str, value: Any, media: Any, seen: dict[int, int]) -> Any:
    """Return the id of a special token in the tiny vocabulary; the same id stays the same token."""
    if isinstance(value, list):
        return [_token(name, one, media, seen) for one in value][:1]
    plain = name.lstrip("_")
    for start, token in (("bos", BOS), ("decoder_start", BOS), ("eos", EOS), ("forced_eos", EOS), ("pad", PAD)):
        if plain.startswith(start):
            return token
    if value < 0:
        return value
    if value not in seen:
        seen[value] = next(media)
    return seen[value]


def _layers(config: dict[str, Any]) -> tuple[list[int], int]:
    """Return the layers to keep, one of each kind and at least two, and the number of layers before."""
    count = next((config[name] for name in _COUNTS if isinstance(config.get(name), int)), 0)
    kinds = [config[name] for name in _KINDS if isinstance(config.get(name), list) and len(config[name]) == count]
    if not kinds:
        return ([*range(min(LAYERS, count))], count) if count else ([], 0)
    first: dict[tuple[str, ...], int] = {}
    single = _single(config)
    for index in range(count):
        first.setdefault((*(str(kind[index]) for kind in kinds), str(single.get(index))), index)
    chosen = sorted(first.values())
    for index in range(count):
        if len(chosen) >= LAYERS:
            break
        if index not in chosen:
            chosen = sorted([*chosen, index])
    return chosen, count


def _single(config: dict[str, Any]) -> dict[int, Any]:
    """Return the values of single layers."""
    return {int(layer): values for layer, values in (config.get("per_layer_config") or {}).items()}


def _rope(rope: dict[str, Any], config: dict[str, Any]) -> dict[str, Any]:
    """Return the parameters of rotary embeddings with sections that fit the smaller heads."""
    result = dict(rope)
    before = config.get("head_dim") or config.get("hidden_size", 0) // max(config.get("num_attention_heads") or 1, 1)
    for name, value in rope.items():
        if isinstance(value, dict):
            result[name] = _rope(value, config)
        elif name.endswith("section") and isinstance(value, list) and before:
            total = max(len(value), sum(value) * HEAD_DIM // before)
            parts = [max(1, one * total // sum(value)) for one in value]
            parts[0] += total - sum(parts)
            result[name] = parts
    return result
