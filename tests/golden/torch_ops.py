"""Code that the scripts beside it share: the operations of `src/ops/` in PyTorch, by the names of
the list, and numbers in the form of the files of this directory."""

import json
import math
import struct

import torch
import torch.nn.functional as F

torch.set_num_threads(1)


def axis_or(whole, along):
    """A reduction over everything, or along `axis`."""

    def call(x, a):
        if a.get("axis") is None:
            return whole(x)
        return along(x, a["axis"], a.get("keepdim", False))

    return call


def axes(x, a):
    """The dimensions of a reduction: all if there are none."""
    if a.get("axes"):
        return tuple(a["axes"])
    return tuple(range(x.dim())) if a.get("axis") is None else (a["axis"],)


def linear(act):
    """`act(x w + b)`, in separate operations."""
    return lambda x, w, b, a: act(x @ w + b)


OPS = {
    "add": lambda x, y, a: x + y,
    "sub": lambda x, y, a: x - y,
    "mul": lambda x, y, a: x * y,
    "div": lambda x, y, a: x / y,
    "maximum": lambda x, y, a: torch.maximum(x, y),
    "minimum": lambda x, y, a: torch.minimum(x, y),
    "neg": lambda x, a: -x,
    "add_s": lambda x, a: x + a["c"],
    "sub_s": lambda x, a: x - a["c"],
    "rsub_s": lambda x, a: a["c"] - x,
    "mul_s": lambda x, a: x * a["c"],
    "div_s": lambda x, a: x / a["c"],
    "rdiv_s": lambda x, a: a["c"] / x,
    "square": lambda x, a: x.square(),
    "sqrt": lambda x, a: x.sqrt(),
    "powi": lambda x, a: x.pow(a["n"]),
    "powf": lambda x, a: x.pow(a["p"]),
    "exp": lambda x, a: x.exp(),
    "log": lambda x, a: x.log(),
    "abs": lambda x, a: x.abs(),
    "sin": lambda x, a: x.sin(),
    "cos": lambda x, a: x.cos(),
    "atan": lambda x, a: x.atan(),
    "expm1": lambda x, a: x.expm1(),
    "erf": lambda x, a: x.erf(),
    "pow": lambda x, y, a: x.pow(y),
    "log10": lambda x, a: x.log10(),
    "log2": lambda x, a: x.log2(),
    "log1p": lambda x, a: x.log1p(),
    "rsqrt": lambda x, a: x.rsqrt(),
    "reciprocal": lambda x, a: x.reciprocal(),
    "sign": lambda x, a: x.sign(),
    "tan": lambda x, a: x.tan(),
    "asin": lambda x, a: x.asin(),
    "acos": lambda x, a: x.acos(),
    "atan2": lambda y, x, a: torch.atan2(y, x),
    "lt": lambda x, y, a: (x < y).to(x.dtype),
    "le": lambda x, y, a: (x <= y).to(x.dtype),
    "gt": lambda x, y, a: (x > y).to(x.dtype),
    "ge": lambda x, y, a: (x >= y).to(x.dtype),
    "eq": lambda x, y, a: (x == y).to(x.dtype),
    "ne": lambda x, y, a: (x != y).to(x.dtype),
    "where": lambda mask, x, y, a: torch.where(mask > 0, x, y),
    "tanh": lambda x, a: x.tanh(),
    "sigmoid": lambda x, a: x.sigmoid(),
    "relu": lambda x, a: x.relu(),
    "leaky_relu": lambda x, a: F.leaky_relu(x, a.get("slope", 0.01)),
    "gelu_erf": lambda x, a: F.gelu(x),
    "gelu_tanh": lambda x, a: F.gelu(x, approximate="tanh"),
    "softplus": lambda x, a: F.softplus(x),
    "elu": lambda x, a: F.elu(x, a.get("alpha", 1.0)),
    "silu": lambda x, a: F.silu(x),
    "clamp": lambda x, a: x.clamp(a.get("min"), a.get("max")),
    "mish": lambda x, a: F.mish(x),
    "hardswish": lambda x, a: F.hardswish(x),
    "hardsigmoid": lambda x, a: F.hardsigmoid(x),
    "selu": lambda x, a: F.selu(x),
    "softsign": lambda x, a: F.softsign(x),
    "logsigmoid": lambda x, a: F.logsigmoid(x),
    "prelu": lambda weight, x, a: F.prelu(x, weight),
    "matmul": lambda x, y, a: x @ y,
    "linear": linear(lambda y: y),
    "linear_identity": linear(lambda y: y),
    "linear_tanh": linear(torch.tanh),
    "linear_sigmoid": linear(torch.sigmoid),
    "linear_relu": linear(torch.relu),
    "transpose": lambda x, a: x.transpose(a.get("d0", 0), a.get("d1", 1)),
    "reshape": lambda x, a: x.reshape(a["shape"]),
    "select": lambda x, a: x.select(a["axis"], a["start"]),
    "narrow": lambda x, a: x.narrow(a["axis"], a["start"], a["length"]),
    "concat": lambda *xs: torch.cat(xs[:-1], xs[-1].get("axis", 0)),
    "detach": lambda x, a: x.detach(),
    "sum": axis_or(torch.sum, torch.sum),
    "mean": axis_or(torch.mean, torch.mean),
    "max": axis_or(torch.max, lambda x, d, k: torch.max(x, d, k).values),
    "min": axis_or(torch.min, lambda x, d, k: torch.min(x, d, k).values),
    "amax": axis_or(torch.max, torch.amax),
    "amin": axis_or(torch.min, torch.amin),
    "softmax": lambda x, a: F.softmax(x, a.get("axis", -1)),
    "log_softmax": lambda x, a: F.log_softmax(x, a.get("axis", -1)),
    "sum_axes": lambda x, a: x.sum(axes(x, a), a.get("keepdim", False)),
    "mean_axes": lambda x, a: x.mean(axes(x, a), a.get("keepdim", False)),
    "amax_axes": lambda x, a: x.amax(axes(x, a), a.get("keepdim", False)),
    "amin_axes": lambda x, a: x.amin(axes(x, a), a.get("keepdim", False)),
    "var": lambda x, a: x.var(
        axes(x, a), correction=a.get("correction", 1), keepdim=a.get("keepdim", False)
    ),
    "std": lambda x, a: x.std(
        axes(x, a), correction=a.get("correction", 1), keepdim=a.get("keepdim", False)
    ),
    "norm": lambda x, a: torch.linalg.vector_norm(
        x, a.get("p", 2), axes(x, a), a.get("keepdim", False)
    ),
    "logsumexp": lambda x, a: x.logsumexp(axes(x, a), a.get("keepdim", False)),
    "prod": axis_or(torch.prod, torch.prod),
    "cumsum": lambda x, a: x.cumsum(a.get("axis", 0)),
    "mse": lambda x, y, a: F.mse_loss(x, y),
    "l1_loss": lambda x, y, a: F.l1_loss(x, y),
    "smooth_l1_loss": lambda x, y, a: F.smooth_l1_loss(x, y, beta=a["alpha"]),
    "huber_loss": lambda x, y, a: F.huber_loss(x, y, delta=a["alpha"]),
    "binary_cross_entropy": lambda x, y, a: F.binary_cross_entropy(x, y),
    "binary_cross_entropy_with_logits": lambda x, y, a: F.binary_cross_entropy_with_logits(x, y),
    "bce_with_logits_pos_weight": lambda x, y, a: F.binary_cross_entropy_with_logits(
        x, y, pos_weight=torch.tensor(a["c"], dtype=x.dtype)
    ),
    "cross_entropy": lambda x, a: F.cross_entropy(x, in_turn(x)),
    "cross_entropy_probabilities": lambda x, y, a: F.cross_entropy(
        x, y, label_smoothing=a["slope"]
    ),
    "nll_loss": lambda x, a: F.nll_loss(x, in_turn(x)),
    "permute": lambda x, a: x.permute(a["shape"]),
    "flip": lambda x, a: x.flip(a["shape"]),
    "expand": lambda x, a: x.expand(a["shape"]),
    "unsqueeze": lambda x, a: x.unsqueeze(a["axis"]),
    "stack": lambda *xs: torch.stack(xs[:-1], xs[-1]["axis"]),
    "split": lambda x, a: x.split(a["length"], a["axis"])[a["d0"]],
    "split_sizes": lambda x, a: x.split(
        [a["start"], x.shape[a["axis"]] - a["start"]], a["axis"]
    )[1],
    "chunk": lambda x, a: x.chunk(a["length"], a["axis"])[a["d0"]],
    "conv1d": lambda x, w, a: F.conv1d(x, w, None, *a["shape"]),
    "conv1d_bias": lambda x, w, b, a: F.conv1d(x, w, b, *a["shape"]),
    "max_pool1d": lambda x, a: F.max_pool1d(x, *a["shape"], ceil_mode=a["keepdim"]),
    "avg_pool1d": lambda x, a: F.avg_pool1d(
        x, *a["shape"][:3], a["keepdim"], a["shape"][3] == 1
    ),
    "layer_norm_plain": lambda x, a: F.layer_norm(x, x.shape[-1:], eps=a["c"]),
    "layer_norm": lambda x, w, b, a: F.layer_norm(x, w.shape, w, b, a["c"]),
    "batch_norm": lambda x, w, b, a: F.batch_norm(
        x, None, None, w, b, training=True, eps=a["c"]
    ),
    "batch_norm_eval": lambda x, w, b, a: F.batch_norm(
        x, in_fours(w) - 0.5, in_fours(w) + 0.5, w, b, eps=a["c"]
    ),
    "dropout": lambda x, a: x * kept(x, a["p"], a["n"], a["d0"]),
    "matmul_batched": lambda x, y, a: x @ y,
    "gather": lambda x, a: x.gather(
        a["axis"], indices(x, [*x.shape[: a["axis"]], a["length"], *x.shape[a["axis"] + 1 :]], a["axis"])
    ),
    "index_select": lambda x, a: x.index_select(a["axis"], indices(x, [a["length"]], a["axis"])),
    "embedding": lambda x, a: F.embedding(indices(x, [2, a["length"]], 0), x),
    "line_mse": lambda x, line, y, a: F.mse_loss(line[0] * x + line[1], y),
}


