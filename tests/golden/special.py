"""Writes `special.json`: every operation at zeros of both signs, infinities, NaN,
subnormal numbers and its kinks, with incoming gradients of every kind, by PyTorch in `f32`.

    pip install torch==2.15.0
    python tests/golden/special.py
"""

import itertools
import pathlib

import torch

from torch_ops import as_f32, numbers, run, shortest, write, written

INF, NAN = float("inf"), float("nan")
MIN, TINY, SUB = 1.17549435e-38, 1.40129846e-45, 9.99994610e-41
X = [0.0, -0.0, INF, -INF, NAN, TINY, -TINY, SUB, -SUB, MIN, -MIN, 0.5, -0.5, 1.0, -1.0]
X += [2.5, -2.5, 20.5, -20.5, 100.0, -100.0, 1e20, -1e20, 3e38, -3e38]
PAIR = [0.0, -0.0, 1.0, -1.5, INF, -INF, NAN, SUB, 3e38]
G = [1.0, -2.0, 0.0, -0.0, INF, -INF, NAN]
ROWS = [
    [1.0, 2.0, 3.0], [2.0, 2.0, 1.0], [3.0, 3.0, 3.0], [0.0, -0.0, 0.0], [-0.0, 0.0, -1.0],
    [-0.0, -0.0, -0.0], [NAN, 1.0, 2.0], [1.0, NAN, NAN], [INF, 1.0, 2.0], [INF, INF, 0.0],
    [-INF, 1.0, -1.0], [-INF, -INF, -INF], [INF, -INF, 1.0], [NAN, INF, -INF], [SUB, -SUB, 0.0],
    [3e38, 3e38, 1.0], [-3e38, 3e38, 0.0],
]  # fmt: skip

cases = []


def args_as_json(args):
    return {k: written(v, 9) if isinstance(v, float) else v for k, v in args.items()}


def case(op, leaves, g, **args):
    """`leaves` are (shape, numbers), `g` the gradient of the result."""
    one = {
        "id": len(cases),
        "in": [{"shape": shape, "data": [shortest(as_f32(x)) for x in data]} for shape, data in leaves],
        "prog": [{"op": op, "in": list(range(len(leaves)))}],
        "g": [[shortest(as_f32(x)) for x in g]],
    }
    if args:
        one["prog"][0]["args"] = args_as_json(args)
    result, grads = run(one, torch.float32)
    one["out_shape"] = list(result.shape)
    one["out"] = numbers(result)
    one["grads"] = [numbers(x) for x in grads]
    cases.append(one)


def each(op, xs=X, **args):
    pairs = list(itertools.product(xs, G))
    case(op, [([len(pairs)], [x for x, _ in pairs])], [g for _, g in pairs], **args)


def rows(op, gs=None, **args):
    """Rows, columns, and each row by itself."""
    for g in G:
        flat = [x for row in ROWS for x in row]
        n = len(ROWS)
        columns = [row[i] for i in range(3) for row in ROWS]
        size = 3 * n if gs == "all" else n
        case(op, [([n, 3], flat)], [g] * size, axis=1, **args)
        case(op, [([3, n], columns)], [g] * size, axis=0, **args)
        if gs != "all":
            for row in ROWS:
                case(op, [([3], row)], [g])


for op in ["neg", "square", "sqrt", "exp", "log", "abs", "sin", "cos", "tanh", "sigmoid"]:
    each(op)
for op in ["relu", "gelu_erf", "gelu_tanh", "softplus", "silu"]:
    each(op)
for op in ["add_s", "sub_s", "rsub_s", "mul_s", "div_s", "rdiv_s"]:
    for c in [1.75, 0.0, -0.0, INF, -INF, NAN, SUB]:
        each(op, c=c)
for slope in [0.01, 0.0, -1.0, 2.0, INF, NAN]:
    each("leaky_relu", slope=slope)
    each("elu", alpha=slope)
