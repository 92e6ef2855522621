"""Unpacks a 4-bit model's weights once, for writing on a CPU, where every token would unpack them again.

bitsandbytes multiplies on a CPU by unpacking the whole matrix for each product; here the same numbers are unpacked
once, and the same product follows, so that logits are equal to the last bit.
"""

import torch
from bitsandbytes.functional import dequantize_4bit
from bitsandbytes.nn import Linear4bit

MOST_BYTES = 2 << 30
"""Of a larger model the weights stay packed: memory is dearer than time there."""


class DenseLinear(torch.nn.Linear):
    """The same layer as a `Linear4bit`, computing in the same type."""

    def __init__(self, packed: Linear4bit) -> None:
        super().__init__(packed.in_features, packed.out_features, bias=packed.bias is not None, device="meta")
        kind = packed.compute_dtype
        weight = dequantize_4bit(packed.weight.data, packed.weight.quant_state).to(kind)
        self.weight = torch.nn.Parameter(weight, requires_grad=False)
        if packed.bias is not None:
            self.bias = torch.nn.Parameter(packed.bias.data.to(kind), requires_grad=False)

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """`values` of any float type, answered in it."""
        return super().forward(values.to(self.weight.dtype)).to(values.dtype)


def unpack_weights(model: torch.nn.Module) -> torch.nn.Module:
    """The model, with dense weights if it is on a CPU and they take at most `MOST_BYTES`; for writing only."""
    packed = {name: part for name, part in model.named_modules() if type(part) is Linear4bit}
    size = sum(part.in_features * part.out_features * part.compute_dtype.itemsize for part in packed.values())
    if model.device.type != "cpu" or size > MOST_BYTES:
        return model
    for name, part in packed.items():
        parent, _, leaf = name.rpartition(".")
        setattr(model.get_submodule(parent), leaf, DenseLinear(part))
    return model
