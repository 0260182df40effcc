"""The operators' native versions: C++ and CUDA sources (csrc/), their build, and their registration with torch.

Nothing here is needed: where a build is impossible, torch_utils.ops uses its PyTorch versions.
"""
