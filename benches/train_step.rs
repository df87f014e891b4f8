//! Times a training epoch of each job, on a tape and by hand, and of a model that is
//! mostly broadcasting.
//!
//! ```text
//! cargo bench --bench train_step
//! cargo bench --bench train_step -- J2
//! ```

#![allow(clippy::unwrap_used, missing_docs)]

mod shared;

use std::time::Duration;

use baregrad::HeapArena;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use shared::{Line, Sine, floors, jobs};

fn thermometer(c: &mut Criterion) {
    let mut group = c.benchmark_group("J1");
    let mut floor = floors::Thermometer::new();
    group.bench_function("floor", |b| b.iter(|| floor.epoch()));
    let mut arena = HeapArena::new(256, 16);
    {
        let tape = arena.tape();
        let mut job = jobs::thermometer_line(&tape);
        group.bench_function("baregrad", |b| b.iter(|| job.epoch().unwrap()));
    }
    {
        let tape = arena.tape();
        let mut job = jobs::thermometer(&tape);
        group.bench_function("linear_mse", |b| b.iter(|| job.epoch().unwrap()));
    }
    let tape = arena.tape();
    let mut job = jobs::thermometer_operators(&tape);
    group.bench_function("operators", |b| b.iter(|| job.epoch().unwrap()));
}

fn sine(c: &mut Criterion) {
    let sine = Sine::load();
    let mut group = c.benchmark_group("J2");
    let mut floor = floors::Network::new(&sine);
    group.bench_function("floor", |b| b.iter(|| floor.epoch()));
    let mut arena = HeapArena::new(20_000, 32);
    let tape = arena.tape();
    let mut job = jobs::sine(&tape, &sine);
    group.bench_function("baregrad", |b| b.iter(|| job.epoch().unwrap()));
}

fn stream(c: &mut Criterion) {
    let line = Line::make();
    let mut group = c.benchmark_group("J3");
    group.throughput(Throughput::Elements(Line::SAMPLES as u64));
    group.bench_function("read", |b| b.iter(|| floors::read(&line)));
    let mut floor = floors::Stream::new();
    group.bench_function("floor", |b| b.iter(|| floor.epoch(&line)));
    for rows in [512, jobs::ROWS, 8192] {
        let mut arena = HeapArena::new(4 * rows, 16);
        let tape = arena.tape();
        let mut job = jobs::stream(&tape, &line, rows, jobs::Written::Line);
        group.bench_function(format!("baregrad/{rows}"), |b| {
            b.iter(|| job.epoch().unwrap());
        });
    }
}

/// Times the model whose rows, column and scalar are broadcast.
fn broadcast(c: &mut Criterion) {
    let mut group = c.benchmark_group("broadcast");
    let mut floor = floors::Stretch::new();
    group.bench_function("floor", |b| b.iter(|| floor.epoch()));
    let mut arena = HeapArena::new(40_000, 32);
    let tape = arena.tape();
    let data = jobs::stretch_data();
    let mut job = jobs::stretch(&tape, &data);
    let mut check = floors::Stretch::new();
    for _ in 0..20 {
        let (floor, ours) = (check.epoch(), job.epoch().unwrap());
        assert!((ours / floor - 1.0).abs() < 1e-4, "{floor} {ours}");
    }
    group.bench_function("baregrad", |b| b.iter(|| job.epoch().unwrap()));
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .sample_size(30);
    targets = thermometer, sine, stream, broadcast
}
criterion_main!(benches);
