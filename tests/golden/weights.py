"""Writes weights.safetensors with PyTorch, or checks a file that baregrad has written.

    pip install torch safetensors
    python tests/golden/weights.py
    BAREGRAD_WRITE_SAFETENSORS=/elsewhere.safetensors \\
        cargo test --features safetensors --test safetensors
    python tests/golden/weights.py check /elsewhere.safetensors

The weights are those of a network 2-3-1 with tanh, drawn by PyTorch from a seed. The file also has
an input and the network's result for it.
"""

import os
import sys

import torch
from safetensors.torch import load_file, save_file

torch.manual_seed(7)
network = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Tanh(), torch.nn.Linear(3, 1))
x = torch.tensor([[0.5, -1.0], [0.25, 2.0], [-0.75, 1.5], [1e-3, -2.0]])
tensors = dict(network.state_dict())

if len(sys.argv) == 3 and sys.argv[1] == "check":
    found = load_file(sys.argv[2])
    assert set(found) == set(tensors) | {"scale"}, sorted(found)
    for name, tensor in tensors.items():
        assert found[name].dtype == torch.float32 and found[name].shape == tensor.shape, name
        assert torch.equal(found[name], tensor), name
    assert found["scale"].shape == () and found["scale"].item() == 2.5
    network.load_state_dict({name: found[name] for name in tensors})
    print("ok:", ", ".join(f"{name} {list(t.shape)}" for name, t in sorted(found.items())))
else:
    here = os.path.dirname(os.path.abspath(__file__))
    with torch.no_grad():
        save_file(tensors | {"x": x, "y": network(x)},
                  os.path.join(here, "weights.safetensors"), metadata={"format": "pt"})
        half = {name: tensor.to(torch.bfloat16 if "bias" in name else torch.float32)
                for name, tensor in tensors.items()}
        save_file(half, os.path.join(here, "weights_bf16.safetensors"))
