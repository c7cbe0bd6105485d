"""Inference with onnxruntime on a graph of the onnxruntime-genai model builder: the exported model as it ships.

Weights and operators are those of the file. In memory the graph gets three further inputs, which its operators support but the
builder omits: the earlier tokens that a token sees, its position, and the places after which logits are needed.
"""

import json
import math
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from fineline.errors import InputError
from fineline.inference import memory
from fineline.inference.packs import Answers, Pack, Prompts
from fineline.inference.plain import PlainModel
from fineline.inference.trials import Rows

_PACK_TOKENS = 384  # products reach full speed, and attention over the whole pack still takes little time
_BIAS, _POSITIONS, _PLACES = "fineline.bias", "fineline.positions", "fineline.places"

Cache = list[np.ndarray]
"""Keys and values of each layer, each (rows, key-value heads, tokens, head size)."""


class OnnxEngine:
    """A `model.onnx` with grouped-query attention. A sequence that may not share a pack is read as a separate pack.

    Args:
        directory: The output of the builder.

    Raises:
        InputError: onnxruntime cannot load the model, or its attention is not grouped-query attention.
    """

    plain: PlainModel | None = None
    row_length = 0
    generates: Rows = "single"
    path = "read by the exported graph"

    def __init__(self, directory: Path) -> None:
        config = json.loads((directory / "genai_config.json").read_text(encoding="utf-8"))["model"]
        decoder = config["decoder"]
        self.context_length = int(config["context_length"])
        self.pack_tokens = min(
            _PACK_TOKENS, self.context_length // 2
        )  # a pack may have twice as many, which must fit the context
        graph, window = _extended(directory / decoder["filename"])
        # the operator applies a window to places in the pack, not in the sequence
        self.tree_length = self.context_length if window is None or window >= self.context_length else 0
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = len(os.sched_getaffinity(0))  # the cores that this process may use
        # a waiting thread that keeps its core busy slows this process down as soon as another one runs
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.enable_mem_pattern = False  # every pack has a different shape
        options.add_session_config_entry("session.model_external_initializers_file_folder_path", str(directory))
        try:
            self.session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime has no common exception class
            raise InputError(f"{directory}: onnxruntime cannot load it: {error}") from error
        self._inputs = {value.name: value for value in self.session.get_inputs()}
        layers = range(int(decoder["num_hidden_layers"]))
        self._past = [f"past_key_values.{layer}.{part}" for layer in layers for part in ("key", "value")]
        self._present = [f"present.{layer}.{part}" for layer in layers for part in ("key", "value")]
        self._cache_shape = (int(decoder["num_key_value_heads"]), int(decoder["head_size"]))
        self._cache_type = np.float16 if "float16" in self._inputs[self._past[0]].type else np.float32
        token_bytes = len(self._past) * math.prod(self._cache_shape) * np.dtype(self._cache_type).itemsize
        self.limits = memory.limits("cpu", token_bytes=token_bytes, vocabulary=int(config["vocab_size"]))

    def encode(self, prefix: Sequence[int]) -> Cache:
        """See `Engine.encode`."""
        pack = Pack()
        pack.add(prefix)
        return self._read(pack, None, [len(prefix) - 1])[1]

    def score(self, prefix: Cache | None, pack: Pack) -> Answers:
        """See `Engine.score`."""
        import torch

        answers = Answers(len(pack.targets))
        past = prefix
        for first, last, places in pack.pieces(self.limits.places):
            logits, past = self._read(pack, past, places or [last - 1], first, last, cached=last < len(pack))
            pack.read_off(torch.from_numpy(logits), places, answers)
        return answers

    def open(self, prefix: Cache | None, packs: Sequence[Prompts], room: int) -> tuple[np.ndarray, "_DecodingRows"]:
        """See `Engine.open`."""
        longest = max(length for prompts in packs for length in prompts.lengths)
        count = sum(len(prompts.paths) for prompts in packs)
        heads, size = self._cache_shape
        cache = [np.zeros((count, heads, longest + room, size), dtype=self._cache_type) for _ in self._past]
        tokens: list[int] = []
        for prompts in packs:
            ends = [path[-1] for path in prompts.paths]
            logits, read = self._read(prompts.pack, prefix, ends)
            rows = slice(len(tokens), len(tokens) + len(ends))
            slots = prompts.slots(longest)
            for own, part in zip(cache, read, strict=True):
                own[rows, :, :longest] = part[0][:, slots].swapaxes(0, 1)
            tokens += logits.argmax(axis=-1).tolist()
        return np.array(tokens), _DecodingRows(cache, np.array([length for prompts in packs for length in prompts.lengths]))

    def write(self, rows: "_DecodingRows", tokens: np.ndarray) -> np.ndarray:
        """See `Engine.write`. The attention operator derives each row's length from its mask, and writes the new keys and
        values directly after the row's last token, into the given memory."""
        seen = int(rows.lengths.max()) + 1
        mask = np.arange(seen) <= rows.lengths[:, None]
        feeds = self._feeds(tokens[:, None], mask, rows.lengths[:, None], np.zeros((1, seen)), [0])
        binding = self.session.io_binding()
        for name, value in feeds.items():
            binding.bind_cpu_input(name, value)
        for past, present, part in zip(self._past, self._present, rows.cache, strict=True):
            value = onnxruntime.OrtValue.ortvalue_from_numpy(part)
            binding.bind_ortvalue_input(past, value)
            binding.bind_ortvalue_output(present, value)
        binding.bind_output("logits")
        self.session.run_with_iobinding(binding)
        rows.lengths = rows.lengths + 1
        chosen: np.ndarray = binding.get_outputs()[-1].numpy()[:, 0].argmax(axis=-1)
        return chosen

    def keep(self, rows: "_DecodingRows", kept: np.ndarray) -> None:
        """See `Engine.keep`."""
        moved = (kept != np.arange(len(kept))).nonzero()[0]
        for part in rows.cache:
            part[moved] = part[kept[moved]]
        rows.cache = [part[: len(kept)] for part in rows.cache]
        rows.lengths = rows.lengths[kept]

    def rows(self, rows: Iterable[Sequence[int]]) -> Iterator[np.ndarray]:
        """Yield the logits after every token of each row (tokens, vocabulary), computed when they are needed."""
        for row in rows:
            pack = Pack()
            pack.add(row)
            yield self._read(pack, None, range(len(pack)), cached=False)[0]

    def _read(
        self,
        pack: Pack,
        past: Cache | None,
        places: Sequence[int],
        first: int = 0,
        last: int | None = None,
        *,
        cached: bool = True,
    ) -> tuple[np.ndarray, Cache]:
        """Run a pass over the tokens from `first` up to `last` of a pack. Return the logits after the places (places,
        vocabulary) and, if `cached`, the cache."""
        part = slice(first, last or len(pack))
        visible = pack.visible()[part, : pack.behind + part.stop]
        hidden = int(past is None and not pack.is_chain)  # without a past the operator computes positions itself
        if past is None:
            heads, size = self._cache_shape
            past = [np.zeros((1, heads, hidden, size), dtype=self._cache_type)] * len(self._past)
            visible = np.pad(visible, ((0, 0), (hidden, 0)))
        mask = np.ones((1, visible.shape[1]), dtype=bool)
        bias = np.where(visible, 0.0, -np.inf)
        ids, positions = (np.array([values[part]]) for values in (pack.tokens, pack.positions))
        feeds = self._feeds(ids, mask, positions, bias, np.array(places) - first)
        feeds |= dict(zip(self._past, past, strict=True))
        logits, *present = self.session.run(["logits", *(self._present if cached else ())], feeds)
        return logits[0].astype(np.float32, copy=False), [part[:, :, hidden:] for part in present]

    def _feeds(
        self, input_ids: np.ndarray, mask: np.ndarray, positions: np.ndarray, bias: np.ndarray, places: Any
    ) -> dict[str, np.ndarray]:
        feeds = {
            "input_ids": input_ids.astype(np.int64),
            "attention_mask": mask.astype(np.int64),
            "position_ids": positions.astype(np.int64),
            _POSITIONS: positions.astype(np.int64),
            _BIAS: bias.astype(self._cache_type)[None, None],
            _PLACES: np.asarray(places, dtype=np.int64),
        }
        return {name: value for name, value in feeds.items() if name in self._inputs}


