"""Writes groups.json: optimizers under schedules, with one and two groups of parameters.

    python tests/golden/groups.py

Gradients are given, and the same for all cases. Every group has its own learning rate and weight
decay; the schedule steps after each step. Some schedules have a list with a number for each group
(LambdaLR and MultiplicativeLR a function: `factor` to the power of the epoch, and `factor`
itself). The file has the rates and the momentum (betas[0] for Adam and its variants) of each step,
and the parameters after it.
"""

import json
import os
import random

import torch
from torch.optim import lr_scheduler as sched

torch.set_num_threads(1)
STEPS = 24
SIZES = [2, 3]
RATES = [0.05, 0.0125]
DECAYS = [0.01, 0.0]

random.seed(16)
f32 = lambda x: torch.tensor(x, dtype=torch.float32).tolist()
start = f32([random.uniform(-1, 1) for _ in range(sum(SIZES))])
grads = [f32([random.uniform(-1, 1) for _ in range(sum(SIZES))]) for _ in range(STEPS)]
metric = [1.0, 0.9, 0.9, 0.95, 0.9, 0.9, 0.8, 0.8, 0.8, 0.8, 0.8, 0.8] * 2

OPTIMIZERS = {
    "SGD": dict(momentum=0.9),
    "RMSprop": dict(momentum=0.9),
    "Adam": {},
    "AdamW": dict(amsgrad=True),
    "NAdam": {},
    "RAdam": {},
    "Adamax": {},
}
SCHEDULES = [
    ("OneCycleLR", dict(max_lr=0.1, total_steps=STEPS + 1)),
    ("OneCycleLR", dict(max_lr=0.1, total_steps=STEPS + 1, anneal_strategy="linear",
                        three_phase=True, base_momentum=0.6, max_momentum=0.98)),
    ("CyclicLR", dict(base_lr=0.01, max_lr=0.1, step_size_up=5)),
    ("CosineAnnealingLR", dict(T_max=9, eta_min=0.005)),
    ("StepLR", dict(step_size=5, gamma=0.3)),
    ("ReduceLROnPlateau", dict(patience=1, factor=0.2, min_lr=0.001)),
    ("PolynomialLR", dict(total_iters=20, power=1.5)),
    ("LambdaLR", dict(factor=0.9)),
]
# For two groups only.
LISTS = [
    ("OneCycleLR", dict(max_lr=[0.1, 0.04], total_steps=STEPS + 1)),
    ("OneCycleLR", dict(max_lr=[0.1, 0.3], total_steps=STEPS + 1, pct_start=0.4,
                        base_momentum=[0.6, 0.7], max_momentum=[0.98, 0.9])),
    ("OneCycleLR", dict(max_lr=0.2, epochs=5, steps_per_epoch=5, three_phase=True,
                        base_momentum=0.8, max_momentum=[0.85, 0.95])),
    ("CyclicLR", dict(base_lr=[0.01, 0.02], max_lr=[0.1, 0.06], step_size_up=5)),
    ("CyclicLR", dict(base_lr=0.01, max_lr=[0.1, 0.2], step_size_up=3, step_size_down=4,
                      mode="triangular2", base_momentum=[0.7, 0.75], max_momentum=0.95)),
    ("CyclicLR", dict(base_lr=[0.02, 0.01], max_lr=0.1, step_size_up=4, mode="exp_range",
                      gamma=0.97, cycle_momentum=False)),
    ("ReduceLROnPlateau", dict(patience=1, factor=0.2, min_lr=[0.001, 0.005])),
    ("LambdaLR", dict(factor=[0.9, 0.8])),
    ("MultiplicativeLR", dict(factor=[0.95, 0.7])),
]


def functions(schedule, kwargs):
    """The functions that `factor` stands for."""
    if "factor" not in kwargs or schedule == "ReduceLROnPlateau":
        return kwargs
    make = {"LambdaLR": lambda factor: lambda epoch: factor**epoch,
            "MultiplicativeLR": lambda factor: lambda epoch: factor}[schedule]
    factor = kwargs["factor"]
    return dict(lr_lambda=[make(f) for f in factor] if isinstance(factor, list) else make(factor))


def run(name, hyper, schedule, kwargs, groups):
    params, at = [], 0
    sizes = SIZES if groups == 2 else [sum(SIZES)]
    for size in sizes:
        params.append(torch.tensor(start[at:at + size], requires_grad=True))
        at += size
    made = [dict(params=[p], lr=RATES[g], weight_decay=DECAYS[g]) for g, p in enumerate(params)]
    optimizer = getattr(torch.optim, name)(made, **hyper)
    scheduler = getattr(sched, schedule)(optimizer, **functions(schedule, kwargs))
    rates, momenta, found = [], [], []
    for step in range(STEPS):
        at = 0
        for p in params:
            p.grad = torch.tensor(grads[step][at:at + p.numel()])
            at += p.numel()
        rates.append([group["lr"] for group in optimizer.param_groups])
        momenta.append([group["momentum"] if "momentum" in group else group["betas"][0]
                        for group in optimizer.param_groups])
        optimizer.step()
        found.append([x for p in params for x in p.tolist()])
        scheduler.step(*([metric[step]] if schedule == "ReduceLROnPlateau" else []))
    return dict(optimizer=name, hyper=hyper, schedule=schedule, kwargs=kwargs,
                groups=groups, lr=rates, momentum=momenta, params=found)


cases = [run(name, hyper, schedule, kwargs, groups)
         for name, hyper in OPTIMIZERS.items()
         for schedule, kwargs in SCHEDULES
         for groups in (1, 2)]
cases += [run(name, hyper, schedule, kwargs, 2)
          for name, hyper in OPTIMIZERS.items()
          for schedule, kwargs in LISTS]
rounded = lambda x, n: [rounded(y, n) for y in x] if isinstance(x, list) else float(f"{x:.{n}g}")
for case in cases:
    for key, digits in dict(lr=12, momentum=12, params=9).items():
        case[key] = rounded(case[key], digits)
path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "groups.json")
with open(path, "w") as file:
    file.write('{"torch": "%s",\n' % torch.__version__)
    for key, value in dict(sizes=SIZES, rates=RATES, decays=DECAYS, start=start,
                           grads=grads, metric=metric).items():
        file.write('"%s": %s,\n' % (key, json.dumps(value)))
    file.write('"cases": [\n' + ",\n".join(json.dumps(case) for case in cases) + "\n]}\n")