for n in [0, 1, 2, 3, 4, 5, 20, -1, -2, -3, -4, -7, 2**24 + 1, 2**31 - 1, -(2**31)]:
    each("powi", n=n)
for p in [0.0, -0.0, 0.5, -0.5, 1.0, -1.0, 2.0, -2.0, 3.0, -3.0, 1.5, -1.5, 2.5, 0.25, 4.0]:
    each("powf", p=p)
for p in [INF, -INF, NAN, SUB, -SUB, 3e38, 16777216.0]:
    each("powf", p=p)
for bounds in [
    (-1.0, 1.0), (-1.0, None), (None, 1.0), (1.0, -1.0), (0.0, 0.0), (-0.0, 0.0), (0.0, -0.0),
    (-INF, INF), (INF, None), (None, -INF), (INF, -INF), (NAN, 1.0), (-1.0, NAN), (NAN, NAN),
    (NAN, None), (None, NAN), (INF, NAN),
]:  # fmt: skip
    each("clamp", **{k: b for k, b in zip(("min", "max"), bounds) if b is not None})

for op in ["add", "sub", "mul", "div", "maximum", "minimum"]:
    all_ = list(itertools.product(PAIR, PAIR, G))
    leaves = [([len(all_)], [x[i] for x in all_]) for i in range(2)]
    case(op, leaves, [x[2] for x in all_])

for op in ["sum", "mean", "max", "min", "amax", "amin"]:
    rows(op)
for op in ["sum"]:
    case(op, [([0], [])], [1.0])
    case(op, [([0, 3], [])], [1.0] * 3, axis=0)
    case(op, [([3, 0], [])], [1.0] * 3, axis=1, keepdim=True)
case("mean", [([0], [])], [1.0])
case("mean", [([0, 3], [])], [1.0] * 3, axis=0)
for op in ["softmax", "log_softmax"]:
    rows(op, gs="all")

ONE = [1.0, -1.0, 0.0, -0.0, INF, NAN]
for g in G:
    for op in ["reshape", "transpose", "narrow", "select", "concat"]:
        args = {
            "reshape": {"shape": [3, 2]},
            "narrow": {"axis": 1, "start": 1, "length": 1},
            "select": {"axis": 1, "start": 2},
            "concat": {"axis": 0},
        }.get(op, {})
        size = {"narrow": 2, "select": 2, "concat": 12}.get(op, 6)
        leaves = [([2, 3], ONE)] * (2 if op == "concat" else 1)
        case(op, leaves, [g] * size, **args)
    for x, y in [(ONE, ONE), (ONE, ONE[::-1]), ([0.0] * 6, [-0.0] * 6)]:
        case("mse", [([6], x), ([6], y)], [g])
    for line in [[0.0, -0.0], [1.0, 0.0], [INF, 1.0], [1.0, NAN], [-1.0, INF]]:
        case("line_mse", [([6], ONE), ([2], line), ([6], [1.0] * 6)], [g])

# Products of vectors, of matrices, and of empty tensors.
for a, b in itertools.product([[1.0, 2.0], [-1.0, -1.0], [0.0, INF], [NAN, 1.0]], repeat=2):
    case("matmul", [([2, 2], a + [1.0, 0.5]), ([2, 2], b + [1.0, 0.5])], [1.0, -0.0, 0.0, INF])
    case("matmul", [([2], a), ([2], b)], [1.0])
