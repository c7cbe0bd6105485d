"""Low-rank factors: two thin matrices whose product is added to a weight."""

from typing import NamedTuple

import torch

_WHOLE = 1024
"""Matrices with at most this many rows or columns are decomposed exactly, larger ones by random projection."""
_ITERATIONS = 16
"""Power iterations of the randomized decomposition (Halko et al. 2011, arXiv 0909.4061, algorithm 4.4)."""


class Factors(NamedTuple):
    """The matrix B A in fp32 on the CPU."""

    a: torch.Tensor
    """(rank, in)"""
    b: torch.Tensor
    """(out, rank)"""

    @property
    def rank(self) -> int:
        """Return the number of rows of A, which is that of columns of B."""
        return self.a.shape[0]

    def padded(self, rank: int) -> "Factors":
        """Return factors of a rank that is not smaller, with the same product: the further rows and columns are zero."""
        missing = rank - self.rank
        if missing < 0:
            raise ValueError(f"factors of rank {self.rank} cannot be padded to rank {rank}")
        return Factors(torch.nn.functional.pad(self.a, (0, 0, 0, missing)), torch.nn.functional.pad(self.b, (0, missing)))

    def first(self, rank: int) -> "Factors":
        """Return the first `rank` rows of A and columns of B: the nearest matrix of that rank, if `nearest` returned these."""
        return Factors(self.a[:rank], self.b[:, :rank])


def scaled(a: torch.Tensor, b: torch.Tensor, scaling: float) -> Factors:
    """Return factors with the product scaling * B A: B contains the scaling."""
    return Factors(a.detach().float().cpu(), scaling * b.detach().float().cpu())


def nearest(matrix: torch.Tensor, rank: int) -> Factors:
    """Return the best approximation of a matrix (out, in) in the Frobenius norm, with components in order of size.

    It has rank `rank`, or less if the matrix has fewer rows or columns (Eckart and Young 1936). Both factors contain the square
    roots of the singular values, so that neither has numbers much larger than the other.
    """
    rank = min(rank, *matrix.shape)
    if min(matrix.shape) <= _WHOLE:
        left, values, right = torch.linalg.svd(matrix, full_matrices=False)
        right = right.T
    else:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)  # the same weights give the same file
            left, values, right = torch.svd_lowrank(matrix, q=min(2 * rank, *matrix.shape), niter=_ITERATIONS)
    size = values[:rank].sqrt()
    return Factors((size[:, None] * right[:, :rank].T).contiguous(), (left[:, :rank] * size).contiguous())


def compressed(factors: Factors, rank: int) -> Factors:
    """Return the best approximation of a product B A, without computing the product: `nearest` of it."""
    left, upper = torch.linalg.qr(factors.b)
    right, lower = torch.linalg.qr(factors.a.T)
    inner = nearest(upper @ lower.T, rank)
    return Factors(inner.a @ right.T, left @ inner.b)