def in_turn(x):
    """A class for each row of `x`: the first for the first, and so on."""
    axis = 1 if x.dim() > 1 else 0
    rows = [size for i, size in enumerate(x.shape) if i != axis]
    return (torch.arange(math.prod(rows)) % max(x.shape[axis], 1)).reshape(rows)


def in_fours(x):
    """Statistics that differ from channel to channel."""
    return (torch.arange(len(x)) % 4).to(x.dtype) * 0.25


def indices(x, shape, axis):
    """Indices of an axis of `x`: some of them several times."""
    i = torch.arange(math.prod(shape))
    return ((i * 7 + i // 3) % x.shape[axis]).reshape(shape)


def kept(x, p, seed, step):
    """Dropout's factors: 0 or 1 / (1 - p), drawn by Philox 4x32-10."""
    bits = 0xFFFFFFFF
    seed &= (1 << 64) - 1
    units = []
    for block in range(-(-x.numel() // 4)):
        c, k = [block & bits, block >> 32, step, 0], [seed & bits, seed >> 32]
        for _ in range(10):
            first, second = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
            c = [second >> 32 ^ c[1] ^ k[0], second & bits, first >> 32 ^ c[3] ^ k[1], first & bits]
            k = [(k[0] + 0x9E3779B9) & bits, (k[1] + 0xBB67AE85) & bits]
        units += [(word >> 8) / 2**24 for word in c]
    # `p` is a float32.
    p = torch.tensor(p, dtype=torch.float32).item()
    factors = [0.0 if unit < p else 1 / (1 - p) for unit in units[: x.numel()]]
    return torch.tensor(factors, dtype=x.dtype).reshape(x.shape)


def number(x):
    """A number for JSON, which lacks NaN and infinities: these are strings."""
    if isinstance(x, str):
        return float(x)
    return x


def written(x, digits):
    if math.isnan(x):
        return "NaN"
    if math.isinf(x):
        return "Infinity" if x > 0 else "-Infinity"
    return float(f"{x:.{digits}g}")


def as_f32(x):
    """The number after rounding to f32, as Rust's `x as f32`."""
    try:
        return struct.unpack("f", struct.pack("f", x))[0]
    except OverflowError:
        return math.copysign(math.inf, x)


def shortest(x):
    """The fewest digits that give the same f32, parsed as f64; 9 are always enough."""
    if not math.isfinite(x):
        return written(x, 9)
    return next(y for digits in range(1, 10) if as_f32(y := written(x, digits)) == x)


def numbers(tensor, digits=None):
    """A flat list, or `None` for no gradient: f32 numbers in the fewest digits, or f64 numbers with
    `digits` digits."""
    if tensor is None:
        return None
    flat = tensor.detach().reshape(-1).tolist()
    return [shortest(as_f32(x)) if digits is None else written(x, digits) for x in flat]


# Digits of what f64 computed: a thousandth of the distance between two f32.
TRUTH = 11


def noise(truth, torch32):
    """The largest difference of PyTorch's f32 from its f64, which is all that tests need; `None`
    for no gradient."""
    if truth is None:
        return None
    off = (truth.detach() - torch32.detach().double()).abs()
    off = off[off.isfinite()]
    return written(off.max().item() if off.numel() else 0.0, 3)


def arguments(args):
    """Replaces JSON's strings by numbers."""
    special = ("NaN", "Infinity", "-Infinity")
    return {k: float(v) if v in special else v for k, v in (args or {}).items()}


def leaf(spec, dtype):
    """A leaf of a program, from its shape and numbers."""
    data = spec["data"]
    data = [number(x) for x in (data if isinstance(data, list) else [data])]
    x = torch.tensor(data, dtype=torch.float32).reshape(spec["shape"]).to(dtype)
    return x.requires_grad_(spec.get("requires_grad", True))


def run(case, dtype):
    """The program of a case: its result, and the gradients of its leaves after as many
    passes as there are incoming gradients."""
    leaves = [leaf(spec, dtype) for spec in case["in"]]
    result = None

    def forward():
        values = list(leaves)
        for step in case["prog"]:
            with torch.set_grad_enabled(not step.get("nograd", False)):
                operands = [values[i] for i in step["in"]]
                values.append(OPS[step["op"]](*operands, arguments(step.get("args"))))
        return values[-1]

    retain = case.get("retain_graph", False)
    for i, g in enumerate(case["g"]):
        if result is None or not retain:
            result = forward()
        g = [number(x) for x in (g if isinstance(g, list) else [g])]
        g = torch.tensor(g, dtype=torch.float32).reshape(result.shape).to(dtype)
        if not result.requires_grad:
            return result, [None] * len(leaves)
        result.backward(g, retain_graph=retain and i + 1 < len(case["g"]))
    return result, [x.grad for x in leaves]


def write(path, meta, cases, **rest):
    """Writes a line for each case."""
    meta = {"torch": torch.__version__, "n": len(cases), "see": "README.md", **meta}
    with open(path, "w") as file:
        file.write('{\n"meta":' + json.dumps(meta, separators=(",", ":")) + ",\n")
        for name, items in {**rest, "cases": cases}.items():
            lines = ",\n".join(json.dumps(x, separators=(",", ":")) for x in items)
            end = "\n}\n" if name == "cases" else ",\n"
            file.write(f'"{name}":[\n{lines}\n]{end}')
