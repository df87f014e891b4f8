"""Writes `more_losses.json`: losses with weights of every kind, targets of more dimensions,
ignored rows, smoothed probabilities, and gradients of targets; in the form of `losses.json`.

    pip install torch==2.15.0
    python tests/golden/more_losses.py
"""

import pathlib

import torch
import torch.nn.functional as F

from torch_ops import TRUTH, noise, numbers, write

torch.manual_seed(20261130)
REDUCTIONS = ["mean", "sum", "none"]
FUNCTIONS = {
    "MSELoss": F.mse_loss,
    "L1Loss": F.l1_loss,
    "SmoothL1Loss": F.smooth_l1_loss,
    "HuberLoss": F.huber_loss,
    "BCELoss": F.binary_cross_entropy,
    "BCEWithLogitsLoss": F.binary_cross_entropy_with_logits,
    "CrossEntropyLoss": F.cross_entropy,
    "NLLLoss": F.nll_loss,
}
cases = []


def smooth_l1(x, y, reduction, weight, **kwargs):
    """`F.smooth_l1_loss` takes no weight, so this multiplies by it like `F.huber_loss`."""
    losses = F.smooth_l1_loss(x, y, reduction="none", **kwargs) * weight
    return {"mean": losses.mean, "sum": losses.sum, "none": lambda: losses}[reduction]()


def tensor(x, kind=None):
    spec = {"shape": list(x.shape), "data": numbers(x)}
    return spec | ({"type": kind} if kind else {})


def case(loss, x, y, note, trains_target=False, **kwargs):
    classes = not y.is_floating_point()
    # Computes with the numbers that are written.
    x, y = x.float(), y if classes else y.float()
    kwargs = {k: v.float() if isinstance(v, torch.Tensor) else v for k, v in kwargs.items()}
    for reduction in REDUCTIONS:
        one = {"id": f"M{len(cases)}", "loss": loss, "group": "more", "note": note, "reduction": reduction}
        one["kwargs"] = {k: tensor(v) if isinstance(v, torch.Tensor) else v for k, v in kwargs.items()}
        one["input"] = tensor(x, "f32")
        one["target"] = tensor(y, "class_index" if classes else "f32")
        results = []
        for dtype in [torch.float64, torch.float32]:
            a = x.detach().clone().to(dtype).requires_grad_()
            b = y if classes else y.detach().clone().to(dtype).requires_grad_(trains_target)
            settings = {k: v.to(dtype) if isinstance(v, torch.Tensor) else v for k, v in kwargs.items()}
            weighted = loss == "SmoothL1Loss" and "weight" in settings
            function = smooth_l1 if weighted else FUNCTIONS[loss]
            if loss in ("MSELoss", "L1Loss", "HuberLoss") and "weight" in settings:
                settings["weight"] = settings["weight"].expand(x.shape)
            value = function(a, b, reduction=reduction, **settings)
            value.sum().backward()
            results.append([value, a.grad, b.grad if trains_target else None])
        for name, truth in zip(["value_f64", "grad_input_f64", "grad_target_f64"], results[0]):
            if truth is not None:
                one[name] = numbers(truth, TRUTH)
        one["noise"] = [noise(truth, torch32) for truth, torch32 in zip(*results)]
        cases.append(one)


def uniform(*shape, least=0.05, most=0.95):
    return least + (most - least) * torch.rand(shape)


def normal(*shape, scale=2.0):
    return scale * torch.randn(shape)


SETTINGS = {"SmoothL1Loss": {"beta": 0.75}, "HuberLoss": {"delta": 0.75}}
for loss in ["MSELoss", "L1Loss", "SmoothL1Loss", "HuberLoss", "BCELoss", "BCEWithLogitsLoss"]:
    draw = uniform if loss == "BCELoss" else normal
    targets = uniform if loss.startswith("BCE") else normal
    settings = SETTINGS.get(loss, {})
    for shape in [(19,), (3, 5), (2, 3, 4)]:
        case(loss, draw(*shape), targets(*shape), "gradient of the target", True, **settings)
        for weights, note in [(shape, "each element"), (shape[-1:], "columns"), ((1,), "all")]:
            weight = uniform(*weights, least=0.2, most=3.0)
            case(loss, draw(*shape), targets(*shape), f"weights of {note}", True, weight=weight, **settings)
    weight = uniform(4, 1, least=0.2, most=3.0)
    weight[2] = 0.0
    case(loss, draw(4, 9), targets(4, 9), "weights of rows, one of them 0", True, weight=weight, **settings)
