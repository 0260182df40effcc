"""Small models of every kind that can be exported."""

import torch

from tests.tiny_models import tiny_generator
from tests.training.small import CHANNELS, ENCODING, INDOOR, generator_config, run_config, seeded
from training.config import DiscriminatorConfig
from training.networks.backbones import make_generator
from training.sampling import Model

SHAPE = {"img_resolution": 16}
MODELS = {
    "norm": {"encoding": ENCODING},
    "norm, fine and everywhere": {"encoding": {**ENCODING, "mode": "fine", "max_resolution": None}},
    "cells": {"encoding": {**ENCODING, "registration": "cells"}},
    "cells, fine": {"encoding": {**ENCODING, "mode": "fine", "registration": "cells"}},
    "concat": {"encoding": {**ENCODING, "layer": "concat", "concat_channels": 8}},
    "indoor": {"encoding": INDOOR},
    "flatten": {"encoding": {**ENCODING, "layer": "flatten"}},
    "plain": {"encoding": None},
    "labels": {"encoding": None, "c_dim": 3},
    "residual": {"encoding": ENCODING, "synthesis": {"architecture": "resnet", "conv_clamp": 2.0}},
    "one output": {"encoding": None, "synthesis": {"architecture": "orig", "use_noise": False}},
    "wide convolutions of heatmaps": {"encoding": {**ENCODING, "kernel_size": 5, "dilation": 2}},
    "another activation": {"encoding": ENCODING, "synthesis": {"activation": "swish"}},
    "half precision": {"encoding": ENCODING, "synthesis": {"num_fp16_res": 1, "half_type": "float16"}},
    "no mean style": {"encoding": ENCODING, "mapping": {"num_layers": 2, "w_avg_beta": None}},
    "sndcgan": {"encoding": ENCODING, "backbone": "sndcgan"},
}


def make_model(name: str) -> Model:
    """With visible noise; the same on every call."""
    generator = generator_config(**SHAPE, **MODELS[name])
    shape = {"c_dim": generator.c_dim, "backbone": generator.backbone, **SHAPE}
    indoor = {"sampler": {"kind": "multi-object"}} if name == "indoor" else {}
    dcgan = {"loss": {"pl_weight": 0}} if name == "sndcgan" else {}
    config = run_config(generator=generator, discriminator=DiscriminatorConfig(**shape, **CHANNELS), **indoor, **dcgan)
    if generator.backbone == "stylegan2":
        return Model(tiny_generator(config), config, "cpu", kimg=1.0)
    G = seeded(lambda: make_generator(generator))
    torch.nn.init.normal_(G.synthesis.last.bias)
    return Model(G, config, "cpu", kimg=1.0)
