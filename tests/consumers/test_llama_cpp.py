"""GGUF in llama.cpp: the same numbers, the same tokens, the same answers as in transformers."""

import dataclasses
import json

import numpy as np
import pytest
import torch
import transformers
from lm_eval.api.instance import Instance

from fineline.chat.settings import ChatSettings
from fineline.chat.tokens import chat_format
from fineline.errors import FinelineError, InputError
from fineline.export.conversion import Conversion
from fineline.export.format import Sources
from fineline.export.gguf import architectures, lora, model, pretokenizers, trial, vocabulary
from fineline.export.gguf.formats import Gguf, GgufAdapter
from fineline.export.trained import TrainedAdapter
from fineline.inference import llama_library, probe
from fineline.inference.fidelity import fidelity
from fineline.inference.llama_engine import LlamaEngine
from fineline.inference.llama_model import LlamaModel
from fineline.inference.packs import Pack, Prompts
from fineline.inference.scorer import Scorer
from fineline.inference.torch_engine import TorchEngine
from fineline.models import loading
from fineline.project.params.exporting import Export
from tests.consumers import tokenizers_of

pytestmark = pytest.mark.skipif(not llama_library.is_installed(), reason="xllamacpp is not installed")

SHAPE = {
    "vocab_size": 96,
    "hidden_size": 128,
    "intermediate_size": 192,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 32,
    "max_position_embeddings": 256,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}