case("matmul", [([2, 0], []), ([0, 3], [])], [1.0] * 6)
case("matmul", [([2, 0], []), ([0], [])], [1.0] * 2)
case("matmul", [([0], []), ([0], [])], [1.0])
case("matmul", [([0, 2], []), ([2, 3], [1.0] * 6)], [])
case("matmul", [([3, 2], [1.0] * 6), ([2, 0], [])], [])
for op in ["linear", "linear_identity", "linear_tanh", "linear_sigmoid", "linear_relu"]:
    for b in [0.0, -0.0, 1.0, -INF, NAN]:
        case(op, [([2, 2], [1.0, 2.0, INF, -1.0]), ([2, 1], [1.0, 0.5]), ([1], [b])], [1.0, -2.0])
        case(op, [([2, 0], []), ([0, 3], []), ([3], [b] * 3)], [1.0] * 6)
    case(op, [([2], [1.0, 2.0]), ([2], [1.0, 0.5]), ([1], [0.25])], [1.0])
    case(op, [([2], [1.0, 2.0]), ([2], [1.0, 0.5]), ([], [0.25])], [1.0])
    case(op, [([3, 2], ONE), ([2], [1.0, 0.5]), ([1], [0.25])], [1.0, INF, -0.0])
    case(op, [([0, 2], []), ([2, 3], [1.0] * 6), ([3], [1.0] * 3)], [])

for op in ["atan", "expm1", "erf"]:
    each(op)
for op in ["pow", "lt", "le", "gt", "ge", "eq", "ne"]:
    all_ = list(itertools.product(PAIR + [0.5, 2.0, 3.0, -3.0] * (op == "pow"), repeat=2))
    all_ = [(x, y, g) for x, y in all_ for g in G]
    leaves = [([len(all_)], [x[i] for x in all_]) for i in range(2)]
    case(op, leaves, [x[2] for x in all_])
for mask in [1.0, 0.0]:
    all_ = list(itertools.product([mask], PAIR, PAIR[::2], G))
    leaves = [([len(all_)], [x[i] for x in all_]) for i in range(3)]
    case("where", leaves, [x[3] for x in all_])

FEW = [0.0, -0.0, 1.0, -1.5, INF, -INF, NAN, SUB, 3e38]
for op, args in [
    ("l1_loss", {}), ("smooth_l1_loss", {"alpha": 1.0}), ("smooth_l1_loss", {"alpha": 0.0}),
    ("smooth_l1_loss", {"alpha": 2.5}), ("huber_loss", {"alpha": 1.0}), ("huber_loss", {"alpha": 2.5}),
    ("binary_cross_entropy_with_logits", {}), ("bce_with_logits_pos_weight", {"c": 2.0}),
    ("bce_with_logits_pos_weight", {"c": 0.0}),
]:  # fmt: skip
    logits = op.endswith("logits") or op.endswith("pos_weight")
    for x, y in itertools.product(FEW + [100.0, -100.0] * logits, [0.0, 1.0, 0.25] if logits else FEW):
        for g in [1.0, -2.0] if args else [1.0, 0.0, -INF]:
            case(op, [([1], [x]), ([1], [y])], [g], **args)
for p, y in itertools.product([0.0, -0.0, 1.0, 0.5, SUB, 1e-30, 1e-9, 0.99999994], [0.0, 1.0, 0.25]):
    for g in [1.0, -2.0, 0.0]:
        case("binary_cross_entropy", [([1], [p]), ([1], [y])], [g])
for g in [1.0, -2.0, 0.0, INF]:
    for row in ROWS + [[100.0, 0.0, -100.0], [-100.0, 100.0, 1000.0]]:
        for op in ["cross_entropy", "nll_loss"]:
            case(op, [([1, 3], row)], [g])
        for smoothing in [0.0, 0.25, 1.0]:
            case("cross_entropy_probabilities", [([1, 3], row), ([1, 3], [0.25, 0.0, 0.75])], [g], slope=smoothing)
flat = [x for row in [ROWS[0], ROWS[1], ROWS[13], ROWS[8]] for x in row]
case("cross_entropy", [([2, 3, 2], flat)], [1.0])
case("nll_loss", [([2, 3, 2], flat)], [1.0])
case("l1_loss", [([0], []), ([0], [])], [1.0])
case("nll_loss", [([0, 3], [])], [1.0])

