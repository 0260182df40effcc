"""(I - J)^-1 b as a truncated Neumann series, without J as a matrix (paper 004, section 3.4)."""

from collections.abc import Callable

from torch import Tensor

Product = Callable[[Tensor], Tensor]  # b [N, D] -> J b [N, D], for each row its own J


def neumann(product: Product, b: Tensor, bound: float, order: int, tolerance: float = 1e-5) -> Tensor:
    """b + J b + J^2 b + ... up to J^order b, [N, D].

    bound: of the operator norm of J, at least its spectral radius; the series ends earlier where what is left out is
    certain to be below `tolerance` times the result: after the term J^k b that is |J^(k+1) b| / (1 - bound) at most.

    Raises ValueError unless bound is below 1: then the series may not converge.
    """
    if not 0 <= bound < 1:
        raise ValueError(f"a Neumann series needs a norm below 1, not {bound:g}")
    total, term = b.clone(), b
    for _ in range(order):
        term = product(term)
        total = total + term
        left_out = term.norm(dim=1) * bound / (1 - bound)
        if bool((left_out <= tolerance * total.norm(dim=1)).all()):
            break
    return total
