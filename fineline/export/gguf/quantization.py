"""Weights in the blocks of 32 of GGUF: 8 bits, and 4 bits with scales that are fitted to each block.

The formats are those of ggml: `q4_0` is a scale and 32 integers from -8 to 7, `q4_1` a scale, a minimum and 32 integers from 0
to 15, `q8_0` a scale and 32 integers from -127 to 127; scales and minima are fp16. The rounding of the `gguf` package takes the
scale from the largest weight of a block. Here several scales are tried and fitted by least squares, as llama.cpp does for its
own newer formats.
"""

from typing import Any

import numpy as np

BLOCK = 32
_CHUNK = 1 << 21  # weights at once
_SHARES = (1.0, 0.94, 0.88, 0.82)
"""Scales that are tried, as shares of the one that covers the largest weight."""


def q4_0(weights: np.ndarray) -> np.ndarray:
    """Return weights (..., columns) as bytes (..., columns / 32 * 18).

    Args:
        weights: fp32; the number of columns is a multiple of 32.
    """
    return _by_chunk(weights, _fit_q4_0, 18)


def q4_1(weights: np.ndarray) -> np.ndarray:
    """Return weights (..., columns) as bytes (..., columns / 32 * 20), see `q4_0`."""
    return _by_chunk(weights, _fit_q4_1, 20)


def _by_chunk(weights: np.ndarray, fit: Any, size: int) -> np.ndarray:
    blocks = weights.reshape(-1, BLOCK)
    step = _CHUNK // BLOCK
    parts = [fit(blocks[first : first + step]) for first in range(0, len(blocks), step)]
    return np.concatenate(parts).reshape(*weights.shape[:-1], weights.shape[-1] // BLOCK * size)


def _fit_q4_0(blocks: np.ndarray) -> np.ndarray:
    place = np.abs(blocks).argmax(axis=1)
    largest = blocks[np.arange(len(blocks)), place]
    best = np.full(len(blocks), np.inf, dtype=np.float32)
    scale, levels = np.zeros(len(blocks), dtype=np.float16), np.zeros(blocks.shape, dtype=np.int8)
    for share in _SHARES:
        tried = largest / np.float32(-8) * np.float32(share)
        for _ in range(2):  # as it is, then fitted to its own levels
            stored = tried.astype(np.float16)
            own = _levels(blocks, stored.astype(np.float32), -8, 7)
            error = np.square(blocks - own * stored.astype(np.float32)[:, None]).sum(axis=1)
            better = error < best
            best[better], scale[better], levels[better] = error[better], stored[better], own[better]
            squares = np.square(own).sum(axis=1)
            tried = np.divide((blocks * own).sum(axis=1), squares, out=np.zeros_like(tried), where=squares > 0)
    return np.concatenate([scale[:, None].view(np.uint8), _nibbles((levels + 8).astype(np.uint8))], axis=1)


def _fit_q4_1(blocks: np.ndarray) -> np.ndarray:
    low, high = blocks.min(axis=1), blocks.max(axis=1)
    best = np.full(len(blocks), np.inf, dtype=np.float32)
    scale, least = np.zeros(len(blocks), dtype=np.float16), np.zeros(len(blocks), dtype=np.float16)
    levels = np.zeros(blocks.shape, dtype=np.uint8)
    for share in _SHARES:
        middle, half = (low + high) / 2, (high - low) / 2 * np.float32(share)
        tried, start = half / np.float32(7.5), middle - half
        for _ in range(3):
            stored, begun = tried.astype(np.float16), start.astype(np.float16)
            step, first = stored.astype(np.float32), begun.astype(np.float32)
            own = _levels(blocks - first[:, None], step, 0, 15)
            error = np.square(blocks - own * step[:, None] - first[:, None]).sum(axis=1)
            better = error < best
            best[better], scale[better], least[better] = error[better], stored[better], begun[better]
            levels[better] = own[better].astype(np.uint8)
            tried, start = _line(own, blocks)
    return np.concatenate([scale[:, None].view(np.uint8), least[:, None].view(np.uint8), _nibbles(levels)], axis=1)


def _levels(values: np.ndarray, scale: np.ndarray, lowest: int, highest: int) -> np.ndarray:
    inverse = np.divide(1, scale, out=np.zeros_like(scale), where=scale != 0)
    return np.clip(np.rint(values * inverse[:, None]), lowest, highest).astype(np.float32)


def _line(levels: np.ndarray, blocks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return slope and intercept of the least-squares line through (level, weight) of each block."""
    mean, weight = levels.mean(axis=1), blocks.mean(axis=1)
    across = levels - mean[:, None]
    spread = np.square(across).sum(axis=1)
    slope = np.divide((across * blocks).sum(axis=1), spread, out=np.zeros_like(spread), where=spread > 0)
    return slope, weight - slope * mean


def _nibbles(levels: np.ndarray) -> np.ndarray:
    """Return levels (blocks, 32) as bytes (blocks, 16): the first 16 in the low halves."""
    return levels[:, :16] | (levels[:, 16:] << np.uint8(4))
