"""Writes clip.csv and cycles.csv: gradients that are clipped by every norm, and CyclicLR with
functions of the caller.

    pip install torch==2.15.0
    python tests/golden/clip.py

clip.csv: f32 gradients of a single parameter, and the results of `clip_grad_norm_` in f64; if some
are not finite, the results in f32, and whether it raises with `error_if_nonfinite`.
cycles.csv: rates and momenta of 60 steps, as Python computes them in f64.
"""

import os
import random

import torch

torch.set_num_threads(1)
rng = random.Random(17)
here = os.path.dirname(__file__)
number = lambda x: repr(float(x))
list_of = lambda xs: " ".join(number(x) for x in xs)
INF, NAN = float("inf"), float("nan")


def clipped(grads, most, norm, dtype, refuse=False):
    p = torch.zeros(len(grads), dtype=dtype, requires_grad=True)
    p.grad = torch.tensor(grads, dtype=dtype)
    total = torch.nn.utils.clip_grad_norm_([p], most, norm_type=norm, error_if_nonfinite=refuse)
    return float(total), p.grad.tolist()


def raises(grads, most, norm):
    try:
        clipped(grads, most, norm, torch.float32, True)
        return 0
    except RuntimeError:
        return 1


lines = ["norm_type,max_norm,raises,norm,grads,clipped"]
for norm in [1.0, 2.0, 3.0, 4.0, 0.5, 1.5, 10.0, 30.0, INF, -INF, -1.0, -2.5]:
    for i in range(12):
        size = 10.0 ** rng.uniform(-4, 4)
        grads = [rng.gauss(0, size) for _ in range(rng.choice([1, 2, 3, 7, 16, 33]))]
        if i == 0:
            grads[0] = 0.0
        grads = torch.tensor(grads, dtype=torch.float32).tolist()
        most = float(torch.tensor(size * 10.0 ** rng.uniform(-1, 1)))
        total, result = clipped(grads, most, norm, torch.float64)
        lines.append(f"{norm},{most!r},0,{number(total)},{list_of(grads)},{list_of(result)}")
    for grads in [[1.0, INF, -2.0], [-INF, 0.5], [NAN, 1.0], [INF, NAN], [INF, -INF]]:
        total, result = clipped(grads, 1.5, norm, torch.float32)
        refused = raises(grads, 1.5, norm)
        lines.append(f"{norm},1.5,{refused},{number(total)},{list_of(grads)},{list_of(result)}")
with open(os.path.join(here, "clip.csv"), "w") as file:
    file.write("\n".join(lines) + "\n")

FUNCTIONS = {
    "falling": lambda x: 0.9**x,
    "root": lambda x: 1 / (1 + x) ** 0.5,
    "one": lambda x: 1.0,
    "turning": lambda x: 0.5 if x % 2 == 0 else -0.25,
}
lines = ["scale_fn,scale_mode,base_lr,max_lr,up,down,rates,momenta"]
for name, function in FUNCTIONS.items():
    for mode in ["cycle", "iterations"]:
        for _ in range(4):
            base, most = rng.uniform(0.001, 0.1), rng.uniform(0.1, 1.0)
            up, down = rng.randint(1, 12), rng.choice([None, rng.randint(1, 12)])
            sgd = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0, momentum=0.9)
            schedule = torch.optim.lr_scheduler.CyclicLR(
                sgd, base, most, step_size_up=up, step_size_down=down,
                scale_fn=function, scale_mode=mode)
            rates, momenta = [], []
            for _ in range(60):
                rates.append(sgd.param_groups[0]["lr"])
                momenta.append(sgd.param_groups[0]["momentum"])
                sgd.step()
                schedule.step()
            lines.append(f"{name},{mode},{base!r},{most!r},{up},{down or up},"
                         f"{list_of(rates)},{list_of(momenta)}")
with open(os.path.join(here, "cycles.csv"), "w") as file:
    file.write("\n".join(lines) + "\n")
