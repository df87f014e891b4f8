//! Times every kernel, as a plain loop and at each level, at sizes from one element
//! to a million; and every model of [`models`], its predictions and its loss with the
//! gradient. A group is a kernel or a model. All groups take nine minutes:
//!
//! ```text
//! cargo bench --bench kernels -- ^sum/           one kernel
//! cargo bench --bench kernels -- ^mse-Cubic/     one model
//! cargo bench --bench kernels -- sum             every kernel with sums
//! cargo bench --bench kernels -- ^tanh/.*/4096   one size
//! ```
//!
//! Throughput is in elements per second. Matrix products multiply square matrices with the given
//! number of elements, and their throughput is in multiplications per second.

#![allow(missing_docs, clippy::expect_used)]

mod shared;

use std::hint::black_box;
use std::time::Duration;

use baregrad::HeapArena;
use baregrad::function::{Function, models};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use shared::plain::{Data, KERNELS, Kernel};
use shared::{at_level, drawn, levels, name, noise};

/// Returns every length up to two vectors, and some larger ones up to more than the caches hold.
fn sizes(kernel: &Kernel) -> Vec<usize> {
    const STEPS: [usize; 4] = [64, 1 << 10, 1 << 12, 1 << 16];
    const LARGEST: usize = 1 << 20;
    // Matrices have a whole number of rows.
    let mut sizes: Vec<_> = match kernel.matrix {
        true => [1, 4, 9, 16].into_iter().chain(STEPS).collect(),
        false => (1..=16).chain(STEPS).collect(),
    };
    // A product of 1024 x 1024 takes as long as all the rest.
    if !kernel.product {
        sizes.push(LARGEST);
    }
    sizes
}

fn kernels(c: &mut Criterion) {
    for kernel in KERNELS {
        let mut group = c.benchmark_group(kernel.name);
        for size in sizes(kernel) {
            let mut data = Data::new(0, size);
            let work = match kernel.product {
                true => size * data.n,
                false => size,
            };
            group.throughput(Throughput::Elements(work as u64));
            group.bench_function(BenchmarkId::new("scalar", size), |b| {
                b.iter(|| (kernel.plain)(black_box(&mut data)));
            });
            for level in levels() {
                group.bench_function(BenchmarkId::new(level_name(level), size), |b| {
                    at_level(level, || b.iter(|| (kernel.lanes)(black_box(&mut data))));
                });
            }
            if let Some(std) = kernel.std {
                group.bench_function(BenchmarkId::new("std", size), |b| {
                    b.iter(|| std(black_box(&mut data)));
                });
            }
        }
        group.finish();
    }
}

/// Times each model of the list: predictions, and the mean squared error with its
/// gradient, as a plain loop of `f32` and as one node of a tape.
struct EveryModel<'c>(&'c mut Criterion);

impl models::Visitor for EveryModel<'_> {
    fn visit<F: Function<X, P> + 'static, const X: usize, const P: usize>(
        &mut self,
        _: F,
        x: [[f32; 2]; X],
        p: [[f32; 2]; P],
    ) {
        let p: [f32; P] = drawn(3, &p, 1).try_into().expect("as many as ranges");
        for samples in [1 << 4, 1 << 8, 1 << 12, 1 << 16] {
            let (x, y) = (drawn(4, &x, samples), noise(5, samples));
            let mut arena = HeapArena::new(2 * samples + 64, 8);
            let tape = arena.tape();
            let inputs = tape.input(&x, [samples, X]);
            let (p_var, target) = (tape.param(&p, [P]), tape.input(&y, [samples]));

            // The tape holds one recording at a time, because a replay computes everything on it.
            let mut group = self.0.benchmark_group(format!("mse-{}", F::NAME));
            group.throughput(Throughput::Elements(samples as u64));
            group.bench_function(BenchmarkId::new("scalar", samples), |b| {
                b.iter(|| plain_loss::<F, X, P>(black_box(&x), black_box(p), black_box(&y)));
            });
            let empty = tape.mark();
            let loss = F::mse(inputs, p_var, target);
            for level in levels() {
                group.bench_function(BenchmarkId::new(level_name(level), samples), |b| {
                    at_level(level, || {
                        b.iter(|| {
                            tape.zero_grad();
                            tape.replay().and_then(|()| tape.backward(loss))
                        });
                    });
                });
            }
            group.finish();
            tape.rewind(empty).expect("a mark of this tape");

            let mut group = self.0.benchmark_group(format!("predict-{}", F::NAME));
            group.throughput(Throughput::Elements(samples as u64));
            let mut out = vec![0.0; samples];
            group.bench_function(BenchmarkId::new("scalar", samples), |b| {
                b.iter(|| {
                    let rows = black_box(&x).as_chunks::<X>().0;
                    for (to, row) in out.iter_mut().zip(rows) {
                        *to = F::value(*row, black_box(p));
                    }
                });
            });
            let _ = F::predict(inputs, p_var);
            for level in levels() {
                group.bench_function(BenchmarkId::new(level_name(level), samples), |b| {
                    at_level(level, || b.iter(|| tape.replay()));
                });
            }
            group.finish();
        }
    }
}

/// Computes the sum of squared errors and half of its gradient with a plain loop.
fn plain_loss<F: Function<X, P>, const X: usize, const P: usize>(
    x: &[f32],
    p: [f32; P],
    y: &[f32],
) -> (f32, [f32; P]) {
    let (mut sum, mut gradient) = (0.0, [0.0; P]);
    for (row, y) in x.as_chunks::<X>().0.iter().zip(y) {
        let (value, slopes) = F::value_and_gradient(*row, p);
        let r = value - y;
        sum += r * r;
        for (to, slope) in gradient.iter_mut().zip(slopes) {
            *to += r * slope;
        }
    }
    (sum, gradient)
}

fn every_model(c: &mut Criterion) {
    models::visit(&mut EveryModel(c));
}

/// Returns the name of a level. The crate's scalar level is called `one_by_one`, because `scalar`
/// is the plain loop.
fn level_name(level: baregrad::kernel::Level) -> String {
    match name(level) {
        scalar if scalar == "scalar" => "one_by_one".into(),
        other => other,
    }
}

criterion_group! {
    name = benches;
    // There are hundreds of points, so each takes a tenth of a second and few resamples.
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(30))
        .measurement_time(Duration::from_millis(100))
        .sample_size(10)
        .nresamples(2000);
    targets = kernels, every_model
}
criterion_main!(benches);
