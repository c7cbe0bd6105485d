"""The tokenizer that ships is the one of the model, in words that older releases of transformers know."""

import json
from pathlib import Path

from transformers import AutoTokenizer

from fineline.export import tokenizer
from tests import zoo


def test_the_same_tokenizer_is_read_from_the_older_words(tmp_path: Path) -> None:
    model, into = tmp_path / "model", tmp_path / "into"
    into.mkdir()
    zoo.tiny_tokenizer().save_pretrained(model)
    tokenizer.write(model, into)
    written = json.loads((into / "tokenizer_config.json").read_text(encoding="utf-8"))
    assert written["tokenizer_class"] == "PreTrainedTokenizerFast"
    assert written["chat_template"] == (model / "chat_template.jinja").read_text(encoding="utf-8")
    assert "<|media_3|>" in written["additional_special_tokens"]
    assert "extra_special_tokens" not in written
    one, other = (AutoTokenizer.from_pretrained(place, local_files_only=True) for place in (model, into))
    text = "turn on<|media_3|> the lamp<|im_end|>"
    assert one(text)["input_ids"] == other(text)["input_ids"]
    assert set(one.all_special_tokens) == set(other.all_special_tokens)
    assert one.chat_template == other.chat_template


def test_words_that_older_releases_know_stay_as_they_are(tmp_path: Path) -> None:
    model, into = tmp_path / "model", tmp_path / "into"
    model.mkdir()
    into.mkdir()
    text = '{"tokenizer_class":"LlamaTokenizer",   "extra_special_tokens": {"image_token": "<image>"}}'
    (model / "tokenizer_config.json").write_text(text, encoding="utf-8")
    tokenizer.write_config(model, into)
    assert (into / "tokenizer_config.json").read_text(encoding="utf-8") == text
