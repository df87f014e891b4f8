"""Reference values for `baregrad fit`: data, and the fits of scipy's curve_fit and numpy.

    pip install numpy scipy
    python tests/golden/tool_fit.py > tests/golden/tool_fit.json

Noise is a fixed sequence, and data are rounded to the digits that are written, so that both
sides fit the same numbers.
"""

import json

import numpy as np
from scipy.optimize import curve_fit

GOLDEN = (5**0.5 - 1) / 2


def noise(n, scale, seed=0):
    """Spread evenly by the golden ratio, between -1 and 1."""
    return scale * (2 * ((np.arange(1, n + 1) * GOLDEN + 0.37 * seed) % 1.0) - 1)


def rounded(values, digits):
    return np.array([float(f"{v:.{digits}g}") for v in values])


def columns(**named):
    names = list(named)
    rows = zip(*[[repr(float(v)) for v in named[name]] for name in names])
    return "\n".join([",".join(names)] + [",".join(row) for row in rows]) + "\n"


def fitted(function, x, y, start, sigma=None, absolute=False):
    """Parameters, errors, residual standard deviation."""
    # Parameters of about 1, so that no step of differences is too long or too short.
    unit = np.abs(np.array(start))

    def scaled(x, *q):
        return function(x, *(np.array(q) * unit))

    q = np.array(start) / unit
    for _ in range(3):
        q, cov = curve_fit(
            scaled, x, y, p0=q, sigma=sigma, absolute_sigma=absolute,
            method="lm", ftol=1e-15, xtol=1e-15, gtol=1e-15, maxfev=100000,
        )
    # Errors from derivatives by central differences of high order.
    n, count = len(y), len(q)
    jacobian = np.zeros((n, count))
    for j in range(count):
        h = 1e-3
        weights = {-2: 1 / 12, -1: -2 / 3, 1: 2 / 3, 2: -1 / 12}
        for k, w in weights.items():
            at = q.copy()
            at[j] += k * h
            jacobian[:, j] += w * scaled(x, *at) / h
    root = np.ones(n) if sigma is None else 1 / np.asarray(sigma)
    residual = (y - scaled(x, *q)) * root
    weighted = jacobian * root[:, None]
    # Takes the remaining steps to the minimum.
    step, *_ = np.linalg.lstsq(weighted, residual, rcond=None)
    q = q + step
    residual = (y - scaled(x, *q)) * root
    variance = 1.0 if absolute else residual @ residual / (n - count)
    cov = np.linalg.inv(weighted.T @ weighted) * variance
    s = (residual @ residual / (n - count)) ** 0.5
    return q * unit, np.sqrt(np.diag(cov)) * unit, s


def case(name, model, csv, result, x=("x",), more=()):
    p, e, s = result
    return {
        "name": name,
        "model": model,
        "csv": csv,
        "x": list(x),
        "more": list(more),
        "parameters": [[float(a), float(b)] for a, b in zip(p, e)],
        "residual_standard_deviation": float(s),
    }


cases = []

# A line, alone, weighted, and with standard deviations.
x = np.arange(1, 13) * 2.5
y = rounded(1.75 * x - 4.2 + noise(12, 0.8), 6)
sigma = rounded(0.2 + 0.05 * x, 4)
weight = rounded(1 / sigma**2, 6)


def line(x, a, b):
    return a + b * x


cases.append(case("line", "linear", columns(x=x, y=y), fitted(line, x, y, [1, 1])))
csv = columns(x=x, y=y, sigma=sigma, weight=weight)
cases.append(
    case("line-weights", "linear", csv, fitted(line, x, y, [1, 1], weight**-0.5),
         more=["--weights", "weight"])
)
cases.append(
    case("line-sigma", "linear", csv, fitted(line, x, y, [1, 1], sigma, True),
         more=["--sigma", "sigma"])
)

# A polynomial, far enough from 0 that its coefficients are strongly correlated.
x = np.linspace(20, 80, 25)
y = rounded(3 - 0.4 * x + 2e-2 * x**2 - 1.5e-4 * x**3 + noise(25, 0.5, 1), 7)
def cubic(x, a, b, c, d):
    u = (x - 50) / 30
    return a + b * u + c * u**2 + d * u**3
# In powers of u, then in powers of x.
p, _, s = fitted(cubic, x, y, [1, 1, 1, 1])
u = (x - 50) / 30
design = np.vander(u, 4, increasing=True)
cov = np.linalg.inv(design.T @ design) * s**2
to_x = np.zeros((4, 4))
for k in range(4):
    poly = np.poly1d([1 / 30, -50 / 30]) ** k
    to_x[: k + 1, k] = poly.c[::-1]
