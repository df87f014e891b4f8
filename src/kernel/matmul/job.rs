//! Jobs: the factors of a product, and the way to read them.

use super::super::Acc;
use super::scalar;

/// The ways to read the factors.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// The result is one column, of dot products.
    Dots,
    /// No factor is transposed.
    Plain,
    LeftTransposed,
    RightTransposed,
}

/// A product `[m, k] · [k, n]` to be computed. In memory, `a` has `m` rows that begin `a_step`
/// apart (`k` rows if transposed), and `b` has `k` rows that begin `b_step` apart (`n` rows if
/// transposed).
#[derive(Clone, Copy)]
pub(in super::super) struct Job<'a> {
    pub(super) form: Form,
    pub(super) sizes: [usize; 3],
    pub(super) a: &'a [f32],
    pub(super) a_step: usize,
    pub(super) b: &'a [f32],
    pub(super) b_step: usize,
    pub(super) bias: &'a [f32],
    pub(super) acc: Acc,
}

impl<'a> Job<'a> {
    /// The job without the first `start` products of each sum. The sizes stay as they are.
    #[inline(always)]
    pub(super) fn after<const TA: bool>(self, start: usize) -> Self {
        let passed = if TA { start * self.a_step } else { start };
        Job {
            a: self.a.get(passed..).unwrap_or_default(),
            b: self.b.get(start * self.b_step..).unwrap_or_default(),
            ..self
        }
    }

    /// The same job for [`scalar::product`].
    pub(super) fn for_scalar(&self) -> scalar::Job<'a> {
        let [m, k, n] = self.sizes;
        scalar::Job {
            sizes: self.sizes,
            a: if self.form == Form::LeftTransposed {
                scalar::Factor::by_steps(self.a, m)
            } else {
                scalar::Factor::by_rows(self.a, k)
            },
            b: if self.form == Form::RightTransposed {
                scalar::Factor::by_rows(self.b, k)
            } else {
                scalar::Factor::by_steps(self.b, n)
            },
            bias: self.bias,
            acc: self.acc,
        }
    }
}

/// The job of `x · w + bias`.
pub(in super::super) fn linear_job<'a>(
    x: &'a [f32],
    w: &'a [f32],
    bias: &'a [f32],
    [m, k, n]: [usize; 3],
) -> Job<'a> {
    Job {
        form: if n == 1 { Form::Dots } else { Form::Plain },
        sizes: [m, k, n],
        a: x,
        a_step: k,
        b: w,
        b_step: n,
        bias,
        acc: Acc::Set,
    }
}

/// The job of `aᵀ · g`.
pub(in super::super) fn tn_job<'a>(
    a: &'a [f32],
    g: &'a [f32],
    [m, k, n]: [usize; 3],
    acc: Acc,
) -> Job<'a> {
    let job = Job {
        form: Form::LeftTransposed,
        sizes: [k, m, n],
        a,
        a_step: k,
        b: g,
        b_step: n,
        bias: &[],
        acc,
    };
    if k == 1 {
        // In memory, a column is its own transpose.
        let form = if n == 1 { Form::Dots } else { Form::Plain };
        let a_step = m;
        Job {
            form,
            a_step,
            ..job
        }
    } else if n == 1 {
        // A single column is computed as a row, so that lanes run along it.
        Job {
            form: Form::Plain,
            sizes: [1, m, k],
            a: g,
            a_step: m,
            b: a,
            b_step: k,
            ..job
        }
    } else {
        job
    }
}

/// The job of `g · bᵀ`.
pub(in super::super) fn nt_job<'a>(
    g: &'a [f32],
    b: &'a [f32],
    [m, k, n]: [usize; 3],
    acc: Acc,
) -> Job<'a> {
    let job = Job {
        form: Form::RightTransposed,
        sizes: [m, n, k],
        a: g,
        a_step: n,
        b,
        b_step: n,
        bias: &[],
        acc,
    };
    if k == 1 {
        let form = Form::Dots;
        Job { form, ..job }
    } else if n == 1 {
        // In memory, a column is its own transpose.
        let (form, b_step) = (Form::Plain, k);
        Job {
            form,
            b_step,
            ..job
        }
    } else {
        job
    }
}
