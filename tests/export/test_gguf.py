"""GGUF without llama.cpp: what is refused, the precision of blocks, and the Modelfile of Ollama."""

import subprocess

import gguf
import numpy as np
import pytest
import transformers
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from fineline.chat.format import ChatFormat
from fineline.export.gguf import architectures, modelfile, pretokenizers, quantization, tensors, vocabulary, writing
from fineline.export.gguf.formats import Gguf, GgufAdapter
from fineline.export.gguf.unsupported import Unsupported
from fineline.project.params.exporting import Export
from tests.chat import templates
from tests.inference import families


@pytest.fixture(scope="module")
def weights():
    return np.random.default_rng(0).standard_t(4, (64, 256)).astype(np.float32)


@pytest.mark.parametrize(("kind", "own"), [("Q4_0", quantization.q4_0), ("Q4_1", quantization.q4_1)])
def test_fitted_blocks_are_read_by_gguf_and_nearer_than_its_own(kind, own, weights):
    number = gguf.GGMLQuantizationType[kind]
    theirs = gguf.quants.quantize(weights, number)
    ours = own(weights)
    assert ours.shape == theirs.shape

    def error(packed):
        return np.square(gguf.quants.dequantize(packed, number) - weights).mean()

    assert error(ours) < 0.95 * error(theirs)


@pytest.mark.parametrize("own", [quantization.q4_0, quantization.q4_1])
@pytest.mark.parametrize("value", [0.0, 0.25, -3.0])
def test_constant_blocks_are_kept(own, value):
    kind = gguf.GGMLQuantizationType.Q4_0 if own is quantization.q4_0 else gguf.GGMLQuantizationType.Q4_1
    found = gguf.quants.dequantize(own(np.full((2, 64), value, dtype=np.float32)), kind)
    assert np.abs(found - value).max() <= 1e-3 * abs(value)


def test_every_pre_tokenizer_is_found_by_its_cuts():
    for known in pretokenizers.KNOWN:
        tokenizer = Tokenizer(models.BPE(ignore_merges=known.whole_words))
        tokenizer.pre_tokenizer = known.build()
        assert pretokenizers.find(tokenizer) == known


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda inner: setattr(inner, "normalizer", normalizers.Lowercase()), "no normalizer Lowercase"),
        (
            lambda inner: setattr(
                inner,
                "pre_tokenizer",
                pre_tokenizers.Sequence([pre_tokenizers.Punctuation(), pre_tokenizers.ByteLevel(use_regex=False)]),
            ),
            "none of llama.cpp's pre-tokenizers",
        ),
        (lambda inner: setattr(inner, "pre_tokenizer", pre_tokenizers.WhitespaceSplit()), "neither byte-level BPE nor"),
    ],
)
def test_a_tokenizer_that_llama_cpp_lacks_is_refused(change, reason, tiny_base, tmp_path):
    loaded = transformers.AutoTokenizer.from_pretrained(tiny_base)
    change(loaded.backend_tokenizer)
    loaded.save_pretrained(tmp_path)
    with pytest.raises(vocabulary.Untranslatable, match=reason):
        vocabulary.read(tmp_path, 400)


def test_words_without_pieces_and_small_embeddings_are_refused(tiny_base, tmp_path):
    families.tokenizer().save_pretrained(tmp_path)
    with pytest.raises(vocabulary.Untranslatable, match="WordLevel"):
        vocabulary.read(tmp_path, 400)
    with pytest.raises(vocabulary.Untranslatable, match="embedding has 100 rows"):
        vocabulary.read(tiny_base, 100)


def test_padding_of_the_vocabulary_is_unused(tiny_base):
    size = len(transformers.AutoTokenizer.from_pretrained(tiny_base))
    found = vocabulary.read(tiny_base, size + 2)
    assert found.tokens[-2:] == [f"[PAD{size}]", f"[PAD{size + 1}]"]
    assert found.types[-2:] == [vocabulary.UNUSED] * 2
    assert found.types[found.special["eos"]] == vocabulary.CONTROL
    assert not found.add_bos


@pytest.mark.parametrize(
    ("name", "more", "reason"),
    [
        ("GPTNeoX", {}, "no mapping of the family gpt_neox"),
        ("Qwen3Moe", {"norm_topk_prob": False}, "does not normalize"),
        ("Qwen3Moe", {"norm_topk_prob": True, "mlp_only_layers": [0]}, "do not all have experts"),
        ("Gemma3Text", {"query_pre_attn_scalar": 16, "head_dim": 8}, "scaled by 16"),
        ("SmolLM3", {"no_rope_layers": [0, 1]}, "each fourth"),
        ("Llama", {"rope_parameters": {"rope_type": "dynamic", "rope_theta": 1e4, "factor": 2.0}}, "kind dynamic"),
        ("Llama", {"hidden_act": "relu"}, "activation"),
    ],
)
def test_a_configuration_that_no_graph_computes_is_refused(name, more, reason):
    values = getattr(transformers, f"{name}Config")(**families.SHAPE | more).to_dict()
    with pytest.raises(Unsupported, match=reason):
        architectures.metadata(values)


def test_a_tensor_without_a_place_is_refused():
    values = transformers.LlamaConfig(**families.SHAPE).to_dict()
    with pytest.raises(Unsupported, match=r"model\.layers\.0\.extra\.weight has no place"):
        tensors.sources({"model.layers.0.extra.weight": (4, 4)}, values)