class _DecodingRows:
    """Rows that are being generated: their caches, with room for new tokens, and the number of tokens of each."""

    def __init__(self, cache: Cache, lengths: np.ndarray) -> None:
        self.cache = cache
        self.lengths = lengths


def _extended(file: Path) -> tuple[bytes, int | None]:
    """Return a graph with the three inputs, without its weights, and the window of its attention, if it has one.

    Raises:
        InputError: The file is missing, or is not a graph of the builder with grouped-query attention.
    """
    import onnx
    from onnx import TensorProto, helper

    try:
        model = onnx.load(file, load_external_data=False)
    except Exception as error:  # protobuf has separate exception classes
        raise InputError(f"{file}: not an ONNX model: {error}") from error
    graph = model.graph
    attention = [node for node in graph.node if node.op_type == "GroupQueryAttention"]
    head = next((node for node in graph.node if "logits" in node.output), None)
    producers = {output: node for node in graph.node for output in node.output}
    while head is not None and not head.op_type.startswith("MatMul"):  # a scale or a cap may follow the head
        head = producers.get(head.input[0])
    if not attention or head is None:
        raise InputError(f"{file}: inference needs grouped-query attention and a linear head, as the model builder makes them")
    longer: dict[str, str] = {}
    for node in attention:
        attributes = {attribute.name: attribute.i for attribute in node.attribute}
        node.input.extend([""] * (11 - len(node.input)))
        node.input[10] = _BIAS
        if attributes.get("do_rotary"):
            node.input[9] = _POSITIONS
            for place, table in ((7, node.input[7]), (8, node.input[8])):  # the operator needs rows for all tokens of a pack
                node.input[place] = longer.setdefault(table, f"fineline.{table}")
    for place, (table, name) in enumerate(longer.items()):
        twice = helper.make_node("Concat", [table, table], [name], axis=0)
        graph.node.insert(list(graph.node).index(producers[table]) + 1 if table in producers else place, twice)
    kind = next(value for value in graph.input if value.name.startswith("past_key_values")).type.tensor_type.elem_type
    graph.input.append(helper.make_tensor_value_info(_BIAS, kind, [1, 1, "tokens", "seen"]))
    if any(_POSITIONS in node.input for node in attention):
        graph.input.append(helper.make_tensor_value_info(_POSITIONS, TensorProto.INT64, ["rows", "tokens"]))
    graph.input.append(helper.make_tensor_value_info(_PLACES, TensorProto.INT64, ["places"]))
    gather = helper.make_node("Gather", [head.input[0], _PLACES], ["fineline.states"], axis=1)
    graph.node.insert(list(graph.node).index(head), gather)
    head.input[0] = "fineline.states"
    windows = [attribute.i for node in attention for attribute in node.attribute if attribute.name == "local_window_size"]
    window = min((size for size in windows if size > 0), default=None)
    return model.SerializeToString(), window
