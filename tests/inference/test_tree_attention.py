"""Attention part by part: what a dense mask gives, whatever the tree."""

import random

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from fineline.inference import tree_attention
from fineline.inference.packs import Pack


class Layer:
    num_key_value_groups = 3
    is_causal = True


def tree(seed, behind=0):
    """Families of different sizes, some much longer than a part."""
    draw = random.Random(seed)
    pack = Pack(behind)
    for first in range(8):
        context = [first, *(draw.randrange(5) for _ in range(draw.choice([1, 20, 90, 150])))]
        for second in range(draw.randrange(1, 5)):
            pack.add([*context, second, *(draw.randrange(5) for _ in range(draw.randrange(6)))])
    return pack


def states(tokens, keys):
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(1, *shape, 16, generator=generator) for shape in ((6, tokens), (2, keys), (2, keys))]


@pytest.mark.parametrize("behind", [0, 11])
@pytest.mark.parametrize("further", [0, 5])
@pytest.mark.parametrize("seed", range(4))
def test_parts_give_what_the_whole_mask_gives(seed, behind, further):
    pack = tree(seed, behind)
    query, key, value = states(len(pack), behind + further + len(pack))
    mask = torch.from_numpy(np.pad(pack.visible(), ((0, 0), (further, 0)), constant_values=True))[None, None]
    expected, _ = sdpa_attention_forward(Layer, query, key, value, mask, scaling=0.25)
    with tree_attention.reading(pack.visible()):
        found, _ = tree_attention.attention(Layer, query, key, value, mask, scaling=0.25)
    assert torch.allclose(found, expected, atol=1e-5)


def test_parts_are_all_tokens_in_order_and_see_little_in_vain():
    pack = tree(0)
    parts = list(tree_attention._cut(pack.visible()))
    places = [place for part in parts for place in range(part.tokens.start, part.tokens.stop)]
    assert places == list(range(len(pack)))
    assert sum(part.mask.numel() for part in parts) < len(pack) ** 2 / 3


def test_outside_of_packs_it_is_the_kernel_of_the_library():
    query, key, value = states(9, 9)
    expected, _ = sdpa_attention_forward(Layer, query, key, value, None, scaling=0.25)
    assert torch.equal(tree_attention.attention(Layer, query, key, value, None, scaling=0.25)[0], expected)


@pytest.mark.parametrize(("kernel", "used"), [("sdpa", True), ("eager", False)])
def test_it_takes_the_place_of_sdpa_only(tiny_base, kernel, used):
    model = AutoModelForCausalLM.from_pretrained(tiny_base, attn_implementation=kernel)
    assert tree_attention.use(model) == used
    assert tree_attention.use(model) == used  # and again, for another engine
    assert model.config._attn_implementation == (tree_attention.NAME if used else kernel)
