//! The jobs as a person would write them for speed: plain safe Rust, gradients
//! worked out on paper, everything inline. Tapes are measured against them.

// Lanes are what the index counts.
#![allow(clippy::needless_range_loop)]

use std::hint::black_box;

use super::{Line, Sine, jobs, thermometer as data};

/// J1: three sums over eleven samples in one loop. The loss is that of the
/// parameters before the update.
pub struct Thermometer {
    x: [f32; 11],
    y: [f32; 11],
    pub w: f32,
    pub b: f32,
}

impl Thermometer {
    pub fn new() -> Self {
        Thermometer {
            // Data are not known when compiling.
            x: black_box(data::X),
            y: black_box(data::Y),
            w: 1.0,
            b: 0.0,
        }
    }

    #[inline(always)]
    pub fn epoch(&mut self) -> f32 {
        let [mut squares, mut sum, mut dot] = [0.0_f32; 3];
        for (x, y) in self.x.iter().zip(&self.y) {
            let d = self.w * x + self.b - y;
            squares += d * d;
            sum += d;
            dot += d * x;
        }
        let n = self.x.len() as f32;
        self.w -= data::LEARNING_RATE * 2.0 / n * dot;
        self.b -= data::LEARNING_RATE * 2.0 / n * sum;
        squares / n
    }
}

/// J5: slope, constant and their standard errors by the closed form, in `f64`: sums of
/// readings, of differences from their means, and of squared residuals.
pub struct ClosedForm {
    t_u: [f32; 11],
    y: [f32; 11],
}

impl ClosedForm {
    pub fn new() -> Self {
        ClosedForm {
            t_u: black_box(data::T_U),
            y: black_box(data::Y),
        }
    }

    pub fn solve(&mut self) -> [[f64; 2]; 2] {
        let n = self.t_u.len() as f64;
        let samples = || {
            let x = self.t_u.iter().map(|t_u| f64::from(0.1 * t_u));
            x.zip(self.y.iter().map(|y| f64::from(*y)))
        };
        let (mut x_mean, mut y_mean) = (0.0, 0.0);
        for (x, y) in samples() {
            x_mean += x / n;
            y_mean += y / n;
        }
        let (mut xx, mut xy) = (0.0, 0.0);
        for (x, y) in samples() {
            xx += (x - x_mean) * (x - x_mean);
            xy += (x - x_mean) * (y - y_mean);
        }
        let w = xy / xx;
        let b = y_mean - w * x_mean;
        let mut squares = 0.0;
        for (x, y) in samples() {
            let residual = w * x + b - y;
            squares += residual * residual;
        }
        let variance = squares / (n - 2.0);
        let b_error = (variance * (1.0 / n + x_mean * x_mean / xx)).sqrt();
        [[w, b], [(variance / xx).sqrt(), b_error]]
    }
}

/// A cubic through the same samples, by Horner's rule: five sums in one loop.
pub struct Cubic {
    x: [f32; 11],
    y: [f32; 11],
    pub a: [f32; 4],
}

impl Cubic {
    pub fn new() -> Self {
        Cubic {
            x: black_box(data::U),
            y: black_box(data::Y),
            a: [0.0; 4],
        }
    }

    #[inline(always)]
    pub fn epoch(&mut self) -> f32 {
        let [a0, a1, a2, a3] = self.a;
        let (mut squares, mut dots) = (0.0_f32, [0.0_f32; 4]);
        for (x, y) in self.x.iter().zip(&self.y) {
            let d = ((a3 * x + a2) * x + a1) * x + a0 - y;
            let (dx, x2) = (d * x, x * x);
            squares += d * d;
            dots[0] += d;
            dots[1] += dx;
            dots[2] += d * x2;
            dots[3] += dx * x2;
        }
        let n = self.x.len() as f32;
        for (a, dot) in self.a.iter_mut().zip(dots) {
            *a -= data::CUBIC_LEARNING_RATE * 2.0 / n * dot;
        }
        squares / n
    }
}

/// J3: one pass over the data, 32 accumulators for each of three sums.
pub struct Stream {
    pub w: f32,
    pub b: f32,
}

