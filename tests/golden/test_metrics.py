"""The metrics' formulas against golden values."""

from collections.abc import Callable

import pytest
import torch

from metrics.frechet import frechet_distance
from metrics.inception_score import inception_score
from metrics.kernel import kernel_distance
from metrics.moments import FeatureStatistics, Moments, moments_of
from metrics.neighbors import agreement, squared_radii
from metrics.path_length import EPSILON, point_on_path, prepare, slerp, trimmed_mean
from tests.golden.cases import Case, assert_close, every_case
from training.sampling import to_uint8

pytestmark = pytest.mark.numeric

FILE = "metrics.npz"
EXACT, RANK_DEFICIENT, FLOAT32 = 1e-8, 1e-5, 1e-6


def name(params: dict) -> str:
    return params["metric"]


@every_case(FILE, name)
def test_case(case: Case):
    check = CHECKS[case.params["metric"]]
    check(case)


# ---- Fréchet distance


def check_frechet(case: Case) -> None:
    real, fake = moments_of(case["real"]), moments_of(case["gen"])
    for moments, key in ((real, "real"), (fake, "gen")):
        assert_close(moments.mean, case[f"mu_{key}"], EXACT)
        corner = case[f"cov_{key}_first8x8"]
        assert_close(moments.covariance[: len(corner), : len(corner)], corner, EXACT)
        assert_close(moments.covariance.trace(), case[f"cov_{key}_trace"], EXACT)
        assert_close(moments.covariance.norm(), case[f"cov_{key}_fro"], EXACT)
    assert frechet_distance(real, fake) == pytest.approx(case.params["fid"], rel=EXACT)
    few = frechet_distance(moments_of(case["real"][:40]), moments_of(case["gen"][:30]))
    assert few == pytest.approx(case.params["fid_first_40_30"], rel=RANK_DEFICIENT)
    assert frechet_distance(real, real) == pytest.approx(0, abs=1e-10)


def check_moments(case: Case) -> None:
    a, b = (Moments(100, case[f"mu_{key}"].double(), case[f"cov_{key}"].double()) for key in ("real", "gen"))
    assert frechet_distance(a, b) == pytest.approx(case.params["fid"], rel=EXACT)


# ---- other distances of features


def features_for(case: Case) -> tuple[torch.Tensor, torch.Tensor]:
    first = Case(FILE, 0, {})
    n = case.params["n"]
    return first["gen"][:n], first["real"][:n]


def check_kernel(case: Case) -> None:
    fake, real = features_for(case)
    settings = (case.params["num_subsets"], case.params["max_subset_size"])
    assert kernel_distance(fake, real, *settings) == pytest.approx(case.params["kid_f64"], rel=1e-6)


def check_precision_recall(case: Case) -> None:
    k = case.params["k"]
    found = agreement(case["real"], case["gen"], k)
    assert (found.precision, found.recall) == (case.params["precision"], case.params["recall"])
    for key in ("real", "gen"):
        assert_close(squared_radii(case[key], k).sqrt(), case[f"kth_{key}"], FLOAT32 * 10)


def check_inception_score(case: Case) -> None:
    mean, deviation = inception_score(case["probs"].double(), case.params["splits"])
    assert mean == pytest.approx(case.params["mean"], rel=FLOAT32)
    assert deviation == pytest.approx(case.params["std"], rel=FLOAT32, abs=1e-12)


def check_statistics(case: Case) -> None:
    statistics = FeatureStatistics(case.params["max_items"], keep=True)
    for number in range(len(case.params["chunks"])):
        statistics.add(case[f"chunk{number}"])
    moments = statistics.moments()
    assert statistics.count == case.params["num_items"]
    assert (statistics.count == case.params["max_items"]) == case.params["is_full"]
    assert_close(statistics.all(), case["all"], 0)
    assert_close(moments.mean, case["mean"], EXACT)
    assert_close(moments.covariance, case["cov"], EXACT)


# ---- path length


def check_slerp(case: Case) -> None:
    a, b, t = (case[key].double() for key in ("a", "b", "t"))
    t = t.reshape(-1, 1)
    assert_close(slerp(a, b, t), case["slerp64"], EXACT)
    assert_close(slerp(a, b, t + case.params["epsilon"]), case["slerp_eps64"], EXACT)
    w0, w1 = case["w0"].double(), case["w1"].double()
    ends = (point_on_path(w0, w1, t[:, 0] + e, "w", lambda w: w) for e in (0, case.params["epsilon"]))
    for ws, key in zip(ends, ("lerp64", "lerp_eps64"), strict=True):
        assert_close(ws.reshape(case[key].shape), case[key], EXACT)


def check_path(case: Case) -> None:
    W1, W2, V = (case[key].double() for key in ("W1", "W2", "V"))
    side, epsilon = case.params["img_resolution"], case.params["epsilon"]
    t = case["t_uniform"].double().flatten() * (case.params["sampling"] == "full")

    def mapping(z):
        return torch.tanh(z @ W1)[:, None].repeat(1, 2, 1)

    def features(t):
        ws = point_on_path(case["z0"].double(), case["z1"].double(), t, case.params["space"], mapping)
        images = torch.tanh(ws.mean(1) @ W2).reshape(-1, 3, side, side)
        return torch.sin(prepare(images, case.params["crop"]).flatten(1) @ V)

    assert epsilon == EPSILON
    lengths = (features(t) - features(t + epsilon)).square().sum(1) / epsilon**2
    assert_close(lengths, case["dist64"].flatten(), 1e-6)


def check_trimmed_mean(case: Case) -> None:
    assert trimmed_mean(case["dist"].double().numpy()) == pytest.approx(case.params["ppl"], rel=FLOAT32)


def check_uint8(case: Case) -> None:
    assert torch.equal(to_uint8(case["img"]), case["uint8"])


CHECKS: dict[str, Callable[[Case], None]] = {
    "frechet": check_frechet,
    "frechet_from_moments": check_moments,
    "kid": check_kernel,
    "precision_recall": check_precision_recall,
    "inception_score": check_inception_score,
    "slerp": check_slerp,
    "ppl_sampler_toy": check_path,
    "ppl_trimmed_mean": check_trimmed_mean,
    "feature_stats": check_statistics,
    "image_to_uint8": check_uint8,
}