EXPERTS = {"num_experts": 4, "num_local_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 64}
WINDOW = {"sliding_window": 8, "query_pre_attn_scalar": 32}
LLAMA3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
SCALES = {"attention_multiplier": 0.2, "embedding_multiplier": 3.0, "residual_multiplier": 0.5, "logits_scaling": 2.0}
FAMILIES = {
    "llama": ("Llama", {}),
    "llama-tied": ("Llama", {"tie_word_embeddings": True}),
    "llama-biases": ("Llama", {"attention_bias": True, "mlp_bias": True}),
    "llama3": ("Llama", {"rope_parameters": LLAMA3 | {"rope_theta": 5e5, "original_max_position_embeddings": 64}}),
    "llama-yarn": (
        "Llama",
        {"rope_parameters": {"rope_type": "yarn", "rope_theta": 1e4, "factor": 4.0, "original_max_position_embeddings": 64}},
    ),
    "mistral": ("Mistral", {"sliding_window": None}),
    "mixtral": ("Mixtral", EXPERTS | {"sliding_window": None}),
    "smollm3": ("SmolLM3", {}),
    "granite": ("Granite", SCALES),
    "qwen2": ("Qwen2", {}),
    "qwen2-moe": ("Qwen2Moe", EXPERTS | {"shared_expert_intermediate_size": 64}),
    "qwen3": ("Qwen3", {}),
    "qwen3-moe": ("Qwen3Moe", EXPERTS | {"norm_topk_prob": True}),
    "gemma": ("Gemma", {}),
    "gemma2": ("Gemma2", WINDOW),
    "gemma3": ("Gemma3Text", WINDOW | {"num_hidden_layers": 6}),
    "olmo2": ("Olmo2", {}),
    "lfm2": ("Lfm2", {"layer_types": ["conv", "full_attention"] * 2, "block_auto_adjust_ff_dim": False}),
}


def made(family, place, **more):
    """Return the directory of a small model with weights so large that every token depends on those before it."""
    name, own = FAMILIES[family]
    config = getattr(transformers, f"{name}Config")(**SHAPE | own | more)
    torch.manual_seed(0)
    fresh = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()
    next(trial._lively(iter([fresh]))).save_pretrained(place)
    return place


def with_tokenizer(family, kind, place, **more):
    """Return the directory of a small model with a trained tokenizer."""
    words = tokenizers_of.tokenizer(kind)
    ends = {"bos_token_id": words.bos_token_id, "eos_token_id": words.eos_token_id, "pad_token_id": words.pad_token_id}
    made(family, place, vocab_size=len(words) + 5, **ends | more)
    words.save_pretrained(place)
    return place


@pytest.mark.parametrize("family", FAMILIES)
def test_llama_cpp_computes_what_the_model_computes(family, tmp_path):
    found = trial.measured(made(family, tmp_path / "model"), tmp_path)
    assert trial.is_equal(found), found


@pytest.mark.parametrize(
    ("family", "wrong"),
    [
        ("llama", {"interleaved": False}),
        ("qwen3", {"interleaved": True}),
        ("gemma3", {"norms_from_zero": False}),
        ("granite", {"more": lambda values: architectures._granite(values | {"residual_multiplier": 1.0})}),
    ],
)
def test_a_file_that_is_written_wrongly_is_noticed(family, wrong, tmp_path, monkeypatch):
    directory = made(family, tmp_path / "model")
    kind = trial.text_values(directory)["model_type"]
    monkeypatch.setitem(architectures.FAMILIES, kind, dataclasses.replace(architectures.FAMILIES[kind], **wrong))
    assert not trial.is_equal(trial.measured(directory, tmp_path))


PROMPTS = [
    [{"role": "user", "content": "turn on the kitchen lamp"}],
    [{"role": "system", "content": "Answer in JSON."}, {"role": "user", "content": "  12345 lamps,\n\n\nplease\t!  "}],
    *([{"role": "user", "content": text}] for text in pretokenizers.TEXTS),
    [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": '<tool_call>{"x": 1}  two spaces'},
        {"role": "user", "content": "b <|im_end|> c"},
    ],
]


MARKS = next(text for text in pretokenizers.TEXTS if text.startswith("naïve"))
"""A text that the vocabularies of these kinds say llama.cpp tokenizes otherwise."""


@pytest.mark.parametrize("kind", tokenizers_of.KINDS)
def test_tokens_are_those_of_transformers(kind, tmp_path):
    directory = with_tokenizer("llama", kind, tmp_path / "model")
    model.build(directory, "fp16", tmp_path)
    chat, loaded = chat_format(directory), LlamaModel(tmp_path / model.MODEL)
    differs = bool(vocabulary.read(directory, trial.text_values(directory)["vocab_size"]).differences)
    assert differs == (kind in ("qwen2", "tekken", "gpt-4o"))
    for messages in PROMPTS:
        prompt = chat.prompt(messages)
        same = loaded.tokenize(prompt) == chat.tokenizer.ids(prompt)
        assert same != (differs and MARKS in prompt), prompt
    begin = chat.tokenizer.special.get("bos_token")
    prompt = chat.prompt(PROMPTS[0])
    whole = loaded.tokenize(prompt.removeprefix(begin or ""), add_special=True)
    assert whole == chat.tokenizer.ids(prompt)  # as the server of llama.cpp and Ollama send it
    assert all(loaded.ends(end) for end in chat.ends.values())


def test_an_adapter_on_its_base_is_what_peft_computes(tmp_path):
    import peft

    directory = with_tokenizer("llama", "gpt-2", tmp_path / "base")
    settings = peft.LoraConfig(
        r=4,
        lora_alpha=7,
        target_modules="all-linear",
        use_rslora=True,
        rank_pattern={"q_proj": 8},
        alpha_pattern={"down_proj": 3},
        init_lora_weights=False,
        task_type="CAUSAL_LM",
    )
    torch.manual_seed(0)
    adapted = peft.get_peft_model(loading.base_model(directory, precision="fp32"), settings).eval()
    adapted.save_pretrained(tmp_path / "adapter")
    model.build_adapter(tmp_path / "adapter", directory, "fp32", tmp_path)
    rows = trial._ROWS
    expected = list(probe.torch_logits(adapted, rows))
    engine = LlamaEngine(tmp_path, tmp_path / model.ADAPTER_FILE)
    assert trial.is_equal(fidelity(expected, engine.rows(rows)))
    assert not trial.is_equal(fidelity(expected, LlamaEngine(tmp_path).rows(rows)))  # the base alone
    assert "ADAPTER ./adapter.gguf" in (tmp_path / "Modelfile").read_text()


@pytest.mark.slow
def test_both_formats_are_made_measured_and_exact(tmp_path):
    import peft

    base = with_tokenizer("llama", "qwen2", tmp_path / "base")
    settings = peft.LoraConfig(r=4, target_modules=["q_proj", "up_proj"], init_lora_weights=False, task_type="CAUSAL_LM")
    torch.manual_seed(0)
    adapted = peft.get_peft_model(loading.base_model(base, precision="fp32"), settings)
    adapted.save_pretrained(tmp_path / "adapter")
    adapted.merge_and_unload().save_pretrained(tmp_path / "merged")
    tokenizers_of.tokenizer("qwen2").save_pretrained(tmp_path / "merged")
    tokens = [chat_format(base).tokenizer.ids(text) for text in ("turn on the lamp, please", "12 lamps")]
    trained = TrainedAdapter(base, tmp_path / "adapter", {"method": "lora"}, "qwen2", {})
    sources = Sources(tmp_path / "merged", trained, Export(), ChatSettings(), tokens)
    every = (Gguf(), GgufAdapter())
    directories = {form: tmp_path / "out" / form for one in every for form in one.forms}
    for directory in directories.values():
        directory.mkdir(parents=True)
    conversion = Conversion(sources, every, directories)
    conversion.run(tokens)
    assert not conversion.failures
    kl = {form: facts["mean_kl"] for form, facts in conversion.facts.items()}
    assert kl["gguf-adapter"] < 1e-4
    assert conversion.facts["gguf-adapter"]["parity"]["passed"]
    assert kl["gguf-f16"] < 1e-4
    assert conversion.facts["gguf-q4"]["bytes"] < conversion.facts["gguf-q8_0"]["bytes"]


def test_a_row_that_llama_cpp_tokenizes_otherwise_fails_the_format(tmp_path):
    directory = with_tokenizer("llama", "tekken", tmp_path / "model")
    model.build(directory, "fp16", tmp_path)
    ids = chat_format(directory).tokenizer.ids
    next(Gguf().probe(tmp_path, directory, [ids("turn on the lamp")]))
    with pytest.raises(FinelineError, match="tokenizes texts otherwise"):
        Gguf().probe(tmp_path, directory, [ids(MARKS)])


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"use_dora": True}, "use_dora"),
        ({"modules_to_save": ["lm_head"]}, "modules_to_save"),
        ({"peft_type": "IA3"}, "IA3 has no matrices A and B"),
        ({"bias": "all"}, "bias"),
    ],
)
def test_an_adapter_that_is_more_than_two_matrices_is_refused(change, reason, tmp_path):
    import peft

    directory = made("llama", tmp_path / "base")
    settings = peft.LoraConfig(r=4, target_modules=["q_proj"], task_type="CAUSAL_LM")
    peft.get_peft_model(loading.base_model(directory, precision="fp32"), settings).save_pretrained(tmp_path / "adapter")
    file = tmp_path / "adapter" / lora.CONFIG
    assert lora.refusal(tmp_path / "adapter", trial.text_values(directory)) is None
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    assert reason in lora.refusal(tmp_path / "adapter", trial.text_values(directory))