const PARTS: usize = 32;

impl Stream {
    pub fn new() -> Self {
        Stream { w: 1.0, b: 1.0 }
    }

    #[inline(never)]
    pub fn epoch(&mut self, line: &Line) -> f32 {
        let [mut squares, mut sum, mut dot] = [[0.0_f32; PARTS]; 3];
        let (xs, x_rest) = line.x.as_chunks::<PARTS>();
        let (ys, y_rest) = line.y.as_chunks::<PARTS>();
        for (x, y) in xs.iter().zip(ys) {
            for i in 0..PARTS {
                let d = self.w * x[i] + self.b - y[i];
                squares[i] += d * d;
                sum[i] += d;
                dot[i] += d * x[i];
            }
        }
        for (i, (x, y)) in x_rest.iter().zip(y_rest).enumerate() {
            let d = self.w * x + self.b - y;
            squares[i] += d * d;
            sum[i] += d;
            dot[i] += d * x;
        }
        let total = |parts: [f32; PARTS]| parts.iter().sum::<f32>();
        let n = line.x.len() as f32;
        self.w -= Line::LEARNING_RATE * 2.0 / n * total(dot);
        self.b -= Line::LEARNING_RATE * 2.0 / n * total(sum);
        total(squares) / n
    }
}

/// J3's limit: reads the data, and does nothing with them but add.
#[inline(never)]
pub fn read(line: &Line) -> f32 {
    let [mut x_sum, mut y_sum] = [[0.0_f32; PARTS]; 2];
    let (xs, ys) = (line.x.as_chunks::<PARTS>().0, line.y.as_chunks::<PARTS>().0);
    for (x, y) in xs.iter().zip(ys) {
        for i in 0..PARTS {
            x_sum[i] += x[i];
            y_sum[i] += y[i];
        }
    }
    x_sum.iter().chain(&y_sum).sum()
}

const BATCH: usize = 64;
const UNITS: usize = 16;
type Row = [f32; UNITS];

/// The network's parameters, or one moment of each.
#[derive(Clone)]
struct Weights {
    w1: Row,
    b1: Row,
    w2: [Row; UNITS],
    b2: Row,
    w3: Row,
    b3: f32,
}

impl Weights {
    const ZERO: Weights = Weights {
        w1: [0.0; UNITS],
        b1: [0.0; UNITS],
        w2: [[0.0; UNITS]; UNITS],
        b2: [0.0; UNITS],
        w3: [0.0; UNITS],
        b3: 0.0,
    };

    fn slices(&mut self) -> [&mut [f32]; 6] {
        [
            &mut self.w1,
            &mut self.b1,
            self.w2.as_flattened_mut(),
            &mut self.b2,
            &mut self.w3,
            core::slice::from_mut(&mut self.b3),
        ]
    }
}

/// J2: a row of 16 units for each sample, lanes along the row, four passes of
/// 64 rows.
pub struct Network {
    x: [f32; BATCH],
    y: [f32; BATCH],
    params: Weights,
    grads: Weights,
    mean: Weights,
    square: Weights,
    powers: [f64; 2],
    hidden1: [Row; BATCH],
    hidden2: [Row; BATCH],
    slope: [Row; BATCH],
}

impl Network {
    pub fn new(sine: &Sine) -> Network {
        let mut params = Weights::ZERO;
        for (to, from) in params.slices().into_iter().zip(&sine.params) {
            to.copy_from_slice(&from.data);
        }
        Network {
            x: sine.x.as_slice().try_into().unwrap(),
            y: sine.y.as_slice().try_into().unwrap(),
            params,
            grads: Weights::ZERO,
            mean: Weights::ZERO,
            square: Weights::ZERO,
            powers: [1.0; 2],
            hidden1: [[0.0; UNITS]; BATCH],
            hidden2: [[0.0; UNITS]; BATCH],
            slope: [[0.0; UNITS]; BATCH],
        }
    }

    /// The loss of the parameters before the update.
    #[inline(never)]
    pub fn epoch(&mut self) -> f32 {
        let loss = self.gradients();
        self.adam();
        loss
    }

