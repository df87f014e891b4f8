//! Kernels by name, each with a plain loop for the same task. For elementary functions the plain
//! loop calls `libm`, as code without `std` would.

use baregrad::kernel::{self, Acc, Lanes, Map, math};

use super::noise;

/// Slices that all kernels work on.
pub struct Data {
    pub x: Vec<f32>,
    pub y: Vec<f32>,
    pub out: Vec<f32>,
    /// The size of a matrix product `[n, n] · [n, n]`, if the kernel is one.
    pub n: usize,
}

impl Data {
    pub fn new(seed: u32, len: usize) -> Data {
        let n = (len as f64).sqrt().round() as usize;
        Data {
            x: noise(2 * seed + 3, len),
            y: noise(2 * seed + 4, len),
            out: vec![0.0; len],
            n,
        }
    }
}

/// A kernel, and the plain loop for the same task.
#[derive(Clone, Copy)]
pub struct Kernel {
    pub name: &'static str,
    pub plain: fn(&mut Data),
    pub lanes: fn(&mut Data),
    /// The plain loop with `std`'s function, if there is one.
    pub std: Option<fn(&mut Data)>,
    /// Whether the slices are square matrices.
    pub matrix: bool,
    /// Whether the kernel is a matrix product.
    pub product: bool,
}

impl Kernel {
    const fn new(name: &'static str, plain: fn(&mut Data), lanes: fn(&mut Data)) -> Kernel {
        Kernel {
            name,
            plain,
            lanes,
            std: None,
            matrix: false,
            product: false,
        }
    }

    const fn std(mut self, std: fn(&mut Data)) -> Kernel {
        self.std = Some(std);
        self
    }

    const fn matrix(mut self) -> Kernel {
        self.matrix = true;
        self
    }

    const fn product(mut self) -> Kernel {
        self.product = true;
        self.matrix()
    }
}

pub fn kernel(name: &str) -> Kernel {
    *KERNELS.iter().find(|k| k.name == name).expect(name)
}

/// Declares the element-wise functions of kernels.
macro_rules! maps {
    ($($name:ident($($x:ident),+) = $y:expr;)*) => {$(
        struct $name;
        impl Map<{ [$(stringify!($x)),+].len() }> for $name {
            #[inline(always)]
            fn apply<L: Lanes>(&self, &[$($x),+]: &[L; { [$(stringify!($x)),+].len() }]) -> L {
                $y
            }
        }
    )*};
}
maps! {
    Add(x, y) = x + y;
    Mul(x, y) = x * y;
    Div(x, y) = x / y;
    Affine(x) = x * L::splat(3.0) + L::splat(0.5);
    Relu(x) = L::select(x.lt(L::splat(0.0)), L::splat(0.0), x);
    Exp(x) = math::exp(x);
    LnAbs(x) = math::ln(x.abs());
    Tanh(x) = math::tanh(x);
    Sigmoid(x) = math::sigmoid(x);
    Softplus(x) = math::softplus(x);
    Gelu(x) = math::gelu(x);
    Erf(x) = math::erf(x);
    Sin(x) = math::sin(x);
    Cos(x) = math::cos(x);
    PowAbs(x, y) = math::pow(x.abs(), y);
}

fn each(d: &mut Data, f: impl Fn(f32) -> f32) {
    for (to, x) in d.out.iter_mut().zip(&d.x) {
        *to = f(*x);
    }
}

fn each2(d: &mut Data, f: impl Fn(f32, f32) -> f32) {
    for ((to, x), y) in d.out.iter_mut().zip(&d.x).zip(&d.y) {
        *to = f(*x, *y);
    }
}

fn map(d: &mut Data, f: impl Map<1>) {
    kernel::map(f, [&d.x], &mut d.out, Acc::Set);
}

fn map2(d: &mut Data, f: impl Map<2>) {
    kernel::map(f, [&d.x, &d.y], &mut d.out, Acc::Set);
}

/// Computes a matrix product with a dot product for each element. `a` and `b` map row and column
/// to an index.
fn textbook(
    d: &mut Data,
    a: impl Fn(usize, usize, usize) -> usize,
    b: impl Fn(usize, usize, usize) -> usize,
) {
    let n = d.n;
    for i in 0..n {
        for j in 0..n {
            let mut sum = 0.0;
            for p in 0..n {
                sum += d.x[a(n, i, p)] * d.y[b(n, p, j)];
            }
            d.out[i * n + j] = sum;
        }
    }
}

/// Sums the rows of a matrix `[n, n]` to `[n]`.
fn row_sums(d: &mut Data) {
    for (to, row) in d.out.iter_mut().zip(d.x.chunks_exact(d.n)) {
        *to = row.iter().sum();
    }
}

fn column_sums(d: &mut Data) {
    let out = &mut d.out[..d.n];
    out.fill(0.0);
    for row in d.x.chunks_exact(d.n) {
        for (to, x) in out.iter_mut().zip(row) {
            *to += x;
        }
    }
}