# Operations that move, repeat and cut; empty pieces.
for g in G:
    for op, size, args in [
        ("permute", 6, {"shape": [1, 0]}), ("flip", 6, {"shape": [0, 1]}), ("unsqueeze", 6, {"axis": 1}),
        ("expand", 12, {"shape": [2, -1, 3]}), ("split", 2, {"length": 2, "axis": 1, "d0": 1}),
        ("split_sizes", 4, {"start": 1, "axis": 1}), ("chunk", 2, {"length": 2, "axis": 1, "d0": 1}),
    ]:  # fmt: skip
        case(op, [([2, 3], ONE)], [g] * size, **args)
    case("stack", [([2, 3], ONE)] * 2, [g] * 12, axis=1)
    case("expand", [([2, 1], [1.0, -0.0])], [g] * 6, shape=[2, 3])
case("expand", [([1, 3], [1.0] * 3)], [], shape=[0, 3])
case("expand", [([0, 1], [])], [], shape=[0, 3])
case("flip", [([0, 3], [])], [], shape=[0])
case("permute", [([0, 3], [])], [], shape=[1, 0])
case("split", [([0, 3], [])], [], length=2, axis=0, d0=0)
case("chunk", [([0, 3], [])], [], length=2, axis=0, d0=1)

# Windows.
for row in ROWS + [[-0.0, -1.0, 0.0], [1.0, -1.0, 1.0]]:
    for g in [1.0, -0.0, INF, NAN]:
        case("conv1d", [([1, 3], row), ([2, 1, 2], [1.0, -0.5, 0.0, INF])], [g, 1.0, -2.0, g], shape=[1, 0, 1, 1])
        case("conv1d_bias", [([1, 3], row), ([1, 1, 3], [0.5, -1.0, 2.0]), ([1], [-0.0])], [g], shape=[1, 0, 1, 1])
    for g in G:
        for settings in [[2, 1, 1, 1], [3, 1, 1, 1], [2, 2, 0, 1], [2, 1, 1, 2]]:
            for op in ["max_pool1d", "avg_pool1d"]:
                count = {(2, 1, 1, 1): 4, (3, 1, 1, 1): 3, (2, 2, 0, 1): 1}.get(tuple(settings), 4)
                count -= op == "max_pool1d" and settings[3] == 2
                case(op, [([1, 3], row)], [g] * count, shape=settings, keepdim=False)
case("conv1d", [([0, 1, 3], []), ([2, 1, 2], [1.0] * 4)], [], shape=[1, 0, 1, 1])
case("conv1d_bias", [([0, 1, 3], []), ([2, 1, 2], [1.0] * 4), ([2], [1.0] * 2)], [], shape=[1, 0, 1, 1])
case("max_pool1d", [([0, 1, 3], [])], [], shape=[2, 1, 0, 1], keepdim=False)
case("avg_pool1d", [([0, 1, 3], [])], [], shape=[2, 1, 0, 1], keepdim=False)

# Layers. Large numbers and infinities affect all elements that are normalised together.
for row in [[1.0, 2.0, 3.0], [3.0, 3.0, 3.0], [NAN, 1.0, 2.0], [INF, 1.0, 2.0], [1.0, 2.0, -INF]]:
    for g in G:
        case("layer_norm_plain", [([1, 3], row)], [g, 1.0, -2.0], c=1e-5)
        case("layer_norm", [([1, 3], row), ([3], [1.0, 0.5, -0.0]), ([3], [0.0, -0.0, 1.0])], [g, 1.0, -2.0], c=1e-5)
        leaves = [([3, 1], row), ([1], [0.5]), ([1], [-1.0])]
        if row != [3.0] * 3:  # PyTorch's is noise of f32: 158 x - 475.34
            case("batch_norm", leaves, [g, 1.0, -2.0], c=1e-5)
        case("batch_norm_eval", leaves, [g, 1.0, -2.0], c=1e-5)