    fn gradients(&mut self) -> f32 {
        let (p, g) = (&self.params, &mut self.grads);
        for (h, x) in self.hidden1.iter_mut().zip(&self.x) {
            for l in 0..UNITS {
                h[l] = x * p.w1[l] + p.b1[l];
            }
        }
        tanh(self.hidden1.as_flattened_mut());
        product(&self.hidden1, &p.w2, &p.b2, &mut self.hidden2);
        tanh(self.hidden2.as_flattened_mut());

        // The output layer forward and backward; `slope` becomes that of the
        // second layer's sums.
        let (mut loss, mut b3) = (0.0, 0.0);
        let (mut w3, mut b2) = ([0.0; UNITS], [0.0; UNITS]);
        for ((h, y), s) in self.hidden2.iter().zip(&self.y).zip(&mut self.slope) {
            let mut terms = [0.0; UNITS];
            for l in 0..UNITS {
                terms[l] = h[l] * p.w3[l];
            }
            let d = total(terms) + p.b3 - y;
            loss += d * d;
            let d = d * (2.0 / BATCH as f32);
            b3 += d;
            for l in 0..UNITS {
                w3[l] += d * h[l];
                s[l] = d * p.w3[l] * (1.0 - h[l] * h[l]);
                b2[l] += s[l];
            }
        }
        (g.w3, g.b3, g.b2) = (w3, b3, b2);

        // Two rows of the gradient at a time stay in registers.
        let (rows, _) = g.w2.as_chunks_mut::<2>();
        for (i, rows) in rows.iter_mut().enumerate() {
            let mut sums = [[0.0; UNITS]; 2];
            for (h, s) in self.hidden1.iter().zip(&self.slope) {
                for (r, sum) in sums.iter_mut().enumerate() {
                    let h = h[2 * i + r];
                    for l in 0..UNITS {
                        sum[l] += h * s[l];
                    }
                }
            }
            *rows = sums;
        }

        let mut transposed = [[0.0; UNITS]; UNITS];
        for (i, row) in p.w2.iter().enumerate() {
            for (j, w) in row.iter().enumerate() {
                transposed[j][i] = *w;
            }
        }
        // The second layer's activations have done their duty: their place
        // takes the first layer's slopes.
        product(&self.slope, &transposed, &[0.0; UNITS], &mut self.hidden2);
        let (mut w1, mut b1) = ([0.0; UNITS], [0.0; UNITS]);
        for ((s, h), x) in self.hidden2.iter().zip(&self.hidden1).zip(&self.x) {
            for l in 0..UNITS {
                let s = s[l] * (1.0 - h[l] * h[l]);
                w1[l] += x * s;
                b1[l] += s;
            }
        }
        (g.w1, g.b1) = (w1, b1);
        loss / BATCH as f32
    }

    fn adam(&mut self) {
        const BETAS: [f64; 2] = [0.9, 0.999];
        for (power, beta) in self.powers.iter_mut().zip(BETAS) {
            *power *= beta;
        }
        let [c1, c2] = self.powers.map(|power| 1.0 - power);
        // Both corrections in two scalars: one root and one division are left.
        let step = (f64::from(Sine::LEARNING_RATE) / c1 * c2.sqrt()) as f32;
        let eps = (1e-8 * c2.sqrt()) as f32;
        let (b1, b2) = (0.1, 0.001);
        let moments = self.mean.slices().into_iter().zip(self.square.slices());
        let grads = self.grads.slices().into_iter().zip(moments);
        for (p, (g, (m, v))) in self.params.slices().into_iter().zip(grads) {
            for (((p, g), m), v) in p.iter_mut().zip(g).zip(m).zip(v) {
                *m += b1 * (*g - *m);
                *v += b2 * (*g * *g - *v);
                *p -= step * *m / (v.sqrt() + eps);
            }
        }
    }
}

