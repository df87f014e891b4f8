"""Writes `entries.json`: every operation of the list on ordinary numbers, each on small
tensors and on some that fill vectors, with PyTorch's results in `f64` and `f32`.

A new operation takes a line in `torch_ops.py` and a line here.

    pip install torch==2.15.0
    python tests/golden/entries.py
"""

import pathlib

import torch

from torch_ops import OPS, TRUTH, noise, numbers, run, write, written

SIZES = [[2, 3], [5, 17], [67]]
MATRICES = [[2, 3], [5, 17], [9, 8]]
PAIRS = [([3], [2, 3]), ([5, 17], [5, 17]), ([4, 1], [1, 33]), ([], [40])]
PRODUCTS = [([2, 3], [3, 4]), ([3, 41], [41, 12]), ([5, 7], [7]), ([7], [7, 5]), ([67], [67])]
CHOICES = [([2, 3], [2, 3], [2, 3]), ([5, 17], [17], [5, 1]), ([67], [], [67]), ([4, 1], [1, 33], [])]
LAYERS = [
    ([4, 3], [3, 2], [2]), ([40, 1], [1, 1], [1]), ([9, 2], [2, 10], [10]), ([33, 7], [7, 17], [17]),
    ([6, 4], [4], [1]), ([4], [4, 3], [3]), ([4], [4], [1]),
]  # fmt: skip

# Name, group of tolerances, shapes of operands, arguments, and whether all are positive,
# or probabilities.
PLAN = []


def each(names, group="unary", sizes=SIZES, positive=False, **args):
    for name in names.split():
        for size in sizes:
            PLAN.append((name, group, [size], args, positive))


def several(names, group, shapes, **args):
    for name in names.split():
        for operands in shapes:
            PLAN.append((name, group, operands, args, False))


each("neg square abs", "scalar")
each("exp sin cos tanh sigmoid relu gelu_erf gelu_tanh softplus silu")
each("sqrt log", positive=True)
each("add_s sub_s rsub_s mul_s div_s rdiv_s", "scalar", c=-1.7)
for n in [-7, -2, -1, 0, 1, 2, 3, 4, 9]:
    each("powi", "pow", [[2, 3], [67]], n=n)
for p in [-1.5, -0.5, 0.5, 1.7, 3.0]:
    each("powf", "pow", [[2, 3], [67]], positive=True, p=p)
each("leaky_relu", slope=0.2)
each("elu", alpha=0.7)
each("clamp", "scalar", min=-0.4, max=0.9)
each("clamp", "scalar", [[67]], min=0.1)
several("add sub mul div maximum minimum", "binary", PAIRS)
several("matmul", "reduce", PRODUCTS)
several("linear linear_identity linear_tanh linear_sigmoid linear_relu", "composite", LAYERS)
each("transpose", "shape", MATRICES, d0=0, d1=1)
each("reshape", "shape", [[2, 3], [9, 8]], shape=[3, -1])
several("concat", "shape", [([2, 3], [1, 3]), ([40], [3], [9])], axis=0)
each("select", "shape", MATRICES, axis=1, start=1)
each("narrow", "shape", MATRICES, axis=1, start=1, length=2)
each("sum mean max min", "reduce")
for axis in [0, 1]:
    each("sum mean max min amax amin", "reduce", MATRICES, axis=axis, keepdim=axis == 0)
    each("softmax log_softmax", "softmax", MATRICES, axis=axis)
several("mse", "composite", [([2, 3], [2, 3]), ([67], [67])])
several("line_mse", "composite", [([5], [2], [5]), ([67], [2], [67])])

each("atan expm1 erf")
several("lt le gt ge eq ne", "scalar", PAIRS)
several("where", "scalar", CHOICES)
for operands in PAIRS:
    PLAN.append(("pow", "pow", operands, {}, True))

LOSSES = [([2, 3], [2, 3]), ([67], [67])]
several("l1_loss binary_cross_entropy_with_logits", "composite", LOSSES)
several("smooth_l1_loss huber_loss", "composite", LOSSES, alpha=0.75)
several("bce_with_logits_pos_weight", "composite", LOSSES, c=1.75)
for operands in LOSSES:
    PLAN.append(("binary_cross_entropy", "composite", operands, {}, "probability"))
CLASSES = [[2, 3], [5, 17], [7], [3, 4, 5]]
each("cross_entropy nll_loss", "composite", CLASSES)
several("cross_entropy_probabilities", "composite", [(x, x) for x in CLASSES], slope=0.2)

