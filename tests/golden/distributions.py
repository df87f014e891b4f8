"""Quantiles and tails of t and F, for tests/distribution.rs.

    pip install scipy mpmath
    python tests/golden/distributions.py > tests/golden/distributions.csv

Probabilities and degrees of freedom are f32 numbers. Newton steps improve scipy's quantiles, with
up to 2,000 degrees of freedom, until they have the tail of mpmath's incomplete beta function (60
digits).
"""

import math

import mpmath as mp
import numpy as np
from scipy import stats

mp.mp.dps = 40
INF = math.inf


def tail(d1, d2, f, upper):
    """The tail of F, by mpmath."""
    f = mp.mpf(f)
    if d1 == INF:
        return tail(d2, d1, 1 / f, not upper)
    a = mp.mpf(d1) / 2
    if d2 == INF:
        z = a * f
        return mp.gammainc(a, z, mp.inf, regularized=True) if upper else mp.gammainc(a, 0, z, regularized=True)
    b = mp.mpf(d2) / 2
    x, y = a * f / (a * f + b), b / (a * f + b)
    if upper:
        return mp.betainc(b, a, 0, y, regularized=True)
    return mp.betainc(a, b, 0, x, regularized=True)


def log_density(d1, d2, f):
    """The density of ln F."""
    if d1 == INF:
        return log_density(d2, d1, 1 / f)
    a = mp.mpf(d1) / 2
    if d2 == INF:
        z = a * f
        return mp.exp(a * mp.log(z) - z - mp.loggamma(a))
    b = mp.mpf(d2) / 2
    x, y = a * f / (a * f + b), b / (a * f + b)
    lbeta = mp.loggamma(a) + mp.loggamma(b) - mp.loggamma(a + b)
    return mp.exp(a * mp.log(x) + b * mp.log(y) - lbeta)


def scipy_f(d1, d2, p, upper):
    if d1 == INF:
        return 1 / scipy_f(d2, d1, p, not upper)
    if d2 == INF:
        d = stats.chi2(d1)
        return (d.isf(p) if upper else d.ppf(p)) / d1
    d = stats.f(d1, d2)
    return d.isf(p) if upper else d.ppf(p)


DIFFERENT = [0]


def f_quantile(d1, d2, p, upper):
    """scipy's quantile, improved by Newton steps with mpmath."""
    f = mp.mpf(float(scipy_f(d1, d2, p, upper)))
    if max(x for x in (d1, d2, 1) if x != INF) > 2e3:
        return f  # mpmath takes minutes there; scipy's own error is below 1e-11
    start = f
    for _ in range(4):
        found = tail(d1, d2, f, upper)
        off = mp.log(found / mp.mpf(p))
        f = f * mp.exp((1 if upper else -1) * off * found / log_density(d1, d2, f))
        if abs(off) < 1e-15:
            break
    DIFFERENT[0] += abs(f / start - 1) > 1e-9
    return f


def number(x):
    return "inf" if x == INF else repr(float(np.float32(x)))


def main():
    f32 = lambda x: float(np.float32(x))
    # Rounds probabilities p and 1 - p to f32.
    smaller = [1e-6, 1e-5, 1e-4, 1e-3, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.25, 0.3, 0.4, 0.49, 0.4999]
    p_all = [f32(p) for p in smaller] + [0.5] + [f32(1 - p) for p in reversed(smaller)]
    t_freedom = [1, 1.5, 2, 3, 4, 5, 6.3, 7, 9, 10, 15, 20, 30, 50, 99, 100, 300, 1000, 1e4, 1e5, 1e6, 16777216, INF]
    f_freedom = [1, 2, 3, 4.7, 5, 10, 30, 100, 1000, 1e4, 1e6, INF]
    print("distribution,numerator,denominator,p,quantile")
    for freedom in t_freedom:
        for p in p_all:
            p_small = p if p < 0.5 else 1 - p
            if p == 0.5:
                t = mp.mpf(0)
            elif p_small <= 0.25:
                t = mp.sqrt(f_quantile(1, f32(freedom), 2 * p_small, True))
            else:
                t = mp.sqrt(f_quantile(1, f32(freedom), 1 - 2 * p_small, False))
            t = -t if p < 0.5 else t
            print(f"t,1,{number(freedom)},{number(p)},{mp.nstr(t, 12)}")
    for d1 in f_freedom:
        for d2 in f_freedom:
            if d1 == INF and d2 == INF:
                continue
            for p in p_all[::2]:
                upper = p > 0.5
                f = f_quantile(f32(d1), f32(d2), 1 - p if upper else p, upper)
                print(f"f,{number(d1)},{number(d2)},{number(p)},{mp.nstr(f, 12)}")
    import sys

    print("scipy's differ from mpmath's in", DIFFERENT[0], file=sys.stderr)


main()
