"""InterFaceGAN: the normal of a linear boundary between latents whose pictures have an attribute and those that have
not (Shen et al. 2020); conditional edits project the normals of other attributes out.

The boundary is that of L2-regularised logistic regression, from the pairs with the highest and lowest values of an
attribute.
"""

from dataclasses import dataclass, field
from typing import Self

import numpy as np
import torch
from torch import Tensor

from dnnlib.errors import UserError
from editing.latent.interface import Pairs, Subject
from editing.latent.linear import Linear, LinearOptions
from training.latent.directions import Directions

MOST_ITERATIONS = 200


@dataclass(frozen=True)
class InterFaceOptions:
    """extremes: the share of the pairs that count as having an attribute, and as having it not. penalty: of the
    regression, on |w|^2 / 2 of standardised latents, against the mean loss. conditional: project all other attributes'
    normals out of each. linear: how edits go.
    """

    extremes: float = 0.3
    penalty: float = 1e-3
    conditional: bool = False
    linear: LinearOptions = field(default_factory=LinearOptions)

    def __post_init__(self):
        if not 0 < self.extremes <= 0.5:
            raise UserError(f"extremes of {self.extremes:g}: give a share above 0, 0.5 at most")


class InterFaceGan(Linear):
    """Normals of the boundaries of all attributes, as long as a standard deviation of the latents along them."""

    @classmethod
    def fit(cls, subject: Subject, pairs: Pairs, options: InterFaceOptions | None = None) -> Self:
        options = options or InterFaceOptions()
        normals = boundaries(pairs, subject.names, options)
        if options.conditional:
            normals = torch.stack([orthogonalised(normals, *each) for each in enumerate(subject.names)])
        deviations = (pairs.values.double() @ normals.double().T).std(0).clamp_min(1e-8).to(normals)
        name = "interfacegan-conditional" if options.conditional else "interfacegan"
        return cls(subject, normals * deviations[:, None], name, options.linear)

    def directions(self, names: tuple[str, ...], layers: tuple[int, int] | None, network: str) -> Directions:
        """As a file has them."""
        deviations = self.ways.norm(dim=1)
        vectors = self.ways / deviations[:, None]
        return Directions(vectors, deviations, self.name, names, layers, "all", network)


def boundaries(pairs: Pairs, names: tuple[str, ...], options: InterFaceOptions) -> Tensor:
    """Normals [C, D] of length 1, towards higher values. Raises UserError for an attribute that is always the same."""
    mean, deviation = pairs.values.mean(0), pairs.values.std(0).clamp_min(1e-8)
    standard = ((pairs.values - mean) / deviation).double().cpu().numpy()
    count = max(1, round(options.extremes * len(standard)))
    found = []
    for index, name in enumerate(names):
        values = pairs.conditions[:, index].double().cpu().numpy()
        order = np.argsort(values, kind="stable")
        low, high = order[:count], order[-count:]
        if values[low].max() >= values[high].min():
            raise UserError(f"attribute '{name}' is the same in too many pictures; no boundary can be learnt")
        weights = logistic_regression(np.concatenate([standard[low], standard[high]]), count, options.penalty)
        normal = torch.from_numpy(weights).to(pairs.values) / deviation
        found.append(normal / normal.norm())
    return torch.stack(found)


def logistic_regression(x: np.ndarray, negatives: int, penalty: float) -> np.ndarray:
    """Weights [D] of rows x [n, D], the first `negatives` of which are labelled 0 and the others 1.

    They minimise the mean logistic loss plus penalty |w|^2 / 2; the offset is not penalised.
    """
    from scipy.optimize import minimize
    from scipy.special import expit

    signs = np.where(np.arange(len(x)) < negatives, -1.0, 1.0)

    def loss(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        margins = signs * (x @ parameters[:-1] + parameters[-1])
        slopes = -signs * expit(-margins) / len(x)
        gradient = np.append(x.T @ slopes + penalty * parameters[:-1], slopes.sum())
        return np.logaddexp(0, -margins).mean() + penalty / 2 * parameters[:-1] @ parameters[:-1], gradient

    start = np.zeros(x.shape[1] + 1)
    how = {"maxiter": MOST_ITERATIONS, "gtol": 1e-8, "ftol": 1e-14}
    return minimize(loss, start, jac=True, method="L-BFGS-B", options=how).x[:-1]


def orthogonalised(normals: Tensor, index: int, name: str = "") -> Tensor:
    """Normal `index` of normals [C, D] without what it has in the span of the others, of length 1.

    Raises UserError, with the attribute's name, when nothing is left of it.
    """
    others = torch.cat([normals[:index], normals[index + 1 :]]).double()
    normal = normals[index].double()
    if len(others):
        basis = torch.linalg.svd(others, full_matrices=False)
        rows = basis.Vh[1e-6 * basis.S[0] < basis.S]
        normal = normal - rows.T @ (rows @ normal)
    if normal.norm() < 1e-6:
        which = f"'{name}'" if name else str(index)
        raise UserError(f"attribute {which} has no direction of its own: it is a mixture of the others")
    return (normal / normal.norm()).to(normals)