# Operations on dimensions, and on parts of them.
for axes in [[1, 2, 0], [-1, 0, 1], [0, 2, 1]]:
    each("permute", "shape", [[2, 3, 4], [3, 1, 17]], shape=axes)
each("permute", "shape", [[2, 3, 2, 2]], shape=[3, 1, 0, 2])
each("permute", "shape", [[67]], shape=[0])
for axes in [[0], [-1], [0, -1], [1, 2, 0], []]:
    each("flip", "shape", [[2, 3, 4], [3, 2, 17]], shape=axes)
# Operations that repeat elements, whose gradients are sums.
each("expand", "binary", [[2, 1], [9, 1]], shape=[4, -1, 17])
each("expand", "binary", [[3], [1]], shape=[2, 5, 3])
each("expand", "binary", [[2, 1, 5]], shape=[3, 2, 70, 5])
each("expand", "binary", [[]], shape=[40])
each("expand", "binary", [[2, 3]], shape=[-1, 3])
for axis in [0, 2, -1, -3]:
    each("unsqueeze", "shape", MATRICES, axis=axis)
for axis in [0, 1, -1]:
    several("stack", "shape", [([2, 3],), ([5, 17],) * 2, ([2, 3],) * 4, ([67],) * 3], axis=axis)
for axis in [0, -1]:
    each("split chunk", "shape", [[5, 17], [9, 8]], length=4, axis=axis, d0=1)
    each("split chunk", "shape", [[5, 17]], length=3, axis=axis, d0=0)
    each("split_sizes", "shape", [[5, 17], [9, 8]], start=3, axis=axis)

# Windows of a signal: shape has stride, padding, dilation and groups, or those of pooling.
SIGNALS = [([2, 3, 9], [4, 3, 3]), ([3, 20], [2, 3, 5]), ([1, 1, 40], [1, 1, 7])]
for settings in [[1, 0, 1, 1], [2, 1, 1, 1], [1, 3, 2, 1], [3, 2, 1, 1]]:
    several("conv1d", "composite", SIGNALS, shape=settings)
    several("conv1d_bias", "composite", [(x, w, w[:1]) for x, w in SIGNALS], shape=settings)
several("conv1d", "composite", [([2, 4, 11], [6, 2, 3])], shape=[1, 1, 1, 2])
several("conv1d", "composite", [([2, 4, 11], [8, 1, 3])], shape=[2, 2, 2, 4])
several("conv1d", "composite", [([2, 33, 7], [5, 33, 3]), ([40, 2, 5], [2, 2, 2])], shape=[1, 0, 1, 1])
several("conv1d_bias", "composite", [([2, 6, 30], [3, 2, 4], [3])], shape=[3, 1, 2, 3])
ROWS = [[2, 3, 9], [3, 20], [1, 1, 67]]
for settings in [[2, 2, 0, 1], [3, 1, 1, 1], [3, 2, 1, 2], [5, 3, 2, 1], [4, 1, 2, 2]]:
    for ceil in [False, True]:
        each("max_pool1d", "shape", ROWS, shape=settings, keepdim=ceil)
for settings in [[2, 2, 0], [3, 1, 1], [3, 2, 1], [5, 3, 2], [4, 5, 1], [1, 1, 0]]:
    for ceil, counted in [(False, 1), (True, 1), (True, 0), (False, 0)]:
        each("avg_pool1d", "reduce", ROWS, shape=[*settings, counted], keepdim=ceil)
each("max_pool1d avg_pool1d", "shape", [[2, 2]], shape=[3, 2, 0, 1], keepdim=True)

# Layers of networks.
each("layer_norm_plain", "composite", [[2, 3], [5, 17], [67], [2, 3, 40]], c=1e-5)
several("layer_norm", "composite", [([4, 3], [3], [3]), ([2, 5, 17], [5, 17], [5, 17]), ([70, 5], [5], [5])], c=1e-5)
several("layer_norm", "composite", [([2, 3, 4], [4], [4])], c=0.5)
CHANNELS = [([4, 3], [3], [3]), ([5, 4, 17], [4], [4]), ([2, 3, 3, 5], [3], [3]), ([1, 2, 9], [2], [2]), ([70, 5], [5], [5])]
several("batch_norm batch_norm_eval", "composite", CHANNELS, c=1e-5)
several("batch_norm batch_norm_eval", "composite", CHANNELS[:1], c=0.5)
for p, seed, step in [(0.4, 3, 7), (0.75, -1, 0), (0.0, 0, 1)]:
    each("dropout", "scalar", [[2, 3], [5, 17], [67]], p=p, n=seed, d0=step)