def test_the_context_ends_with_a_window_that_the_graph_lacks():
    values = transformers.MistralConfig(**families.SHAPE | {"sliding_window": 64}).to_dict()
    assert architectures.metadata(values)["context_length"] == 64
    values = transformers.Gemma3TextConfig(**families.SHAPE | {"sliding_window": 64, "query_pre_attn_scalar": 8}).to_dict()
    assert architectures.metadata(values)["context_length"] == 256


@pytest.mark.parametrize("name", ["CHATML", "NO_END", "CHANNELS", "CLOSES_BLOCK"])
def test_a_template_of_fixed_texts_is_expressed_for_ollama(name):
    chat = ChatFormat(templates.tokenizer_with(getattr(templates, name), ["<|im_end|>"]))
    found = modelfile.turn_template(chat)
    messages = [
        {"role": role, "content": f"text {number}"}
        for number, role in enumerate(("system", "user", "assistant", "user", "assistant", "user"))
    ]
    for part in (messages, messages[1:], messages[:2], messages[1:2]):
        assert found.render(part) == chat.prompt(part)


@pytest.mark.parametrize("name", ["LOSES_SYSTEM", "SYSTEM_LAST", "ASKS_DATE"])
def test_a_template_that_does_more_is_reported(name):
    chat = ChatFormat(templates.tokenizer_with(getattr(templates, name), ["<|im_end|>"]))
    assert modelfile.turn_template(chat) is None
    text, missing = modelfile.write("model.gguf", chat, ["<|im_end|>"])
    assert "TEMPLATE" not in text.replace(missing, "")
    assert "no TEMPLATE" in missing


def test_a_modelfile_has_the_ends_and_greedy_decoding():
    chat = ChatFormat(templates.tokenizer_with(templates.CHATML, ["<|im_end|>", "<eos>"]))
    text, missing = modelfile.write("model.gguf", chat, ["<|im_end|>", 'a"b\n'], adapter="adapter.gguf")
    assert not missing
    assert text == (
        "FROM ./model.gguf\n"
        "ADAPTER ./adapter.gguf\n"
        'TEMPLATE """{{ range .Messages }}{{ if eq .Role "system" }}<|im_start|>system\n{{ .Content }}<|im_end|>\n'
        '{{ else if eq .Role "user" }}<|im_start|>user\n{{ .Content }}<|im_end|>\n'
        '{{ else if eq .Role "assistant" }}<|im_start|>assistant\n{{ .Content }}<|im_end|>\n'
        '{{ end }}{{ end }}<|im_start|>assistant\n"""\n'
        'PARAMETER stop "<|im_end|>"\n'
        'PARAMETER stop "a\\"b\\n"\n'
        "PARAMETER temperature 0\nPARAMETER top_k 1\nPARAMETER repeat_penalty 1\n"
    )


def directory(place, name, tokenizer, **more):
    """A model directory without weights."""
    values = {"hidden_size": 64, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16, "vocab_size": 400}
    config = getattr(transformers, f"{name}Config")(**families.SHAPE | values | more)
    config.architectures = [f"{name}ForCausalLM"]
    config.save_pretrained(place)
    tokenizer.save_pretrained(place)
    return place


@pytest.fixture
def words(tiny_base):
    return transformers.AutoTokenizer.from_pretrained(tiny_base)


def test_a_model_is_tried_once_and_then_remembered(tmp_path, words, monkeypatch):
    pytest.importorskip("xllamacpp", reason="xllamacpp is not installed")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    model = directory(tmp_path / "model", "Llama", words)
    assert Gguf().refusal(model, Export(), "lora") is None

    def not_again(*_, **__):
        raise AssertionError

    monkeypatch.setattr(subprocess, "run", not_again)
    assert GgufAdapter().refusal(model, Export(), "qlora") is None
    assert "no serving" not in GgufAdapter().refusal(model, Export(), "dora").reason
    assert "gguf`" in GgufAdapter().refusal(model, Export(), "ia3").instead


def test_a_model_of_another_family_or_tokenizer_is_refused_with_the_reason(tmp_path, words):
    pytest.importorskip("xllamacpp", reason="xllamacpp is not installed")
    model = directory(tmp_path / "one", "GPTNeoX", words)
    assert "gpt_neox" in Gguf().refusal(model, Export(), "lora").reason
    model = directory(tmp_path / "other", "Llama", families.tokenizer())
    assert "WordLevel" in Gguf().refusal(model, Export(), "lora").reason


def test_a_small_model_keeps_more_bits_than_a_large_one():
    kinds = gguf.GGMLQuantizationType

    def types(shapes):
        recipe = writing.recipe_of("int4", shapes)
        names = ("token_embd", "blk.0.attn_q", "blk.0.ffn_down", "blk.0.ffn_up", "blk.0.attn_norm", "blk.0.ffn_gate_inp")
        return [recipe.type_of(tensors.Source(f"{name}.weight", (64, 64), ())).name for name in names]

    assert types({"a": (64, 64)}) == ["Q8_0", "Q8_0", "Q5_1", "Q4_0", "F32", "F32"]
    assert types({"a": (40_000, 40_000)}) == ["Q8_0", "Q4_0", "Q4_1", "Q4_0", "F32", "F32"]
    odd = tensors.Source("blk.0.ffn_up.weight", (64, 40), ())
    assert writing.recipe_of("int8", {}).type_of(odd) == kinds.F16  # not a multiple of a block