cases.append(
    case("cubic", "poly:3", columns(x=x, y=y),
         (to_x @ p, np.sqrt(np.diag(to_x @ cov @ to_x.T)), s))
)

# Functions of one sample.
x = np.arange(0, 20) * 0.5
y = rounded(5.5 * np.exp(-0.45 * x) + 1.2 + noise(20, 0.1, 2), 6)
cases.append(
    case("decay", "exp", columns(x=x, y=y),
         fitted(lambda x, a, b, c: a * np.exp(b * x) + c, x, y, [5, -0.5, 1]))
)
x = np.arange(0, 15) * 10.0
y = rounded(0.8 * np.exp(0.031 * x) - 3 + noise(15, 0.6, 3), 6)
cases.append(
    case("growth", "exp", columns(x=x, y=y),
         fitted(lambda x, a, b, c: a * np.exp(b * x) + c, x, y, [1, 0.03, -3]))
)
x = rounded(np.geomspace(0.5, 2000, 18), 5)
y = rounded(340 * x**-0.72 * (1 + noise(18, 0.03, 4)), 6)
cases.append(
    case("photoresistor", "power", columns(x=x, y=y),
         fitted(lambda x, a, b: a * x**b, x, y, [300, -0.7]))
)
x = np.arange(0, 24) * 1.5
y = rounded(87 / (1 + np.exp(-0.33 * (x - 14.5))) + noise(24, 1.5, 5), 6)
cases.append(
    case("growth-to-a-limit", "logistic", columns(x=x, y=y),
         fitted(lambda x, a, b, c: a / (1 + np.exp(-b * (x - c))), x, y, [90, 0.3, 14]))
)
ohm = rounded(np.geomspace(1200, 33000, 16), 6)
ln = np.log(ohm)
celsius = rounded(1 / (1.129e-3 + 2.341e-4 * ln + 8.775e-8 * ln**3) - 273.15 + noise(16, 0.05, 6), 6)
cases.append(
    case("thermistor", "steinhart-hart", columns(x=ohm, y=celsius),
         fitted(lambda r, a, b, c: 1 / (a + b * np.log(r) + c * np.log(r) ** 3) - 273.15,
                ohm, celsius, [1.129e-3, 2.341e-4, 8.775e-8]))
)

# Several inputs: a pressure sensor that depends on its temperature.
grid = [(float(p), float(t)) for t in (-10, 5, 20, 35, 50) for p in (300, 500, 700, 900, 1100)]
raw = np.array([p for p, _ in grid]) + noise(25, 7, 7).round(2)
temperature = np.array([t for _, t in grid]) + noise(25, 1, 8).round(2)
true = 12 + 1.04 * raw - 0.35 * temperature + 2.5e-4 * raw * temperature + 4e-3 * temperature**2
y = rounded(true + noise(25, 0.4, 9), 7)
csv = columns(raw=raw, t=temperature, y=y)


def regression(design):
    q, *_ = np.linalg.lstsq(design, y, rcond=None)
    r = y - design @ q
    s2 = r @ r / (len(y) - design.shape[1])
    return q, np.linalg.inv(design.T @ design) * s2, s2**0.5


one = np.ones(25)
u, v = (raw - 700) / 400, (temperature - 20) / 30
q, cov, s = regression(np.stack([one, u, v], axis=1))
to_x = np.array([[1, -700 / 400, -20 / 30], [0, 1 / 400, 0], [0, 0, 1 / 30]])
cases.append(
    case("two-columns", "linear", csv,
         (to_x @ q, np.sqrt(np.diag(to_x @ cov @ to_x.T)), s), x=("raw", "t"))
)
q, cov, s = regression(np.stack([one, u, v, u * u, u * v, v * v], axis=1))
a, b, c, d = 1 / 400, -700 / 400, 1 / 30, -20 / 30  # u = a x + b, v = c t + d
to_x = np.array([
    # 1, u, v, u², u v, v²
    [1, b, d, b * b, b * d, d * d],
    [0, a, 0, 2 * a * b, a * d, 0],
    [0, 0, c, 0, b * c, 2 * c * d],
    [0, 0, 0, a * a, 0, 0],
    [0, 0, 0, 0, a * c, 0],
    [0, 0, 0, 0, 0, c * c],
])
cases.append(
    case("two-columns-with-products", "poly:2", csv,
         (to_x @ q, np.sqrt(np.diag(to_x @ cov @ to_x.T)), s), x=("raw", "t"))
)

print(json.dumps(cases, indent=1))
