"""The synthesis network on a GPU as captured graphs: a call is a single launch, whatever the number of layers.

At small batches a GPU waits for Python to launch hundreds of kernels; a CUDA graph has them all. A graph is for one
shape of its inputs, and is captured when that shape comes for the second time, so that single calls cost no more.
"""

import warnings
from collections import OrderedDict
from dataclasses import replace

import torch
from torch import Tensor

from training.layouts.layout import Layout
from training.networks.backbones import Synthesis
from training.networks.synthesis import Noise

KEPT = 4  # graphs, each with the memory of its feature maps

Key = tuple[object, ...]


class CapturedSynthesis:
    """Takes and gives what the network does, in inference mode; uses graphs where noise is fixed or left out."""

    def __init__(self, synthesis: Synthesis):
        self.synthesis = synthesis
        self._graphs: OrderedDict[Key, _Graph | None] = OrderedDict()  # None: seen once
        self._works = True

    def __call__(self, ws: Tensor, layout: Layout | None, noise: Noise) -> Tensor:
        key = _key(ws, layout, noise) if self._works else None
        if key is None:
            return self.synthesis(ws, layout, noise)
        if key not in self._graphs:
            self._graphs[key] = None
            while len(self._graphs) > KEPT:
                self._graphs.popitem(last=False)
            return self.synthesis(ws, layout, noise)
        self._graphs.move_to_end(key)
        if self._graphs[key] is None:
            self._graphs[key] = self._capture(ws, layout, noise)
        graph = self._graphs[key]
        return self.synthesis(ws, layout, noise) if graph is None else graph.replay(ws, layout)

    def _capture(self, ws: Tensor, layout: Layout | None, noise: Noise) -> "_Graph | None":
        try:
            return _Graph(self.synthesis, ws, layout, noise)
        except RuntimeError as error:
            self._works = False
            warnings.warn(f"no CUDA graph: {error}; pictures are made without, more slowly", stacklevel=3)
            return None


def _key(ws: Tensor, layout: Layout | None, noise: Noise) -> Key | None:
    """What a graph depends on; None where there can be none."""
    if not ws.is_cuda or noise.mode == "random":
        return None
    styles = *ws.shape, has_one_style(ws), noise.mode
    if layout is None:
        return styles
    if not isinstance(layout, Layout) or layout.noise is not None:
        return None
    return *styles, layout.counts, layout.strengths is None, layout.registration


def has_one_style(ws: Tensor) -> bool:
    """Whether all images have the ws of the first, which saves modulating features for each (Tensor.expand)."""
    return len(ws) > 1 and ws.stride(0) == 0


class _Graph:
    """One captured call, with inputs and result at fixed places. Raises RuntimeError when it cannot be captured."""

    def __init__(self, synthesis: Synthesis, ws: Tensor, layout: Layout | None, noise: Noise):
        self._one = has_one_style(ws)
        self._rows = (ws[:1] if self._one else ws).clone(memory_format=torch.contiguous_format)
        self._ws = self._rows.expand_as(ws)
        self._layout = None if layout is None else _copied(layout)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.device(ws.device):
            self._warm_up(synthesis, noise)
            current, own = torch.cuda.current_stream(), torch.cuda.Stream()  # PyTorch's own is of the first device
            try:
                with torch.cuda.graph(self._graph, stream=own, capture_error_mode="thread_local"):
                    self._images = synthesis(self._ws, self._layout, noise)
            finally:
                torch.cuda.set_stream(current)  # a capture that fails can leave its own behind

    def _warm_up(self, synthesis: Synthesis, noise: Noise) -> None:
        """On a stream of its own, as captures want it: libraries get their workspaces and choose their kernels."""
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            synthesis(self._ws, self._layout, noise)
        torch.cuda.current_stream().wait_stream(side)

    def replay(self, ws: Tensor, layout: Layout | None) -> Tensor:
        self._rows.copy_(ws[:1] if self._one else ws)
        if layout is not None and self._layout is not None:
            for mine, given in zip(self._layout.tensors(), layout.tensors(), strict=True):
                mine.copy_(given)
        self._graph.replay()
        return self._images.clone()


def _copied(layout: Layout) -> Layout:
    """With tensors of its own, none of them expanded."""
    own = [tensor.clone(memory_format=torch.contiguous_format) for tensor in layout.tensors()]
    levels = len(layout.centers)
    strengths = None if layout.strengths is None else tuple(own[2 * levels :])
    return replace(layout, centers=tuple(own[:levels]), spreads=tuple(own[levels : 2 * levels]), strengths=strengths)
