"""Merging: an adapter merged into the weights of its base, and the verification of a merged model.

An adapter that was trained on a base in four bits can be merged into those weights, dequantized, or into the original ones.
`fineline.merge.choice` measures both. The result is computed in fp32 and rounded once, to the precision of the training.
Weights that were dequantized to fp32 are not exact in bf16: rounded, they chose another token at 2.5% of positions
(SmolLM2-135M, mean KL 1e-4).
"""
