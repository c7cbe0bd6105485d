"""Scoring with onnxruntime on a graph of the onnxruntime-genai model builder: the exported model as it ships."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from pipelines.errors import InputError


class OnnxEngine:
    """A `model.onnx` with grouped-query attention.

    The attention operator takes each row's length from its attention mask and writes new keys right behind the row's last
    real token, so right-padded rows of different lengths stay exact over any number of steps.
    """

    def __init__(self, directory: Path) -> None:
        config = json.loads((directory / "genai_config.json").read_text(encoding="utf-8"))["model"]
        decoder = config["decoder"]
        self.context_length = int(config["context_length"])
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        try:
            self.session = onnxruntime.InferenceSession(
                directory / decoder["filename"], options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime has no common exception class
            raise InputError(f"{directory}: onnxruntime cannot load it: {error}") from error
        self._inputs = {value.name: value for value in self.session.get_inputs()}
        self._outputs = [value.name for value in self.session.get_outputs()]
        self._layers = int(decoder["num_hidden_layers"])
        self._cache_shape = (int(decoder["num_key_value_heads"]), int(decoder["head_size"]))
        self._cache_type = np.float16 if "float16" in self._inputs["past_key_values.0.key"].type else np.float32

    def start(self, input_ids: np.ndarray, lengths: np.ndarray) -> tuple[np.ndarray, Any]:
        """See `Engine.start`."""
        heads, size = self._cache_shape
        empty = np.zeros((len(lengths), heads, 0, size), dtype=self._cache_type)
        mask = (np.arange(input_ids.shape[1]) < lengths[:, None]).astype(np.int64)
        logits, cache = self._run(input_ids, mask, np.zeros(len(lengths), dtype=np.int64), [empty] * (2 * self._layers))
        return logits[np.arange(len(lengths)), lengths - 1].astype(np.float32), cache

    def logits(self, input_ids: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        """Logits after every token of rows encoded at once (rows, tokens, vocabulary)."""
        heads, size = self._cache_shape
        empty = np.zeros((len(lengths), heads, 0, size), dtype=self._cache_type)
        mask = (np.arange(input_ids.shape[1]) < lengths[:, None]).astype(np.int64)
        return self._run(input_ids, mask, np.zeros(len(lengths), dtype=np.int64), [empty] * (2 * self._layers))[0]

    def extend(self, input_ids: np.ndarray, lengths: np.ndarray, cache: Any) -> tuple[np.ndarray, Any]:
        """See `Engine.extend`. One token at a time: the operator takes several only for a single row."""
        steps = []
        for step in range(input_ids.shape[1]):
            past_length = cache[0].shape[2]
            mask = (np.arange(past_length + 1) < (lengths + step + 1)[:, None]).astype(np.int64)
            logits, cache = self._run(input_ids[:, step : step + 1], mask, lengths + step, cache)
            steps.append(logits[:, 0].astype(np.float32))
        return np.stack(steps, axis=1), cache

    def select(self, cache: Any, rows: np.ndarray) -> Any:
        """See `Engine.select`."""
        return [part[rows] for part in cache]

    def _run(
        self, input_ids: np.ndarray, mask: np.ndarray, first_position: np.ndarray, cache: list[np.ndarray]
    ) -> tuple[np.ndarray, list[np.ndarray]]:
        feeds = {"input_ids": input_ids, "attention_mask": mask}
        if "position_ids" in self._inputs:
            feeds["position_ids"] = first_position[:, None] + np.arange(input_ids.shape[1])
        for layer in range(self._layers):
            feeds[f"past_key_values.{layer}.key"] = cache[2 * layer]
            feeds[f"past_key_values.{layer}.value"] = cache[2 * layer + 1]
        names = ["logits"]
        names += [f"present.{layer}.{part}" for layer in range(self._layers) for part in ("key", "value")]
        logits, *present = self.session.run(names, feeds)
        return logits, present
