"""Lines through points with errors in both coordinates, for tests/straight_line.rs.

    pip install scipy numpy
    python tests/golden/lines.py

Lines minimise York's sum of squares S over the slope, in f64, for numbers that f32 holds.
Standard errors are those at the adjusted points (York et al. 2004).
"""

import numpy as np
from scipy import optimize

f32 = lambda xs: np.float64(np.float32(xs))


def fit(name, x, y, sx, sy, r=0.0, scaled=False, start=None):
    x, y, sx, sy, r = (np.broadcast_to(f32(v), np.shape(x)) for v in (x, y, sx, sy, r))

    def state(b):
        w = 1 / (sy**2 + b * b * sx**2 - 2 * b * r * sx * sy)
        xm, ym = np.sum(w * x) / np.sum(w), np.sum(w * y) / np.sum(w)
        return w, xm, ym

    def s(b):
        w, xm, ym = state(b)
        return np.sum(w * (y - ym - b * (x - xm)) ** 2)

    b = np.polyfit(x, y, 1)[0] if start is None else start
    for _ in range(2000):  # York's equation, to the last digit
        w, xm, ym = state(b)
        u, v = x - xm, y - ym
        beta = w * (u * sy**2 + b * v * sx**2 - (b * u + v) * r * sx * sy)
        b = np.sum(w * beta * v) / np.sum(w * beta * u)
    low = optimize.minimize_scalar(s, bracket=(b * 0.99, b * 1.01), tol=1e-14).x
    assert abs(low / b - 1) < 1e-6, (low, b)  # a minimum of S it is
    w, xm, ym = state(b)
    u, v = x - xm, y - ym
    beta = w * (u * sy**2 + b * v * sx**2 - (b * u + v) * r * sx * sy)
    adjusted = xm + beta
    center = np.sum(w * adjusted) / np.sum(w)
    scale = np.sqrt(s(b) / (len(x) - 2)) if scaled else 1.0
    sb = scale / np.sqrt(np.sum(w * (adjusted - center) ** 2))
    sa = np.sqrt(scale**2 / np.sum(w) + (center * sb) ** 2)
    print(f"{name}: slope {b:.9g} ± {sb:.9g}, intercept {ym - b * xm:.9g} ± {sa:.9g}, covariance {-center * sb * sb:.9g}, S {s(b):.9g}")
    x0 = (8.0 - (ym - b * xm)) / b
    u0 = np.sqrt(0.1**2 + sb**2 * (x0 - center) ** 2 + scale**2 / np.sum(w)) / abs(b)
    print(f"    8 ± 0.1 at {x0:.9g} ± {u0:.9g}")


X = [0.0, 0.9, 1.8, 2.6, 3.3, 4.4, 5.2, 6.1, 6.5, 7.4]
Y = [5.9, 5.4, 4.4, 4.6, 3.5, 3.7, 2.8, 2.8, 2.4, 1.5]
WX = np.array([1000, 1000, 500, 800, 200, 80, 60, 20, 1.8, 1])
WY = np.array([1, 1.8, 4, 8, 20, 20, 70, 70, 100, 500])
fit("Pearson, York's weights", X, Y, WX**-0.5, WY**-0.5)
fit("Pearson, York's weights, correlated 0.4", X, Y, WX**-0.5, WY**-0.5, 0.4)
fit("Pearson, orthogonal", X, Y, 1.0, 1.0, scaled=True)
fit("Pearson, ratio 4", X, Y, 1.0, 2.0, scaled=True)
IX, IY = [1.2, 1.9, 2.9, 4.0, 4.7, 5.9], [3.4, 4.4, 7.2, 8.5, 10.8, 13.5]
fit("ISO 28037, clause 8", IX, IY, 0.2, [0.2, 0.2, 0.2, 0.4, 0.4, 0.4])
