"""A small encoder of captions, which learns with the network that it is a part of."""

import torch
from torch import Tensor, nn


class TextEncoder(nn.Module):
    """Captions c [N, words], indices of a vocabulary of `values` words with 0 after the last one -> [N, features].

    A recurrent network (GRU; Cho et al. 2014) reads the words in order, so that "left of" is not "of left". Where
    `values` is 0, c [N, words] are embeddings made elsewhere, and a linear layer brings them to `features`.
    """

    def __init__(self, words: int, values: int, features: int):
        super().__init__()
        self.features = features
        self.embed = nn.Embedding(values, features) if values > 0 else nn.Linear(words, features)
        self.cell = nn.GRUCell(features, features) if values > 0 else None

    def forward(self, c: Tensor) -> Tensor:
        if self.cell is None:
            return self.embed(c)
        words = c.round().long()
        h = torch.zeros([len(c), self.features], dtype=self.cell.weight_hh.dtype, device=c.device)
        for word, vector in zip(words.unbind(1), self.embed(words).unbind(1), strict=True):
            h = torch.where((word != 0)[:, None], self.cell(vector, h), h)
        return h
