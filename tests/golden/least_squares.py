"""The values that tests/least_squares.rs compares bounds, fixed parameters, sigmas and robust
losses with: `python3 least_squares.py`, with scipy (1.17 gave those in the test) and NumPy.

Data are f32, computations f64. scipy lacks Tukey's loss, which is passed to it as a function,
`rho(z)` as in `baregrad::least_squares::RobustLoss`. Standard errors of robust fits follow Huber's
formula, `cov="H1"` of statsmodels' RLM.
"""

import numpy as np
import scipy
from scipy.optimize import curve_fit, least_squares

T_U = np.float32([35.7, 55.9, 58.2, 81.9, 56.3, 48.9, 33.9, 21.8, 48.4, 60.4, 68.4]).astype(float)
T_C = np.float32([0.5, 14.0, 15.0, 28.0, 11.0, 8.0, 3.0, -4.0, 6.0, 13.0, 21.0]).astype(float)
TENTH = float(np.float32(0.1))


def line(t_u, w, b):
    return w * (TENTH * t_u) + b


def logistic(x, a, b, c):
    return a / (1 + np.exp(-b * (x - c)))


def show(name, params, errors=None):
    text = ", ".join(f"{p:.9}" for p in params)
    if errors is not None:
        text += "  errors " + ", ".join(f"{e:.9}" for e in errors)
    print(f"{name}: {text}")


TIGHT = dict(ftol=1e-15, xtol=1e-15, gtol=1e-15)
print("scipy", scipy.__version__)

# Sigmas.
sigma = np.float32([0.5, 1, 1, 2, 1, 1, 0.5, 1, 1, 1, 2]).astype(float)
for absolute in [False, True]:
    p, cov = curve_fit(line, T_U, T_C, sigma=sigma, absolute_sigma=absolute)
    show(f"sigma, absolute {absolute}", p, np.sqrt(np.diag(cov)))

# Bounds and fixed parameters.
for lower, upper in [([-np.inf, -15], np.inf), ([-np.inf] * 2, [5, np.inf]), ([5.5, -17], [6, -10])]:
    p, _ = curve_fit(line, T_U, T_C, p0=[5.6, -14] if lower[0] == 5.5 else [1, 0], bounds=(lower, upper), **TIGHT)
    show(f"bounds {lower} {upper}", p)
for name, model, p0 in [
    ("b fixed at -15", lambda t, w: line(t, w, -15), [1]),
    ("w fixed at 5", lambda t, b: line(t, 5, b), [1]),
]:
    p, cov = curve_fit(model, T_U, T_C, p0=p0)
    show(name, p, np.sqrt(np.diag(cov)))
x = np.arange(12) * 0.5 - 2
y = np.float32([0.21, 0.3, 0.52, 0.71, 1.02, 1.38, 1.79, 2.11, 2.4, 2.55, 2.76, 2.83]).astype(float)
p, cov = curve_fit(logistic, x, y, p0=[2, 1, 0])
show("logistic", p, np.sqrt(np.diag(cov)))
p, _ = curve_fit(logistic, x, y, p0=[2, 1, 0], bounds=([0, 0, 0], [2.5, np.inf, 1]), **TIGHT)
show("logistic, a <= 2.5, 0 <= c <= 1", p)
p, cov = curve_fit(lambda x, a, c: logistic(x, a, 1, c), x, y, p0=[2, 0])
show("logistic, b fixed at 1", p, np.sqrt(np.diag(cov)))


# Losses: rho, rho' and rho'' in scipy's form.
def tukey(z):
    inside = z < 1
    rest = np.where(inside, 1 - z, 0)
    return np.array([(1 - rest**3) / 3, rest**2, -2 * rest])


LOSSES = {"huber": ("huber", 1.345), "soft_l1": ("soft_l1", 1.3475), "cauchy": ("cauchy", 2.3849), "tukey": (tukey, 4.6851)}


def psi_slope(name, z):
    rest = np.maximum(1 - z, 0)
    return {
        "huber": np.where(z <= 1, 1.0, 0.0),
        "soft_l1": (1 + z) ** -1.5,
        "cauchy": (1 - z) / (1 + z) ** 2,
        "tukey": rest * (1 - 5 * z),
    }[name]


def weight(name, z):
    return {
        "huber": np.where(z <= 1, 1.0, 1 / np.sqrt(np.maximum(z, 1e-300))),
        "soft_l1": (1 + z) ** -0.5,
        "cauchy": 1 / (1 + z),
        "tukey": np.maximum(1 - z, 0) ** 2,
    }[name]


def fit(name, y, f_scale, start):
    loss, _ = LOSSES[name]
    residual = lambda p: line(T_U, *p) - y
    return least_squares(residual, start, loss=loss, f_scale=f_scale, x_scale=[1, 5], max_nfev=2000, **TIGHT).x


def mad(p, y):
    return 1.4826 * np.median(np.abs(line(T_U, *p) - y))


def errors(name, p, y, f_scale):
    r = line(T_U, *p) - y
    z = (r / f_scale) ** 2
    n, k = len(r), len(p)
    slope = psi_slope(name, z)
    correction = 1 + k / n * np.var(slope) / np.mean(slope) ** 2
    variance = correction**2 * np.sum((weight(name, z) * r) ** 2) / (n - k) / np.mean(slope) ** 2
    jacobian = np.stack([TENTH * T_U, np.ones(n)], axis=1)
    return np.sqrt(variance * np.diag(np.linalg.inv(jacobian.T @ jacobian)))


off = T_C.copy()
off[5] += 100
for name, (_, tuning) in LOSSES.items():
    p = fit(name, off, 3.0, [5.4, -17])
    show(f"{name}, f_scale 3", p)
    # Huber's loss gives the scale; then the loss itself is minimised.
    p = np.linalg.lstsq(np.stack([TENTH * T_U, np.ones(11)], axis=1), off, rcond=None)[0]
    scale, before = mad(p, off), 0
    while abs(scale - before) > 1e-3 * scale:
        before = scale
        p = fit("huber", off, 1.345 * scale, p)
        scale = mad(p, off)
    p = fit(name, off, tuning * scale, p)
    show(f"{name}, scale {scale:.7}", p, errors(name, p, off, tuning * scale))
