"""Correlations, R², F, intervals, bands and inverse predictions for tests/inference.rs.

    pip install scipy numpy
    python tests/golden/inference.py

Fits are numpy's, in f64, of numbers that f32 holds. The formulas are those of statsmodels (OLS,
WLS: rsquared, rsquared_adj, fvalue, conf_int, get_prediction) and of the GUM.
"""

import numpy as np
from scipy import optimize, stats

f32 = lambda xs: np.float64(np.float32(xs))
T_U = f32([35.7, 55.9, 58.2, 81.9, 56.3, 48.9, 33.9, 21.8, 48.4, 60.4, 68.4])
T_C = f32([0.5, 14.0, 15.0, 28.0, 11.0, 8.0, 3.0, -4.0, 6.0, 13.0, 21.0])
SIGMA = f32([0.5, 1.0, 1.0, 2.0, 1.0, 1.0, 0.5, 0.5, 1.0, 1.0, 1.5])


def show(name, model, gradient, slope, start, x, y, sigma, absolute, at, level, value, deviation, span):
    weight = 1 / sigma
    residuals = lambda p: weight * (model(x, p) - y)
    jacobian = lambda p: weight[:, None] * np.stack(gradient(x, p), axis=1)
    p = optimize.least_squares(residuals, start, jac=jacobian, xtol=1e-15, ftol=1e-15, gtol=1e-15, x_scale="jac").x
    for _ in range(20):  # Gauss–Newton, to the last digit
        p = p - np.linalg.lstsq(jacobian(p), residuals(p), rcond=None)[0]
    n, k = len(x), len(p)
    ssr = np.sum(residuals(p) ** 2)
    s = 1.0 if absolute else np.sqrt(ssr / (n - k))
    inverse = np.linalg.inv(jacobian(p).T @ jacobian(p))
    cov = s**2 * inverse
    se = np.sqrt(np.diag(cov))
    mean = np.sum(weight**2 * y) / np.sum(weight**2)
    sst = np.sum(weight**2 * (y - mean) ** 2)
    unexplained = ssr / sst
    fvalue = (sst - ssr) / (k - 1) / (ssr / (n - k))
    dof = np.inf if absolute else n - k
    t = stats.norm.isf((1 - level) / 2) if absolute else stats.t.isf((1 - level) / 2, dof)
    g = np.array([np.broadcast_to(d, 1)[0] for d in gradient(np.array([at]), p)])
    fit = model(np.array([at]), p)[0]
    u_mean = np.sqrt(g @ cov @ g)
    u_reading = np.sqrt(u_mean**2 + s**2)
    x0 = optimize.brentq(lambda x: model(np.array([x]), p)[0] - value, *span, xtol=1e-14)
    g = np.array([np.broadcast_to(d, 1)[0] for d in gradient(np.array([x0]), p)])
    u0 = np.sqrt(g @ cov @ g + deviation**2) / abs(slope(x0, p))
    print(name)
    print("  params", [f"{v:.9g}" for v in p], "errors", [f"{v:.9g}" for v in se])
    print("  correlation", [f"{cov[i, j] / se[i] / se[j]:.9g}" for i in range(k) for j in range(i)])
    print(f"  1 - R² {unexplained:.9g}, adjusted {1 - unexplained * (n - 1) / (n - k):.9g}, F {fvalue:.9g}, p {stats.f.sf(fvalue, k - 1, n - k):.9g}")
    print("  intervals", [f"{v:.9g}" for a, b in zip(p - t * se, p + t * se) for v in (a, b)])
    print(f"  at {at}: {fit:.9g}, mean {u_mean:.9g}, reading {u_reading:.9g}, band {fit - t * u_mean:.9g} {fit + t * u_mean:.9g}, {fit - t * u_reading:.9g} {fit + t * u_reading:.9g}")
    print(f"  {value} at {x0:.9g}, standard error {u0:.9g}")


line = (lambda x, p: p[0] * x + p[1], lambda x, p: [x, np.ones_like(x)], lambda x, p: p[0])
ones = np.ones_like(T_U)
show("line", *line, [1, 0], T_U, T_C, ones, False, 70.0, 0.95, 25.0, 0.0, (20, 90))
show("weighted", *line, [1, 0], T_U, T_C, SIGMA, False, 70.0, 0.99, 25.0, 0.5, (20, 90))
show("absolute", *line, [1, 0], T_U, T_C, SIGMA, True, 70.0, 0.9, 25.0, 0.5, (20, 90))
quadratic = (
    lambda x, p: p[0] + p[1] * x + p[2] * x * x,
    lambda x, p: [np.ones_like(x), x, x * x],
    lambda x, p: p[1] + 2 * p[2] * x,
)
show("quadratic", *quadratic, [0, 1, 0], T_U, T_C, ones, False, 40.0, 0.95, 10.0, 0.0, (20, 90))
X = f32([0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0])
Y = f32([3.02, 2.21, 1.74, 1.33, 1.13, 0.81, 0.66, 0.55])
exponential = (
    lambda x, p: p[0] * np.exp(p[1] * x) + p[2],
    lambda x, p: [np.exp(p[1] * x), p[0] * x * np.exp(p[1] * x), np.ones_like(x)],
    lambda x, p: p[0] * p[1] * np.exp(p[1] * x),
)
show("exponential", *exponential, [2, -0.5, 0.5], X, Y, np.ones_like(X), False, 2.5, 0.95, 1.5, 0.02, (0, 6))