/// `out = rows · w + b`, two rows at a time.
#[inline(never)]
fn product(rows: &[Row; BATCH], w: &[Row; UNITS], b: &Row, out: &mut [Row; BATCH]) {
    let (rows, _) = rows.as_chunks::<2>();
    let (out, _) = out.as_chunks_mut::<2>();
    for (rows, out) in rows.iter().zip(out) {
        let mut sums = [*b; 2];
        for (i, w) in w.iter().enumerate() {
            for (sum, row) in sums.iter_mut().zip(rows) {
                for l in 0..UNITS {
                    sum[l] += row[i] * w[l];
                }
            }
        }
        *out = sums;
    }
}

fn total(x: Row) -> f32 {
    let mut eight = [0.0; 8];
    for l in 0..8 {
        eight[l] = x[l] + x[l + 8];
    }
    let [a, b, c, d, e, f, g, h] = eight;
    ((a + e) + (c + g)) + ((b + f) + (d + h))
}

/// `tanh x = (e²ˣ - 1) / (e²ˣ + 1)`, to about 1e-7: powers of two from the
/// bits of a float, the rest from six terms of the series.
#[inline(never)]
fn tanh(xs: &mut [f32]) {
    use core::f32::consts::{LN_2, LOG2_E};
    // Adding it leaves a whole number in the lowest bits.
    const WHOLE: f32 = 12_582_912.0;
    for x in xs {
        let limited = if *x > 9.0 { 9.0 } else { *x };
        let limited = if limited < -9.0 { -9.0 } else { limited };
        let t = limited * (2.0 * LOG2_E);
        let whole = t + WHOLE;
        let f = (t - (whole - WHOLE)) * LN_2;
        let series = 1.0 / 120.0 + f * (1.0 / 720.0);
        let series = 0.5 + f * (1.0 / 6.0 + f * (1.0 / 24.0 + f * series));
        let series = 1.0 + f * (1.0 + f * series);
        let power = f32::from_bits((whole.to_bits() << 23).wrapping_add(127 << 23));
        let e = series * power;
        *x = (e - 1.0) / (e + 1.0);
    }
}

/// The broadcast model, [`jobs::stretch`]: one pass, gradients of the row in a
/// row, those of the column one after the other.
pub struct Stretch {
    data: [Vec<f32>; 2],
    centre: [f32; COLUMNS],
    scale: [f32; COLUMNS],
    shift: [f32; ROWS],
    gain: f32,
}

const ROWS: usize = jobs::STRETCH[0];
const COLUMNS: usize = jobs::STRETCH[1];

impl Stretch {
    pub fn new() -> Stretch {
        Stretch {
            data: jobs::stretch_data(),
            centre: [0.1; COLUMNS],
            scale: [0.5; COLUMNS],
            shift: [-0.1; ROWS],
            gain: 1.5,
        }
    }

    #[inline(never)]
    pub fn epoch(&mut self) -> f32 {
        let n = (ROWS * COLUMNS) as f32;
        let (mut squares, mut gain) = ([0.0; 8], [0.0; 8]);
        let (mut centre, mut scale) = ([0.0; COLUMNS], [0.0; COLUMNS]);
        let [x, y] = &self.data;
        let rows = x
            .as_chunks::<COLUMNS>()
            .0
            .iter()
            .zip(y.as_chunks::<COLUMNS>().0);
        for ((x, y), shift) in rows.zip(&mut self.shift) {
            let mut sum = [0.0; 8];
            for k in (0..COLUMNS).step_by(8) {
                for l in 0..8 {
                    let i = k + l;
                    let moved = x[i] - self.centre[i];
                    let line = moved * self.scale[i] + *shift;
                    let d = line * self.gain - y[i];
                    squares[l] += d * d;
                    gain[l] += d * line;
                    let d = d * self.gain;
                    sum[l] += d;
                    scale[i] += d * moved;
                    centre[i] -= d * self.scale[i];
                }
            }
            *shift -= 0.1 * 2.0 / n * sum.iter().sum::<f32>();
        }
        let rate = 0.1 * 2.0 / n;
        for i in 0..COLUMNS {
            self.centre[i] -= rate * centre[i];
            self.scale[i] -= rate * scale[i];
        }
        self.gain -= rate * gain.iter().sum::<f32>();
        squares.iter().sum::<f32>() / n
    }
}
