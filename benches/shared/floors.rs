//! The jobs written by hand for speed: plain safe Rust, gradients
//! worked out on paper, everything inline. Tapes are compared with them.

// Loops over an index of lanes are easier to read here.
#![allow(clippy::needless_range_loop)]

use std::hint::black_box;

use super::{Line, Moons, Sine, jobs, thermometer as data};

/// J1: three sums over eleven samples in one loop. `epoch` returns the loss before the update.
pub struct Thermometer {
    x: [f32; 11],
    y: [f32; 11],
    pub w: f32,
    pub b: f32,
}

impl Thermometer {
    pub fn new() -> Self {
        Thermometer {
            // The compiler must not know the data.
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

/// J5: slope, constant and their standard errors by the closed form, in `f64`, in three passes:
/// means, sums of squared differences from them, and squared residuals.
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

/// A cubic through the samples of J1, by Horner's rule: five sums in one loop.
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

/// The limit for J3: reads the data, and only adds them up.
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

/// J2: a row of 16 units for each sample, with lanes along the row.
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

    /// Trains for an epoch. Returns the loss before the update.
    #[inline(never)]
    pub fn epoch(&mut self) -> f32 {
        let loss = self.gradients();
        let moments = [self.mean.slices(), self.square.slices()];
        adam(
            &mut self.powers,
            self.params.slices(),
            self.grads.slices(),
            moments,
        );
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

        // The output layer forward and backward. `slope` becomes the gradient of the second
        // layer's sums.
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

        outer(&self.hidden1, &self.slope, &mut g.w2);

        let transposed = transposed(&p.w2);
        // The second layer's activations are no longer needed, so `hidden2` takes the gradients
        // of the first layer's activations.
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
}

/// Takes a step of Adam on each array of parameters.
fn adam<const N: usize>(
    powers: &mut [f64; 2],
    params: [&mut [f32]; N],
    grads: [&mut [f32]; N],
    moments: [[&mut [f32]; N]; 2],
) {
    const BETAS: [f64; 2] = [0.9, 0.999];
    for (power, beta) in powers.iter_mut().zip(BETAS) {
        *power *= beta;
    }
    let [c1, c2] = powers.map(|power| 1.0 - power);
    // Both bias corrections are in two scalars, so each parameter takes one root and one division.
    let step = (f64::from(Sine::LEARNING_RATE) / c1 * c2.sqrt()) as f32;
    let eps = (1e-8 * c2.sqrt()) as f32;
    let (b1, b2) = (0.1, 0.001);
    let [mean, square] = moments;
    let moments = mean.into_iter().zip(square);
    for (p, (g, (m, v))) in params.into_iter().zip(grads.into_iter().zip(moments)) {
        for (((p, g), m), v) in p.iter_mut().zip(g).zip(m).zip(v) {
            *m += b1 * (*g - *m);
            *v += b2 * (*g * *g - *v);
            *p -= step * *m / (v.sqrt() + eps);
        }
    }
}

/// Computes the gradient of a layer's weights, two rows at a time, which stay in registers.
#[inline(never)]
fn outer<const N: usize>(hidden: &[Row; N], slope: &[Row; N], to: &mut [Row; UNITS]) {
    let (rows, _) = to.as_chunks_mut::<2>();
    for (i, rows) in rows.iter_mut().enumerate() {
        let mut sums = [[0.0; UNITS]; 2];
        for (h, s) in hidden.iter().zip(slope) {
            for (r, sum) in sums.iter_mut().enumerate() {
                let h = h[2 * i + r];
                for l in 0..UNITS {
                    sum[l] += h * s[l];
                }
            }
        }
        *rows = sums;
    }
}

fn transposed(w: &[Row; UNITS]) -> [Row; UNITS] {
    let mut transposed = [[0.0; UNITS]; UNITS];
    for (i, row) in w.iter().enumerate() {
        for (j, w) in row.iter().enumerate() {
            transposed[j][i] = *w;
        }
    }
    transposed
}

/// Computes `out = rows · w + b`, two rows at a time.
#[inline(never)]
fn product<const N: usize>(rows: &[Row; N], w: &[Row; UNITS], b: &Row, out: &mut [Row; N]) {
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

/// Computes `tanh x = (e²ˣ - 1) / (e²ˣ + 1)`, to about 1e-7.
#[inline(never)]
fn tanh(xs: &mut [f32]) {
    for x in xs {
        let limited = if *x > 9.0 { 9.0 } else { *x };
        let limited = if limited < -9.0 { -9.0 } else { limited };
        let e = power(limited * (2.0 * core::f32::consts::LOG2_E));
        *x = (e - 1.0) / (e + 1.0);
    }
}

/// The classifier's parameters, or one moment of each. The weights of the first layer are a row
/// for each input, those of the last layer a row for each class.
#[derive(Clone)]
struct ClassWeights {
    w1: [Row; 2],
    b1: Row,
    w2: [Row; UNITS],
    b2: Row,
    w3: [Row; 2],
    b3: [f32; 2],
}

impl ClassWeights {
    const ZERO: ClassWeights = ClassWeights {
        w1: [[0.0; UNITS]; 2],
        b1: [0.0; UNITS],
        w2: [[0.0; UNITS]; UNITS],
        b2: [0.0; UNITS],
        w3: [[0.0; UNITS]; 2],
        b3: [0.0; 2],
    };

    fn slices(&mut self) -> [&mut [f32]; 6] {
        [
            self.w1.as_flattened_mut(),
            &mut self.b1,
            self.w2.as_flattened_mut(),
            &mut self.b2,
            self.w3.as_flattened_mut(),
            &mut self.b3,
        ]
    }
}

const SAMPLES: usize = Moons::SAMPLES;

/// J6: the network of two classes. It is like J2, but softmax and its logarithm have lanes along
/// the samples. Two classes take one exponential and one logarithm for each sample, and the
/// gradient of the first logit is minus that of the second.
pub struct Classifier {
    x: [[f32; 2]; SAMPLES],
    class: [f32; SAMPLES],
    params: ClassWeights,
    grads: ClassWeights,
    mean: ClassWeights,
    square: ClassWeights,
    powers: [f64; 2],
    hidden1: [Row; SAMPLES],
    hidden2: [Row; SAMPLES],
    slope: [Row; SAMPLES],
    relu: bool,
}

impl Classifier {
    pub fn new(moons: &Moons, activation: jobs::Activation) -> Classifier {
        let mut params = ClassWeights::ZERO;
        for (to, from) in params.slices().into_iter().zip(&moons.params) {
            to.copy_from_slice(from);
        }
        // On the tape, the last layer's weights are `[16, 2]`.
        for (i, pair) in moons.params[4].as_chunks::<2>().0.iter().enumerate() {
            (params.w3[0][i], params.w3[1][i]) = (pair[0], pair[1]);
        }
        Classifier {
            x: moons.x.as_chunks().0.try_into().unwrap(),
            class: moons.class.as_slice().try_into().unwrap(),
            params,
            grads: ClassWeights::ZERO,
            mean: ClassWeights::ZERO,
            square: ClassWeights::ZERO,
            powers: [1.0; 2],
            hidden1: [[0.0; UNITS]; SAMPLES],
            hidden2: [[0.0; UNITS]; SAMPLES],
            slope: [[0.0; UNITS]; SAMPLES],
            relu: activation == jobs::Activation::Relu,
        }
    }

    /// Trains for an epoch. Returns the loss before the update.
    #[inline(never)]
    pub fn epoch(&mut self) -> f32 {
        let loss = if self.relu {
            self.gradients::<true>()
        } else {
            self.gradients::<false>()
        };
        let moments = [self.mean.slices(), self.square.slices()];
        adam(
            &mut self.powers,
            self.params.slices(),
            self.grads.slices(),
            moments,
        );
        loss
    }

    #[inline(always)]
    fn gradients<const RELU: bool>(&mut self) -> f32 {
        let (p, g) = (&self.params, &mut self.grads);
        let activate = if RELU { relu } else { tanh };
        let slope = |h: f32| match RELU {
            true if h > 0.0 => 1.0,
            true => 0.0,
            false => 1.0 - h * h,
        };
        for (h, x) in self.hidden1.iter_mut().zip(&self.x) {
            for l in 0..UNITS {
                h[l] = x[0] * p.w1[0][l] + x[1] * p.w1[1][l] + p.b1[l];
            }
        }
        activate(self.hidden1.as_flattened_mut());
        product(&self.hidden1, &p.w2, &p.b2, &mut self.hidden2);
        activate(self.hidden2.as_flattened_mut());

        let [mut ahead, mut losses] = [[0.0; SAMPLES]; 2];
        for (h, ahead) in self.hidden2.iter().zip(&mut ahead) {
            let mut terms = [[0.0; UNITS]; 2];
            for (terms, w) in terms.iter_mut().zip(&p.w3) {
                for l in 0..UNITS {
                    terms[l] = h[l] * w[l];
                }
            }
            *ahead = (total(terms[1]) + p.b3[1]) - (total(terms[0]) + p.b3[0]);
        }
        // This replaces `ahead` by the gradient of the second logit.
        two_classes(&mut ahead, &self.class, &mut losses);

        let mut w3 = [[0.0; UNITS]; 2];
        let (mut b3, mut b2) = ([0.0; 2], [0.0; UNITS]);
        for ((h, d), s) in self.hidden2.iter().zip(&ahead).zip(&mut self.slope) {
            b3[1] += d;
            for l in 0..UNITS {
                w3[1][l] += d * h[l];
                s[l] = d * (p.w3[1][l] - p.w3[0][l]) * slope(h[l]);
                b2[l] += s[l];
            }
        }
        b3[0] = -b3[1];
        for l in 0..UNITS {
            w3[0][l] = -w3[1][l];
        }
        (g.w3, g.b3, g.b2) = (w3, b3, b2);
        outer(&self.hidden1, &self.slope, &mut g.w2);
        let transposed = transposed(&p.w2);
        product(&self.slope, &transposed, &[0.0; UNITS], &mut self.hidden2);
        let (mut w1, mut b1) = ([[0.0; UNITS]; 2], [0.0; UNITS]);
        for ((s, h), x) in self.hidden2.iter().zip(&self.hidden1).zip(&self.x) {
            for l in 0..UNITS {
                let s = s[l] * slope(h[l]);
                w1[0][l] += x[0] * s;
                w1[1][l] += x[1] * s;
                b1[l] += s;
            }
        }
        (g.w1, g.b1) = (w1, b1);
        losses.iter().sum::<f32>() / SAMPLES as f32
    }
}

/// Computes the cross entropy of two classes, and replaces `ahead`, the second logit less the
/// first, by the gradient of the mean loss with respect to the second logit. With
/// `e = exp(-|ahead|)`, the likelier class has the probability `1 / (1 + e)`. The loss of a sample
/// is `ln(1 + e)` if its class is the likelier one, otherwise `ln(1 + e) + |ahead|`.
#[inline(never)]
fn two_classes(ahead: &mut [f32; SAMPLES], class: &[f32; SAMPLES], losses: &mut [f32; SAMPLES]) {
    for i in 0..SAMPLES {
        let z = ahead[i];
        let e = exp(-z.abs());
        let likelier = 1.0 / (1.0 + e);
        let second = if z >= 0.0 { likelier } else { e * likelier };
        let wrong = if class[i] > 0.5 { -z } else { z };
        losses[i] = ln_1p(e) + if wrong > 0.0 { wrong } else { 0.0 };
        ahead[i] = (second - class[i]) * (1.0 / SAMPLES as f32);
    }
}

fn relu(xs: &mut [f32]) {
    for x in xs {
        *x = if *x > 0.0 { *x } else { 0.0 };
    }
}

/// Computes `eˣ` for `x <= 0`, to about 1e-7.
#[inline(always)]
fn exp(x: f32) -> f32 {
    let limited = if x < -87.0 { -87.0 } else { x };
    power(limited * core::f32::consts::LOG2_E)
}

/// Computes `ln(1 + x) = 2 artanh(x / (2 + x))` for `x` from 0 to 1, to about 1e-7.
#[inline(always)]
fn ln_1p(x: f32) -> f32 {
    let s = x / (2.0 + x);
    // The limit avoids squares that are subnormal, with which arithmetic is slow.
    let t = s * if s > 1e-18 { s } else { 1e-18 };
    let series = 1.0 / 7.0 + t * (1.0 / 9.0 + t * (1.0 / 11.0 + t * (1.0 / 13.0)));
    let series = 1.0 + t * (1.0 / 3.0 + t * (1.0 / 5.0 + t * series));
    2.0 * s * series
}

/// Computes `2ᵗ`, to about 1e-7: the whole part of `t` goes to the exponent bits, the rest through
/// six terms of the series.
#[inline(always)]
fn power(t: f32) -> f32 {
    // Adding this constant (1.5 · 2²³) rounds to a whole number, in the lowest bits.
    const WHOLE: f32 = 12_582_912.0;
    let whole = t + WHOLE;
    let f = (t - (whole - WHOLE)) * core::f32::consts::LN_2;
    let series = 1.0 / 120.0 + f * (1.0 / 720.0);
    let series = 0.5 + f * (1.0 / 6.0 + f * (1.0 / 24.0 + f * series));
    let series = 1.0 + f * (1.0 + f * series);
    series * f32::from_bits((whole.to_bits() << 23).wrapping_add(127 << 23))
}

/// The broadcast model, [`jobs::stretch`], in one pass. The gradients of rows are summed in
/// arrays, those of the column one element after the other.
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