for g in [INF, -INF]:
    case("layer_norm_plain", [([1, 3], [2.0, 2.0, 1.0])], [g, 1.0, -2.0], c=1e-5)
case("layer_norm_plain", [([0, 3], [])], [], c=1e-5)
case("layer_norm", [([0, 3], []), ([3], [1.0] * 3), ([3], [1.0] * 3)], [], c=1e-5)
for g in G:
    case("dropout", [([6], ONE)], [g] * 6, p=0.5, n=0, d0=1)
    case("dropout", [([6], ONE)], [g] * 6, p=0.0, n=0, d0=1)
    case("gather", [([2, 3], ONE)], [g] * 4, axis=1, length=2)
    case("index_select", [([2, 3], ONE)], [g] * 8, axis=1, length=4)
    case("embedding", [([2, 3], ONE)], [g] * 18, length=3)
    case("matmul_batched", [([2, 1, 2], [1.0, -0.0, INF, 2.0]), ([1, 2, 2], [1.0, 0.5, -1.0, NAN])], [g, 1.0, -2.0, 0.0])
case("matmul_batched", [([2, 3, 0], []), ([2, 0, 1], [])], [1.0] * 6)
case("matmul_batched", [([0, 2, 3], []), ([1, 3, 1], [1.0] * 3)], [])
case("matmul_batched", [([1, 2, 3], [1.0] * 6), ([2, 3, 0], [])], [])
case("matmul_batched", [([2, 0, 3], []), ([3, 1], [1.0] * 3)], [])

for op in ["log10", "log2", "log1p", "rsqrt", "reciprocal", "sign", "tan", "asin", "acos"]:
    each(op)
for op in ["mish", "hardswish", "hardsigmoid", "selu", "softsign", "logsigmoid"]:
    each(op, X + [3.0, -3.0, 9.5, -9.5])
all_ = list(itertools.product(PAIR + [-1.0, 0.5], repeat=2))
all_ = [(x, y, g) for x, y in all_ for g in G]
leaves = [([len(all_)], [x[i] for x in all_]) for i in range(2)]
case("atan2", leaves, [x[2] for x in all_])
all_ = list(itertools.product(PAIR, PAIR, G))
leaves = [([len(all_)], [x[0] for x in all_]), ([1, len(all_)], [x[1] for x in all_])]
case("prelu", leaves, [x[2] for x in all_])

for op in ["sum_axes", "mean_axes", "amax_axes", "amin_axes", "var", "std", "logsumexp", "prod"]:
    rows(op)
rows("var", correction=0)
rows("std", correction=0)
rows("std", correction=3)
for p in [1.0, 2.0, 3.0, 0.5, 1.5, INF, -INF]:
    rows("norm", p=p)
for row in [[0.0, 0.0, 2.0], [0.0, 3.0, 2.0], [-0.0, 3.0, -2.0], [0.0, INF, 2.0], [0.0, NAN, 2.0], [5.0], []]:
    for g in [1.0, -2.0, INF]:
        for op in ["prod", "var", "std", "norm", "logsumexp", "sum_axes", "mean_axes"]:
            case(op, [([len(row)], row)], [g], axis=0)
        case("prod", [([len(row)], row)], [g])
for op in ["amax_axes", "sum_axes", "mean_axes", "var", "std", "norm", "logsumexp"]:
    cube = [1.0, 2.0, 2.0, NAN, 1.0, 0.0, -0.0, INF, 2.0, 1.0, 2.0, INF, 1.0, 0.0, -1.0, 1.0, 0.0, -INF]
    case(op, [([3, 3, 2], cube)], [1.0, -2.0, 3.0], axes=[0, 2])
    case(op, [([3, 3, 2], cube[::-1])], [1.0, -2.0, 3.0], axes=[0, 2])
rows("cumsum", gs="all")

write(pathlib.Path(__file__).with_name("special.json"), {}, cases)
