"""InceptionV3 against golden features, with the weights of the recipe."""

import json

import numpy as np
import pytest
import torch

from metrics.extractors.fidelity import inception
from metrics.extractors.weights import WeightFiles
from tests.golden.cases import FOLDER, Case, assert_close, assert_close_to_case, every_case
from tests.metrics.det_weights import inception_shapes, make_state, write_inception

pytestmark = pytest.mark.numeric

FILE = "inception_det.npz"
REL = 2e-5


@pytest.fixture(scope="module")
def extractor_with(tmp_path_factory):
    """A function gain -> Extractor; each is built once."""
    made = {}

    def make(gain: float, outputs: tuple[str, ...]):
        if gain not in made:
            path = write_inception(tmp_path_factory.mktemp("weights") / "inception.safetensors", gain, FOLDER / FILE)
            made[gain] = inception(WeightFiles({"inception": path}), outputs)
        return made[gain]

    return make


@every_case(FILE, lambda params: f"{params['shape'][-1]}px-gain{params['weight_gain']}")
def test_features(case: Case, extractor_with):
    images = Case(FILE, case.params["images_in_case"], {})["images"]
    features = extractor_with(case.params["weight_gain"], tuple(case.params["features"]))(images)
    assert set(features) == set(case.params["features"])
    for name, values in features.items():
        assert_close_to_case(case, f"f_{name}", values, REL)


def test_the_recipe_of_the_weights():
    if not (FOLDER / FILE).is_file():
        pytest.fail(f"golden file {FOLDER / FILE} is missing", pytrace=False)
    arrays = np.load(FOLDER / FILE, allow_pickle=False)
    assert json.loads(str(arrays["names"]))
    state = make_state(inception_shapes(FOLDER / FILE))
    floats = [state[name] for name in sorted(state) if state[name].is_floating_point()]
    assert_close(floats[0].flatten()[:8], torch.from_numpy(arrays["first_values"]), 1e-6)
    sums = torch.stack([tensor.double().sum() for tensor in floats])
    assert_close(sums[: len(arrays["weight_sums"])], torch.from_numpy(arrays["weight_sums"]), 1e-5)
