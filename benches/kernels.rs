//! Every kernel, as a plain loop and at each level, at sizes from one element
//! to a million. A group is a kernel, all of them take six minutes:
//!
//! ```text
//! cargo bench --bench kernels -- ^sum/           one kernel
//! cargo bench --bench kernels -- sum             every kernel with sums
//! cargo bench --bench kernels -- ^tanh/.*/4096   one size
//! ```
//!
//! Throughput is in elements per second; for matrix products, of square
//! matrices with so many elements, in multiplications per second.

#![allow(missing_docs)]

mod shared;

use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use shared::plain::{Data, KERNELS, Kernel};
use shared::{at_level, levels, name};

/// Every length up to two vectors, and steps up to beyond the caches.
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

/// What the crate does one element at a time is not the plain loop.
fn level_name(level: baregrad::kernel::Level) -> String {
    match name(level) {
        scalar if scalar == "scalar" => "one_by_one".into(),
        other => other,
    }
}

criterion_group! {
    name = benches;
    // Hundreds of points: a tenth of a second each, and no long statistics.
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(30))
        .measurement_time(Duration::from_millis(100))
        .sample_size(10)
        .nresamples(2000);
    targets = kernels
}
criterion_main!(benches);