BATCHES = [
    ([2, 2, 3], [2, 3, 4]), ([5, 1, 2, 3], [3, 3, 4]), ([1, 2, 3], [4, 3, 2]), ([4, 2, 3], [1, 3, 2]),
    ([2, 3, 5, 7], [7, 2]), ([2, 3, 5, 7], [7]), ([7], [3, 7, 2]), ([5, 7], [2, 3, 7, 2]), ([2, 1, 4, 9], [1, 3, 9, 8]),
    ([70, 2, 3], [1, 3, 2]), ([3, 1, 2, 3], [70, 3, 2]), ([4, 3], [9, 3, 2]),
]  # fmt: skip
several("matmul_batched", "reduce", BATCHES)
for axis in [0, 1]:
    for length in [1, 2, 5]:
        each("gather", "reduce", [[2, 3], [5, 17]], axis=axis, length=length)
    each("index_select", "reduce", [[2, 3], [5, 17], [3, 4, 5]], axis=axis, length=7)
each("gather", "reduce", [[2, 5, 3]], axis=2, length=70)
each("embedding", "reduce", [[2, 3], [17, 5]], length=40)

# The torch generator continues from case to case, so new cases come last, and earlier ones keep
# their numbers.
each("log10 log2 log1p rsqrt", positive=True)
each("reciprocal sign", "scalar")
each("tan asin acos", positive="probability")
several("atan2", "binary", PAIRS)
each("mish selu softsign logsigmoid")
each("hardswish hardsigmoid", "scalar")
several("prelu", "binary", [([1], [2, 3]), ([17], [5, 17]), ([1], [67]), ([4], [3, 4, 5])])
CUBES = [[2, 3, 2], [5, 17, 3], [3, 2, 4, 5]]
for names, group, args in [
    ("sum_axes mean_axes amax_axes amin_axes logsumexp var std norm", "reduce", {}),
    ("var std", "reduce", {"correction": 0}),
    ("norm", "reduce", {"p": 1}),
    ("norm", "composite", {"p": 3.5}),
    ("norm", "composite", {"p": 1.5}),
    ("norm", "composite", {"p": 0.5}),
]:
    each(names, group, CUBES, axes=[0, -1], **args)
    each(names, group, CUBES, axes=[1, 2], keepdim=True, **args)
    each(names, group, [[2, 3], [67], [5, 171]], **args)
    each(names, group, MATRICES, axis=0, **args)
each("var std", "reduce", [[7], [5, 17]], correction=2.5)
for p in [float("inf"), float("-inf")]:
    each("norm", "reduce", CUBES, axes=[0, 2], p=p)
for names in ["sum_axes mean_axes amax_axes amin_axes logsumexp var std norm"]:
    each(names, "reduce", [[3, 2, 4, 5]], axes=[0, 2])
    each(names, "reduce", [[3, 2, 4, 5]], axes=[-3, 3], keepdim=True)
each("prod", "reduce", [[2, 3], [7], [2, 4]])
for axis in [0, -1]:
    each("prod cumsum", "reduce", [*MATRICES, [2, 3, 4]], axis=axis, keepdim=axis == 0)
each("cumsum", "reduce", [[700]], axis=0)

cases = []
torch.manual_seed(20261129)


def draw(shape, positive=False):
    """Away from 0, where some derivatives are large; probabilities also from 1."""
    if positive == "probability":
        return numbers(0.05 + 0.9 * torch.rand(shape))
    sign = 1.0 if positive else torch.sign(torch.randn(shape))
    return numbers((0.1 + 1.5 * torch.rand(shape)) * sign)


def args_as_json(args):
    return {k: written(v, 9) if isinstance(v, float) else v for k, v in args.items()}


for name, group, shapes, args, positive in PLAN:
    one = {
        "id": f"E{len(cases)}",
        "tag": name,
        "group": group,
        "cmp": "f64",
        "in": [{"shape": shape, "data": draw(shape, positive)} for shape in shapes],
        "prog": [{"op": name, "in": list(range(len(shapes))), "args": args_as_json(args)}],
    }
    leaves = [torch.zeros(shape) for shape in shapes]
    one["out_shape"] = list(OPS[name](*leaves, args).shape)
    one["g"] = [draw(one["out_shape"])]
    (result, grads), (result32, grads32) = run(one, torch.float64), run(one, torch.float32)
    one["out"], one["grads"] = numbers(result, TRUTH), [numbers(x, TRUTH) for x in grads]
    one["noise"] = [noise(x, y) for x, y in zip([result, *grads], [result32, *grads32])]
    cases.append(one)

write(pathlib.Path(__file__).with_name("entries.json"), {}, cases)
