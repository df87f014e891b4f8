"""Writes sched_more.json: random programs of every schedule, in the schema of sched.json.

    pip install torch==2.15.0
    python tests/golden/sched_more.py [SEED PROGRAMS DIRECTORY]

Without arguments it writes the committed file, with 4 programs of each schedule. With them, it
writes PROGRAMS other ones to DIRECTORY/sched.json, for `BAREGRAD_GOLDEN_DIR`.
"""

import json
import math
import os
import random
import sys
import warnings

import torch
from torch.optim import lr_scheduler

warnings.filterwarnings("ignore")
torch.set_num_threads(1)
STEPS = 60

seed, programs = (int(x) for x in sys.argv[1:3]) if len(sys.argv) > 1 else (16, 4)
rng = random.Random(seed)
count, pick, between = rng.randint, rng.choice, rng.uniform
power = lambda low, high: 10.0 ** between(low, high)


def arguments(name):
    """Random arguments: all required ones, and some of the others."""
    total, momenta = [1, 2, 5, 30, 90], dict(
        cycle_momentum=rng.random() < 0.7, base_momentum=between(0.5, 0.8),
        max_momentum=between(0.86, 0.99))
    needed, others = {
        "StepLR": lambda: (dict(step_size=count(1, 25)), dict(gamma=between(0.05, 1.4))),
        "MultiStepLR": lambda: (
            dict(milestones=sorted(count(0, 60) for _ in range(count(0, 5)))),
            dict(gamma=between(0.05, 1.4))),
        "ConstantLR": lambda: ({}, dict(factor=between(0.01, 1.0), total_iters=pick([0] + total))),
        "LinearLR": lambda: ({}, dict(
            start_factor=between(0.001, 1.0), end_factor=pick([0.0, 1.0, between(0.0, 1.0)]),
            total_iters=pick(total))),
        "ExponentialLR": lambda: (dict(gamma=between(0.5, 1.05)), {}),
        "PolynomialLR": lambda: ({}, dict(
            total_iters=pick(total), power=pick([0.0, 0.5, 1.0, 2.0, between(0.0, 4.0)]))),
        "CosineAnnealingLR": lambda: (
            dict(T_max=pick([1, 2, 3, 7, 20, 59, 200])), dict(eta_min=pick([0.0, between(0, 0.2)]))),
        "CosineAnnealingWarmRestarts": lambda: (
            dict(T_0=count(1, 20)), dict(T_mult=count(1, 4), eta_min=between(0.0, 0.2))),
        "OneCycleLR": lambda: (
            dict(max_lr=between(0.01, 2.0), total_steps=pick([61, 62, 80, 200])),
            dict(pct_start=between(0.05, 0.45), anneal_strategy=pick(["cos", "linear"]),
                 div_factor=between(1.5, 50.0), final_div_factor=power(0, 5),
                 three_phase=rng.random() < 0.6, **momenta)),
        "CyclicLR": lambda: (
            dict(base_lr=between(0.001, 0.1), max_lr=between(0.1, 1.0),
                 step_size_up=count(1, 30)),
            dict(step_size_down=count(1, 30), gamma=between(0.9, 1.01),
                 mode=pick(["triangular", "triangular2", "exp_range"]), **momenta)),
        "MultiplicativeLR": lambda: (dict(factor=between(0.7, 1.05)), {}),
        "LambdaLR": lambda: (dict(factor=between(0.7, 1.05)), {}),
        "ReduceLROnPlateau": lambda: (dict(patience=count(0, 6)), dict(
            mode=pick(["min", "max"]), factor=between(0.05, 0.95), threshold=power(-5, -0.5),
            threshold_mode=pick(["rel", "abs"]), cooldown=count(0, 5), min_lr=power(-5, -1),
            eps=power(-9, -1.5))),
    }[name]()
    return {**needed, **{k: v for k, v in others.items() if rng.random() < 0.5}}


ALONE = ["StepLR", "MultiStepLR", "ConstantLR", "LinearLR", "ExponentialLR", "PolynomialLR",
         "CosineAnnealingLR", "CosineAnnealingWarmRestarts", "MultiplicativeLR", "LambdaLR",
         "OneCycleLR", "CyclicLR", "ReduceLROnPlateau"]
PARTS = ALONE[:-3]


def program(name):
    if name in ALONE:
        return dict(name=name, kwargs=arguments(name))
    names = rng.choices(PARTS, k=count(2, 4))
    made = dict(name=name, parts=[dict(name=part, kwargs=arguments(part)) for part in names])
    if name == "SequentialLR":
        # A schedule that continues from the current rate follows another one in every second program.
        if rng.random() < 0.5:
            made["parts"][-1] = dict(name="MultiplicativeLR", kwargs=arguments("MultiplicativeLR"))
        made["milestones"] = sorted(rng.sample(range(1, 58), len(names) - 1))
    return made


def make(optimizer, what):
    name = what["name"]
    if "parts" in what:
        parts = [make(optimizer, part) for part in what["parts"]]
        if name == "SequentialLR":
            return lr_scheduler.SequentialLR(optimizer, parts, what["milestones"])
        return lr_scheduler.ChainedScheduler(parts)
    kwargs = dict(what["kwargs"])
    if name in ("LambdaLR", "MultiplicativeLR"):
        factor = kwargs.pop("factor")
        kwargs["lr_lambda"] = lambda epoch: factor**epoch if name == "LambdaLR" else factor
    return getattr(lr_scheduler, name)(optimizer, **kwargs)


def metric(step):
    """Metrics: mostly better than before, sometimes equal, sometimes NaN."""
    found = pick([between(0.2, 1.0), 1.0 - 0.01 * step, 0.5, 0.5 + 0.001 * between(-1, 1)])
    return math.nan if rng.random() < 0.03 else torch.tensor(found).item()


def run(number, what):
    base_lr = between(0.01, 1.0)
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=base_lr, momentum=0.9)
    scheduler = make(optimizer, what)
    group = optimizer.param_groups[0]
    lr, momentum, metrics = [group["lr"]], [group["momentum"]], []
    for step in range(STEPS):
        optimizer.step()
        if what["name"] == "ReduceLROnPlateau":
            metrics.append(metric(step))
            scheduler.step(metrics[-1])
        else:
            scheduler.step()
        lr.append(group["lr"])
        momentum.append(group["momentum"])
    digits = lambda xs: [float(f"{float(x):.12g}") for x in xs]
    case = dict(id=number, base_lr=base_lr, **what, lr=digits(lr))
    if len(set(momentum)) > 1:
        case["momentum"] = digits(momentum)
    if metrics:
        case["metric"] = ["NaN" if math.isnan(x) else x for x in metrics]
    return case


def main():
    cases = []
    for name in ALONE + ["SequentialLR", "ChainedScheduler"]:
        cases += [run(len(cases) + i, program(name)) for i in range(programs)]
    here = os.path.dirname(os.path.abspath(__file__))
    path = os.path.join(*([sys.argv[3], "sched.json"] if sys.argv[3:] else [here, "sched_more.json"]))
    meta = dict(source="torch.optim.lr_scheduler", torch=torch.__version__, seed=seed)
    with open(path, "w") as file:
        file.write('{"meta": %s,\n"cases": [\n' % json.dumps(meta))
        file.write(",\n".join(json.dumps(case) for case in cases) + "\n]}\n")


main()
