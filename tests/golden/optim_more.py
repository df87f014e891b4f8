"""Writes optim_more.json: given gradients for the optimizers that optim.json only lists
(Adafactor and Muon, which depend on the shapes of parameters, and SparseAdam), for gradients
that are clipped before the step, and for parameter groups.

    pip install torch==2.15.0
    python tests/golden/optim_more.py
"""

import json
import math
import pathlib
import random

import torch

torch.set_num_threads(1)

STEPS = 20

# Shapes of parameters. In `sparse`, not every element has a gradient in each step.
SHAPES = {
    "vector": [[5]],
    "layers": [[3, 4], [4], [4, 2], [2], []],
    "matrices": [[3, 5], [5, 3], [4, 4], [1, 6], [6, 1], [1, 1]],
    "batches": [[2, 3, 4], [2, 2, 2, 3], [4, 1, 3], [7]],
    "large": [[33, 40]],
    "sparse": [[6]],
}
FEW_STEPS = {"large": 3}

ADAFACTOR = [
    {},
    {"lr": 0.9},
    {"lr": 0.2, "beta2_decay": -0.5},
    {"lr": 0.1, "eps": [1e-2, 0.5]},
    {"lr": 0.1, "eps": [None, 2.0]},
    {"lr": 0.3, "d": 2.5},
    {"lr": 0.1, "weight_decay": 0.3},
    {"lr": 0.1, "maximize": True},
]
MUON = [
    {},
    {"lr": 0.1},
    {"lr": 0.1, "momentum": 0.3, "nesterov": False},
    {"lr": 0.1, "momentum": 0.0},
    {"lr": 0.1, "weight_decay": 0.0, "ns_steps": 3},
    {"lr": 0.1, "ns_coefficients": [2.0, -1.5, 0.5], "ns_steps": 12},
    {"lr": 0.1, "eps": 2.0},
    {"lr": 0.1, "adjust_lr_fn": "original"},
    {"lr": 0.1, "adjust_lr_fn": "match_rms_adamw"},
    {"lr": 0.1, "adjust_lr_fn": "spectral_unclamped"},
]
SPARSE_ADAM = [
    {},
    {"lr": 0.1},
    {"lr": 0.1, "betas": [0.6, 0.9]},
    {"lr": 0.1, "eps": 0.5},
    {"lr": 0.1, "maximize": True},
]
CLIPPED = [
    ("SGD", {"lr": 0.1, "momentum": 0.9}, {"clip_norm": 1.0}),
    ("SGD", {"lr": 0.1}, {"clip_norm": 40.0}),
    ("Adam", {"lr": 0.1}, {"clip_norm": 0.01}),
    ("RMSprop", {"lr": 0.1}, {"clip_value": 0.5}),
    ("SGD", {"lr": 0.1, "weight_decay": 0.1}, {"clip_value": 1e-3}),
    ("AdamW", {"lr": 0.1}, {"clip_value": 0.3, "clip_norm": 0.7}),
]
# Groups: the number of tensors, and the hyper-parameters that differ from the optimizer's.
GROUPED = [
    ("SGD", {"lr": 0.1, "momentum": 0.9}, [(2, {}), (3, {"lr": 0.01, "momentum": 0.5})]),
    ("SGD", {"lr": 0.1}, [(1, {"weight_decay": 0.1}), (4, {"lr": 0.3, "maximize": True})]),
    ("Adam", {"lr": 0.05}, [(1, {"weight_decay": 0.1}), (1, {}), (3, {"betas": [0.5, 0.9]})]),
    ("AdamW", {"lr": 0.05}, [(2, {"weight_decay": 0.2}), (3, {"weight_decay": 0.0, "lr": 0.2})]),
    ("NAdam", {"lr": 0.05}, [(3, {"momentum_decay": 0.1}), (2, {"eps": 1e-3})]),
    ("RAdam", {"lr": 0.05}, [(3, {"betas": [0.8, 0.9]}), (2, {"weight_decay": 0.1})]),
    ("Adamax", {"lr": 0.05}, [(3, {"betas": [0.8, 0.9]}), (2, {"lr": 0.01})]),
    ("RMSprop", {"lr": 0.05}, [(1, {"alpha": 0.5}), (4, {"momentum": 0.5, "centered": True})]),
    ("Adagrad", {"lr": 0.05}, [(2, {"lr_decay": 0.1}), (3, {"eps": 0.1})]),
    ("Adadelta", {"lr": 1.0}, [(2, {"rho": 0.5}), (3, {"lr": 0.5})]),
    ("ASGD", {"lr": 0.05}, [(2, {"lambd": 0.1}), (3, {"alpha": 0.5, "weight_decay": 0.1})]),
    ("Rprop", {"lr": 0.05}, [(2, {"etas": [0.3, 1.5]}), (3, {"lr": 0.01})]),
    ("Adafactor", {"lr": 0.05}, [(2, {"weight_decay": 0.1}), (3, {"d": 2.0})]),
]


def f32(x):
    if math.isnan(x) or math.isinf(x):
        return str(x).replace("inf", "Infinity").replace("nan", "NaN")
    return float(f"{x:.9g}")