fn softmax(d: &mut Data) {
    let n = d.n;
    for (x, out) in d.x.chunks_exact(n).zip(d.out.chunks_exact_mut(n)) {
        let max = x.iter().fold(f32::NEG_INFINITY, |m, x| m.max(*x));
        let mut sum = 0.0;
        for (to, x) in out.iter_mut().zip(x) {
            *to = libm::expf(x - max);
            sum += *to;
        }
        for to in out {
            *to /= sum;
        }
    }
}

/// Stores the result of a reduction, so that it is not optimised away.
fn keep(d: &mut Data, result: f32) {
    if let Some(to) = d.out.first_mut() {
        *to = result;
    }
}

fn row_major(n: usize, i: usize, j: usize) -> usize {
    i * n + j
}

fn column_major(n: usize, i: usize, j: usize) -> usize {
    j * n + i
}

pub const KERNELS: &[Kernel] = &[
    Kernel::new(
        "sum",
        |d| keep(d, d.x.iter().sum()),
        |d| keep(d, kernel::sum(&d.x)),
    ),
    Kernel::new(
        "dot",
        |d| keep(d, d.x.iter().zip(&d.y).map(|(x, y)| x * y).sum()),
        |d| keep(d, kernel::dot(&d.x, &d.y)),
    ),
    Kernel::new(
        "squared_distance",
        |d| {
            let squares = d.x.iter().zip(&d.y).map(|(x, y)| (x - y) * (x - y));
            keep(d, squares.sum());
        },
        |d| keep(d, kernel::squared_distance(&d.x, &d.y)),
    ),
    Kernel::new(
        "max",
        |d| keep(d, d.x.iter().fold(f32::NEG_INFINITY, |m, x| m.max(*x))),
        |d| keep(d, kernel::max(&d.x)),
    ),
    Kernel::new("add", |d| each2(d, |x, y| x + y), |d| map2(d, Add)),
    Kernel::new("mul", |d| each2(d, |x, y| x * y), |d| map2(d, Mul)),
    Kernel::new("div", |d| each2(d, |x, y| x / y), |d| map2(d, Div)),
    Kernel::new("affine", |d| each(d, |x| x * 3.0 + 0.5), |d| map(d, Affine)),
    Kernel::new(
        "relu",
        |d| each(d, |x| if x < 0.0 { 0.0 } else { x }),
        |d| map(d, Relu),
    ),
    Kernel::new("exp", |d| each(d, libm::expf), |d| map(d, Exp)).std(|d| each(d, f32::exp)),
    Kernel::new(
        "ln",
        |d| each(d, |x| libm::logf(x.abs())),
        |d| map(d, LnAbs),
    )
    .std(|d| each(d, |x| x.abs().ln())),
    Kernel::new("tanh", |d| each(d, libm::tanhf), |d| map(d, Tanh)).std(|d| each(d, f32::tanh)),
    Kernel::new(
        "sigmoid",
        |d| each(d, |x| 1.0 / (1.0 + libm::expf(-x))),
        |d| map(d, Sigmoid),
    ),
    Kernel::new(
        "softplus",
        |d| each(d, |x| libm::log1pf(libm::expf(x))),
        |d| map(d, Softplus),
    ),
    Kernel::new(
        "gelu",
        |d| each(d, |x| 0.5 * x * (1.0 + libm::erff(x * 0.707_106_77))),
        |d| map(d, Gelu),
    ),
    Kernel::new("erf", |d| each(d, libm::erff), |d| map(d, Erf)),
    Kernel::new("sin", |d| each(d, libm::sinf), |d| map(d, Sin)).std(|d| each(d, f32::sin)),
    Kernel::new("cos", |d| each(d, libm::cosf), |d| map(d, Cos)).std(|d| each(d, f32::cos)),
    Kernel::new(
        "pow",
        |d| each2(d, |x, y| libm::powf(x.abs(), y)),
        |d| map2(d, PowAbs),
    )
    .std(|d| each2(d, |x, y| x.abs().powf(y))),
    Kernel::new("row_sums", row_sums, |d| {
        kernel::sum_axis(&d.x, [d.n, d.n, 1], &mut d.out[..d.n]);
    })
    .matrix(),
    Kernel::new("column_sums", column_sums, |d| {
        kernel::sum_rows(&d.x, [d.n, d.n], &mut d.out[..d.n], Acc::Set);
    })
    .matrix(),
    Kernel::new("softmax", softmax, |d| {
        kernel::softmax::<false>(&d.x, [d.n, d.n, 1], &mut d.out);
    })
    .matrix(),
    Kernel::new(
        "matmul",
        |d| textbook(d, row_major, row_major),
        |d| kernel::matmul(&d.x, &d.y, &mut d.out, [d.n; 3]),
    )
    .product(),
    Kernel::new(
        "matmul_tn",
        |d| textbook(d, column_major, row_major),
        |d| kernel::matmul_tn(&d.x, &d.y, &mut d.out, [d.n; 3], Acc::Set),
    )
    .product(),
    Kernel::new(
        "matmul_nt",
        |d| textbook(d, row_major, column_major),
        |d| kernel::matmul_nt(&d.x, &d.y, &mut d.out, [d.n; 3], Acc::Set),
    )
    .product(),
];