for shape in [(19,), (3, 5)]:
    for p in [uniform(shape[-1], least=0.2, most=3.0), uniform(*shape, least=0.2, most=3.0)]:
        x, y = normal(*shape), uniform(*shape)
        case("BCEWithLogitsLoss", x, y, "pos_weight", True, pos_weight=p)
        weight = uniform(*shape, least=0.2, most=3.0)
        case("BCEWithLogitsLoss", x, y, "both weights", True, pos_weight=p, weight=weight)

for shape in [(6, 3), (3, 4, 3), (2, 3, 2, 2), (2, 40), (530, 2)]:
    count = shape[1]
    rows = shape[:1] + shape[2:]
    weight = uniform(count, least=0.2, most=3.0)
    for loss in ["CrossEntropyLoss", "NLLLoss"]:
        x = normal(*shape)
        x = x if loss == "CrossEntropyLoss" else x.log_softmax(1)
        y = torch.randint(count, rows)
        if shape[0] == 530:
            case(loss, x, y, "many rows")
            continue
        ignored = torch.where(torch.rand(rows) < 0.3, 1, y)
        case(loss, x, y, "classes")
        case(loss, x, ignored, "ignore_index=1", ignore_index=1)
        case(loss, x, ignored, "ignore_index=1, class weights", ignore_index=1, weight=weight)
        if loss == "CrossEntropyLoss":
            for smoothing in [0.1, 1.0]:
                settings = {"label_smoothing": smoothing, "ignore_index": 1}
                case(loss, x, ignored, "smoothed", **settings)
                case(loss, x, ignored, "smoothed, class weights", weight=weight, **settings)
            p = normal(*shape).softmax(1)
            case(loss, x, p, "probabilities", True)
            case(loss, x, p, "probabilities, class weights", True, weight=weight)
            case(loss, x, p, "probabilities, smoothed", True, label_smoothing=0.3)
            case(loss, x, p, "all of it", True, weight=weight, label_smoothing=0.3)
case("CrossEntropyLoss", normal(5), uniform(5), "unbatched probabilities", True, weight=uniform(5))
case("NLLLoss", normal(4).log_softmax(0), torch.tensor(2), "unbatched")
none = torch.full((3,), -100)
case("CrossEntropyLoss", normal(3, 4), none, "no row counts")
case("NLLLoss", normal(3, 4), none, "no row counts")
case("CrossEntropyLoss", normal(3, 2), torch.tensor([1, 1, 1]), "weights of 0", weight=torch.tensor([1.0, 0.0]))
# Weights whose sum is 0: every mean is NaN, even a smoothed one, whose numerator is not 0; the
# gradient of a negative log likelihood is NaN only at the targets.
zeros = torch.zeros(3)
for loss in ["NLLLoss", "CrossEntropyLoss"]:
    case(loss, normal(4, 3), torch.tensor([2, 0, 0, 1]), "all weights are 0", weight=zeros)
    case(loss, normal(3), torch.tensor(1), "all weights are 0, unbatched", weight=zeros)
    case(loss, normal(2, 3, 2), torch.tensor([[2, 2], [-100, 1]]), "targets of weight 0", weight=torch.tensor([2.0, 0.0, 0.0]))
for smoothing in [0.3, 1.0]:
    settings = {"label_smoothing": smoothing, "weight": torch.tensor([2.0, 0.0, 0.5])}
    case("CrossEntropyLoss", normal(1, 3), torch.tensor([1]), "a target of weight 0, smoothed", **settings)
    case("CrossEntropyLoss", normal(3, 3), torch.tensor([1, -100, 1]), "targets of weight 0, smoothed", **settings)

write(pathlib.Path(__file__).with_name("more_losses.json"), {}, cases)