def given(name, rng):
    shapes = SHAPES[name]
    sizes = [math.prod(shape) for shape in shapes]
    # Elements of a tensor have one size, so that small gradients are comparable to every eps.
    scales = [10.0 ** rng.uniform(-3.5, 1.5) for _ in sizes]
    if len(scales) > 1:
        scales[-1] = 1e-6
    steps = FEW_STEPS.get(name, STEPS)
    grads = []
    for step in range(steps):
        row = []
        for size, scale in zip(sizes, scales):
            for _ in range(size):
                g = 0.0 if step == 3 else scale * rng.gauss(0.0, 1.0)
                missing = name == "sparse" and rng.random() < 0.4
                row.append(None if missing else torch.tensor(g).item())
        grads.append(row)
    p0 = [torch.tensor(rng.gauss(0.0, 1.0)).item() for _ in range(sum(sizes))]
    return {"shapes": shapes, "steps": steps, "p0": p0, "grads": grads}


def run(optimizer, hyper, data, clip, groups, dtype):
    """Parameters after every step, and norms of gradients if they are clipped."""
    shapes = data["shapes"]
    sizes = [math.prod(shape) for shape in shapes]
    p0 = torch.tensor(data["p0"], dtype=dtype).split(sizes)
    params = [p.reshape(shape).clone().requires_grad_() for p, shape in zip(p0, shapes)]
    if groups is None:
        made = getattr(torch.optim, optimizer)(params, **hyper)
    else:
        left, parts = list(params), []
        for count, own in groups:
            parts.append({"params": left[:count], **own})
            left = left[count:]
        made = getattr(torch.optim, optimizer)(parts, **hyper)
    after, norms = [], []
    for grads in data["grads"]:
        at = 0
        for p, size in zip(params, sizes):
            own = grads[at : at + size]
            at += size
            if any(g is None for g in own) or optimizer == "SparseAdam":
                where = [i for i, g in enumerate(own) if g is not None]
                values = torch.tensor([own[i] for i in where], dtype=dtype)
                p.grad = torch.sparse_coo_tensor([where], values, p.shape, check_invariants=True)
            else:
                p.grad = torch.tensor(own, dtype=dtype).reshape(p.shape)
        if "clip_value" in clip:
            torch.nn.utils.clip_grad_value_(params, clip["clip_value"])
        if "clip_norm" in clip:
            norms.append(torch.nn.utils.clip_grad_norm_(params, clip["clip_norm"]).item())
        made.step()
        after.append([x for p in params for x in p.detach().reshape(-1).tolist()])
    return after, norms


def sequence(optimizer, hyper, name, data, clip=None, groups=None):
    clip = clip or {}
    hyper = {k: tuple(v) if isinstance(v, list) else v for k, v in hyper.items()}
    if groups is not None:
        groups = [
            (n, {k: tuple(v) if isinstance(v, list) else v for k, v in own.items()})
            for n, own in groups
        ]
    after, norms = run(optimizer, hyper, data, clip, groups, torch.float32)
    made = getattr(torch.optim, optimizer)([torch.zeros(2, 2, requires_grad=True)], **hyper)
    lr = made.defaults["lr"]
    entry = {
        "name": f"{optimizer}_{name}",
        "optimizer": optimizer,
        "lr": lr,
        "hyper": {k: v for k, v in hyper.items() if k != "lr"},
        "given": name,
        **clip,
    }
    if groups is not None:
        entry["groups"] = [
            {
                "tensors": n,
                "lr": own.get("lr", lr),
                "hyper": {k: v for k, v in {**hyper, **own}.items() if k != "lr"},
            }
            for n, own in groups
        ]
    entry["params_f32"] = [[f32(x) for x in row] for row in after]
    if norms:
        entry["norms_f32"] = [f32(x) for x in norms]
    return entry


def main():
    rng = random.Random(1616)
    data = {name: given(name, rng) for name in SHAPES}
    gradseq = []
    for hyper in ADAFACTOR:
        names = ["vector", "layers", "matrices", "batches"]
        for name in names + (["large"] if not hyper else []):
            gradseq.append(sequence("Adafactor", hyper, name, data[name]))
    for hyper in MUON:
        for name in ["matrices"] + (["large"] if not hyper else []):
            gradseq.append(sequence("Muon", hyper, name, data[name]))
    for hyper in SPARSE_ADAM:
        gradseq.append(sequence("SparseAdam", hyper, "sparse", data["sparse"]))
    for optimizer, hyper, clip in CLIPPED:
        gradseq.append(sequence(optimizer, hyper, "layers", data["layers"], clip=clip))
    for optimizer, hyper, groups in GROUPED:
        gradseq.append(sequence(optimizer, hyper, "layers", data["layers"], groups=groups))
    meta = {
        "source": "torch.optim in float32 on given gradients",
        "torch": torch.__version__,
        "given": {
            name: {
                "shapes": d["shapes"],
                "steps": d["steps"],
                "p0": [f32(x) for x in d["p0"]],
                "grads": [[None if g is None else f32(g) for g in row] for row in d["grads"]],
            }
            for name, d in data.items()
        },
    }
    lines = ['{"meta": ' + json.dumps(meta) + ',', '"gradseq": [']
    lines.append(",\n".join(json.dumps(entry) for entry in gradseq))
    lines.append("]}")
    path = pathlib.Path(__file__).with_name("optim_more.json")
    path.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
