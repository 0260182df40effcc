"""What settings are made of: sections that refuse what they do not know, and numbers within bounds."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

# Every number is finite and has bounds, far from what is of use: beyond them float32 overflows or memory ends.
SEED_LIMIT = 2**32
Fraction = Annotated[float, Field(ge=0, le=1)]
Decay = Annotated[float, Field(ge=0, lt=1)]  # of a moving average that moves
Positive = Annotated[float, Field(ge=1e-6, le=1e6)]
NonNegative = Annotated[float, Field(ge=0, le=1e6)]
Rate = Annotated[float, Field(ge=1e-12, le=10)]  # of learning
Kimg = Annotated[float, Field(ge=0.001, le=1e9)]  # thousands of images
Count = Annotated[int, Field(ge=1, le=10**9)]
Width = Annotated[int, Field(ge=1, le=2**16)]  # features of a layer
Depth = Annotated[int, Field(ge=1, le=256)]  # layers, objects of a scene
PowerOfTwo = Annotated[int, Field(ge=4, le=2**14)]
Channels = Annotated[int, Field(ge=1, le=1024)]  # of images
Batch = Annotated[int, Field(ge=1, le=2**20)]  # images at a time
Labels = Annotated[int, Field(ge=0, le=10**6)]  # numbers of a label
Spread = Annotated[float, Field(ge=1e-4, le=1e4)]  # of a heatmap; twice the variance
Spreading = Annotated[float, Field(ge=0, le=10)]  # standard deviations of augmentation
Taps = Annotated[tuple[Annotated[float, Field(ge=-1e6, le=1e6)], ...], Field(min_length=1, max_length=32)]
Name = Annotated[str, Field(pattern=r"^[\w.-]{1,64}$")]  # of something registered (dnnlib/registry.py)


class Section(BaseModel):
    """A frozen group of settings; unknown keys, and numbers that are not finite, are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
