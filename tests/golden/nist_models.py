"""Values and gradients of the models of NIST's 27 sets for nonlinear regression, at both starts
and at the first, the middle and the last input: `python3 nist_models.py FOLDER > nist_models.csv`.
The folder holds NIST's files, which have the formulas. Gradients are central differences in 60
digits, which are independent of any rule of differentiation."""
import pathlib
import re
import struct
import sys

from mpmath import atan, cos, exp, mp, mpf, pi, sin

mp.dps = 60

MODELS = {
    "Misra1a": lambda b, x: b[1] * (1 - exp(-b[2] * x[0])),
    "Chwirut1": lambda b, x: exp(-b[1] * x[0]) / (b[2] + b[3] * x[0]),
    "Lanczos3": lambda b, x: b[1] * exp(-b[2] * x[0]) + b[3] * exp(-b[4] * x[0]) + b[5] * exp(-b[6] * x[0]),
    "Gauss1": lambda b, x: b[1] * exp(-b[2] * x[0])
    + b[3] * exp(-((x[0] - b[4]) ** 2) / b[5] ** 2)
    + b[6] * exp(-((x[0] - b[7]) ** 2) / b[8] ** 2),
    "DanWood": lambda b, x: b[1] * x[0] ** b[2],
    "Misra1b": lambda b, x: b[1] * (1 - (1 + b[2] * x[0] / 2) ** -2),
    "Kirby2": lambda b, x: (b[1] + b[2] * x[0] + b[3] * x[0] ** 2) / (1 + b[4] * x[0] + b[5] * x[0] ** 2),
    "Hahn1": lambda b, x: (b[1] + b[2] * x[0] + b[3] * x[0] ** 2 + b[4] * x[0] ** 3)
    / (1 + b[5] * x[0] + b[6] * x[0] ** 2 + b[7] * x[0] ** 3),
    "Nelson": lambda b, x: b[1] - b[2] * x[0] * exp(-b[3] * x[1]),
    "MGH17": lambda b, x: b[1] + b[2] * exp(-x[0] * b[4]) + b[3] * exp(-x[0] * b[5]),
    "Misra1c": lambda b, x: b[1] * (1 - (1 + 2 * b[2] * x[0]) ** mpf(-0.5)),
    "Misra1d": lambda b, x: b[1] * b[2] * x[0] / (1 + b[2] * x[0]),
    "Roszman1": lambda b, x: b[1] - b[2] * x[0] - atan(b[3] / (x[0] - b[4])) / pi,
    "ENSO": lambda b, x: b[1]
    + b[2] * cos(2 * pi * x[0] / 12)
    + b[3] * sin(2 * pi * x[0] / 12)
    + b[5] * cos(2 * pi * x[0] / b[4])
    + b[6] * sin(2 * pi * x[0] / b[4])
    + b[8] * cos(2 * pi * x[0] / b[7])
    + b[9] * sin(2 * pi * x[0] / b[7]),
    "MGH09": lambda b, x: b[1] * (x[0] ** 2 + x[0] * b[2]) / (x[0] ** 2 + x[0] * b[3] + b[4]),
    "Rat42": lambda b, x: b[1] / (1 + exp(b[2] - b[3] * x[0])),
    "MGH10": lambda b, x: b[1] * exp(b[2] / (x[0] + b[3])),
    "Eckerle4": lambda b, x: (b[1] / b[2]) * exp(-0.5 * ((x[0] - b[3]) / b[2]) ** 2),
    "Rat43": lambda b, x: b[1] / ((1 + exp(b[2] - b[3] * x[0])) ** (1 / b[4])),
    "Bennett5": lambda b, x: b[1] * (b[2] + x[0]) ** (-1 / b[3]),
}
SAME = {"Chwirut2": "Chwirut1", "Lanczos1": "Lanczos3", "Lanczos2": "Lanczos3", "Gauss2": "Gauss1",
        "Gauss3": "Gauss1", "Thurber": "Hahn1", "BoxBOD": "Misra1a"}
SAME |= {name: name for name in MODELS}


def f32(text):
    return mpf(struct.unpack("f", struct.pack("f", float(text)))[0])


def derivative(f, at):
    step = abs(at) * mpf(10) ** -12
    return (f(at + step) - f(at - step)) / (2 * step)


print("# Written by nist_models.py. set, inputs; parameters; value; derivatives")
for path in sorted(pathlib.Path(sys.argv[1]).glob("*.dat")):
    text = path.read_text(encoding="latin-1")
    name = re.search(r"Dataset Name:\s*(\S+)", text)[1].replace("Danwood", "DanWood")
    model = MODELS[SAME[name]]
    rows = re.findall(r"^\s*b\d+ =\s*(\S+)\s+(\S+)\s+\S+\s+\S+\s*$", text, re.M)
    lines = text[text.rindex("\nData:") :].splitlines()[2:]
    data = [line.split()[1:] for line in lines if line.strip()]
    for start in range(2):
        # Rounds to f32, so that only the formulas are compared.
        b = [None] + [f32(row[start]) for row in rows]
        for x in (data[0], data[len(data) // 2], data[-1]):
            x = [f32(text) for text in x]
            value = model(b, x)
            gradient = []
            for k in range(1, len(b)):
                f = lambda at, k=k: model(b[:k] + [at] + b[k + 1 :], x)
                gradient.append(derivative(f, b[k]))
            fields = (x, b[1:], [value], gradient)
            print(name + ";" + ";".join(" ".join(mp.nstr(number, 12) for number in field) for field in fields))