@pytest.fixture(scope="module")
def chat_model(tmp_path_factory):
    """A small model with a tokenizer, and its GGUF."""
    place = tmp_path_factory.mktemp("chat")
    directory = with_tokenizer("llama", "llama-bpe", place / "model")
    (place / "gguf").mkdir()
    model.build(directory, "fp32", place / "gguf")
    return directory, place / "gguf"


@pytest.mark.parametrize(
    ("family", "path"),
    [
        ("llama", "read by llama.cpp"),
        ("gemma3", "read by llama.cpp"),  # with windows, which the prompts exceed
        ("lfm2", "read by llama.cpp, sequences one at a time"),
    ],
)
def test_the_scorer_answers_as_with_the_model_itself(family, path, tmp_path):
    directory = with_tokenizer(family, "llama-bpe", tmp_path / "model")
    model.build(directory, "fp32", tmp_path)
    chat = chat_format(directory)
    contexts = [chat.prompt(messages) for messages in PROMPTS[:4]]
    words = ("on", " off", "12 lamps", "o")
    choices = [Instance("loglikelihood", {}, (context, word), 0) for context in contexts for word in words]
    asked = [Instance("generate_until", {}, (context, {"max_gen_toks": 6}), 0) for context in contexts]
    ours = Scorer(LlamaEngine(tmp_path), chat)
    theirs = Scorer(TorchEngine(loading.base_model(directory, precision="fp32"), "fp32"), chat)
    found, expected = ours.loglikelihood(choices), theirs.loglikelihood(choices)
    assert np.abs(np.subtract([score for score, _ in found], [score for score, _ in expected])).max() < 0.05
    assert [greedy for _, greedy in found] == [greedy for _, greedy in expected]
    assert ours.generate_until(asked) == theirs.generate_until(asked)
    assert ours.engine.path == path


def test_more_rows_than_sequences_are_generated(chat_model, monkeypatch):
    engine = LlamaEngine(chat_model[1])
    prompts = Prompts(Pack(2))
    paths = [(5, 6, 10 + row) for row in range(7)]
    prompts.paths += [prompts.pack.add(path[2:]) for path in paths]

    def written(limit):
        monkeypatch.setattr("fineline.inference.llama_engine._SEQUENCES", limit)
        tokens, rows = engine.open((5, 6), [prompts], 4)
        found = [tokens]
        for step in range(3):
            if step == 1:
                kept = np.array([6, 1, 2, 3, 4])
                engine.keep(rows, kept)
                tokens = tokens[kept]
            tokens = engine.write(rows, tokens)
            found.append(tokens)
        return [one.tolist() for one in found]

    assert written(4) == written(256)


def test_the_server_of_llama_cpp_answers_a_chat_as_it_was_judged(chat_model):
    import xllamacpp

    directory, into = chat_model
    chat, engine = chat_format(directory), LlamaEngine(into)
    expected = Scorer(engine, chat).generate_until(
        [Instance("generate_until", {}, (chat.prompt(PROMPTS[1]), {"max_gen_toks": 12}), 0)]
    )[0]
    settings = xllamacpp.CommonParams()
    settings.model.path = str(into / model.MODEL)
    settings.n_ctx, settings.n_parallel, settings.verbosity = 256, 1, -1
    settings.cpuparams.n_threads = settings.cpuparams_batch.n_threads = 1
    server = xllamacpp.Server(settings)
    answer = server.handle_chat_completions({"messages": PROMPTS[1], "max_tokens": 12})  # temperature from the file
    assert answer["choices"][0]["message"]["content"].strip() == expected.strip()


def test_each_precision_loads_and_is_smaller_than_the_one_before(chat_model, tmp_path):
    directory, _ = chat_model
    sizes, differences = [], []
    rows = trial._ROWS
    expected = list(probe.torch_logits(loading.base_model(directory, precision="fp32").eval(), rows))
    for precision in ("fp16", "int8", "int4"):
        into = tmp_path / precision
        into.mkdir()
        model.build(directory, precision, into)
        sizes.append(Gguf().deployable_size(into))
        differences.append(fidelity(expected, LlamaEngine(into).rows(rows)).mean_kl)
    assert sizes == sorted(sizes, reverse=True)
    assert differences == sorted(differences)
    assert Gguf().tokens_per_second(tmp_path / "int4", directory, [5, 6, 7]) > 0


def test_the_same_model_gives_the_same_bytes(chat_model, tmp_path):
    directory, into = chat_model
    model.build(directory, "fp32", tmp_path)
    assert (tmp_path / model.MODEL).read_bytes() == (into / model.MODEL).read_bytes()


def test_a_file_that_is_none_is_an_input_error(tmp_path):
    (tmp_path / model.MODEL).write_bytes(b"GGUF" + bytes(100))
    with pytest.raises(InputError, match=r"llama\.cpp cannot load it"):
        LlamaEngine(tmp_path)
