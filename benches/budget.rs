//! Times the jobs and compares them with floors written by hand, and kernels with plain
//! loops, in one process and in turns, so that a noisy machine disturbs both:
//!
//! ```text
//! cargo bench --bench budget
//! cargo bench --bench budget -- J1
//! ```
//!
//! A time is the least of many runs, a ratio that of two least times.
//!
//! - J1: a thermometer, eleven samples, a line, SGD. It is recorded with `line_mse` (an operation
//!   for lines only, for comparison), as a function, with `linear` and `mse`, and with operators;
//!   then a cubic through the same samples.
//! - J2: 64 samples of a sine, a network of 321 parameters, Adam.
//! - J3: a million samples, a line and a cubic as functions, SGD, streamed through a tape that is
//!   recorded for a few thousand, compared with reading the samples.
//! - J5: the thermometer solved by least squares, with standard errors, compared with the closed
//!   form.
//! - J6: two classes, 200 samples, a network of 354 parameters with relu or tanh, cross entropy,
//!   Adam.
//! - Kernels work on 4096 floats. `ps` are picoseconds per element, for matrix products per
//!   multiplication.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs
)]
// The counting allocator needs `unsafe`.
#![allow(unsafe_code)]

mod shared;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::{Cell, RefCell};
use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use baregrad::optim::{Optimizer, Sgd};
use baregrad::{HeapArena, kernel::Level};
use shared::plain::{self, Data};
use shared::{Line, Moons, Sine, at_level, floors, jobs, levels, name, wanted};

/// The system's allocator, which counts allocations.
struct Counting;
static CALLS: AtomicU64 = AtomicU64::new(0);

// SAFETY: every call is passed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        CALLS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        CALLS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc_zeroed(layout) }
    }
    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        CALLS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.realloc(at, layout, size) }
    }
    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// A kernel or a job to be measured.
struct Subject<'a> {
    run: &'a mut dyn FnMut(),
    /// The number of runs in a measurement, enough for the clock's resolution.
    repeat: u32,
    least: Duration,
}

impl<'a> Subject<'a> {
    fn new(run: &'a mut dyn FnMut()) -> Self {
        Subject {
            run,
            repeat: 1,
            least: Duration::MAX,
        }
    }

    fn measure(&mut self) -> Duration {
        let start = Instant::now();
        for _ in 0..self.repeat {
            (self.run)();
        }
        start.elapsed()
    }
}

/// Runs all subjects in turns for about `seconds`, and returns the least time
/// of one run of each, in nanoseconds.
fn in_turns<const N: usize>(seconds: f64, runs: [&mut dyn FnMut(); N]) -> [f64; N] {
    const LEAST: Duration = Duration::from_micros(100);
    let mut subjects = runs.map(Subject::new);
    for subject in &mut subjects {
        while subject.measure() < LEAST {
            subject.repeat *= 2;
        }
    }
    let start = Instant::now();
    while start.elapsed().as_secs_f64() < seconds {
        for subject in &mut subjects {
            subject.least = subject.measure().min(subject.least);
        }
    }
    subjects.map(|s| s.least.as_secs_f64() * 1e9 / f64::from(s.repeat))
}

fn agree(who: &str, floor: f32, ours: f32, tolerance: f32) {
    assert!(
        (ours / floor - 1.0).abs() < tolerance,
        "{who}: the floor's loss is {floor}, baregrad's {ours}"
    );
}

/// Returns the allocations per epoch, averaged over ten.
fn allocations(mut epoch: impl FnMut()) -> f64 {
    let before = CALLS.load(Ordering::Relaxed);
    for _ in 0..10 {
        epoch();
    }
    (CALLS.load(Ordering::Relaxed) - before) as f64 / 10.0
}

/// Trains a job of a few samples and its floor, compares their losses, and times both in turns, and
/// with them `kept`, the job recorded in another way.
fn few_samples<O: Optimizer, K: Optimizer>(
    label: &str,
    mut floor: impl FnMut() -> f32,
    mut job: jobs::Job<'_, O>,
    mut kept: Option<jobs::Job<'_, K>>,
    trained: impl FnOnce(f32, &[f32]),
) {
    let mut loss = 0.0;
    for epoch in 0..5000 {
        let floor_loss = floor();
        loss = job.epoch().unwrap();
        if !(100..4000).contains(&epoch) {
            agree(label, floor_loss, loss, 1e-5);
        }
    }
    trained(loss, &job.tape.params().unwrap());
    let per_epoch = allocations(|| _ = job.epoch());
    // Each call runs fifty epochs, because a call for every epoch would take a fifth of the floor's
    // time.
    let [floor_ns, ns, kept_ns] = in_turns(
        1.0,
        [
            &mut || {
                for _ in 0..50 {
                    black_box(floor());
                }
            },
            &mut || {
                for _ in 0..50 {
                    black_box(job.epoch().unwrap());
                }
            },
            &mut || {
                if let Some(kept) = &mut kept {
                    for _ in 0..50 {
                        black_box(kept.epoch().unwrap());
                    }
                }
            },
        ],
    )
    .map(|ns| ns / 50.0);
    print!(
        "{label} floor_ns {floor_ns:.1} baregrad_ns {ns:.1} ratio {:.2} allocations per epoch {per_epoch}",
        ns / floor_ns
    );
    match kept {
        Some(_) => println!(" (line_mse {kept_ns:.1}, ratio {:.2})", ns / kept_ns),
        None => println!(),
    }
}

type Kept<'t> = Option<jobs::Job<'t, Sgd>>;

fn thermometer<O: Optimizer>(label: &str, job: jobs::Job<'_, O>, kept: Kept<'_>) {
    let mut floor = floors::Thermometer::new();
    few_samples(
        label,
        || floor.epoch(),
        job,
        kept,
        |loss, w_b| {
            agree(label, 2.927_647, loss, 1e-5);
            assert!((w_b[0] - 5.3671).abs() < 1e-3 && (w_b[1] + 17.3012).abs() < 2e-3);
        },
    );
}

fn cubic<O: Optimizer>(label: &str, job: jobs::Job<'_, O>) {
    let mut floor = floors::Cubic::new();
    few_samples(label, || floor.epoch(), job, Kept::None, |_, _| ());
}

fn sine() {
    let sine = Sine::load();
    let mut floor = floors::Network::new(&sine);
    let mut arena = HeapArena::new(20_000, 32);
    let tape = arena.tape();
    let mut job = jobs::sine(&tape, &sine);
    sine.check("floor", || floor.epoch());
    sine.check("baregrad", || job.epoch().unwrap());
    let per_epoch = allocations(|| _ = job.epoch());
    let [floor_ns, ns] = in_turns(
        3.0,
        [
            &mut || {
                black_box(floor.epoch());
            },
            &mut || {
                black_box(job.epoch().unwrap());
            },
        ],
    );
    println!(
        "J2 floor_us {:.2} baregrad_us {:.2} ratio {:.2} allocations per epoch {per_epoch}",
        floor_ns / 1e3,
        ns / 1e3,
        ns / floor_ns
    );
}

/// Times J6: two classes, cross entropy.
fn classifier(label: &str, activation: jobs::Activation) {
    let moons = Moons::make();
    let mut floor = floors::Classifier::new(&moons, activation);
    let mut arena = HeapArena::new(40_000, 32);
    let tape = arena.tape();
    let mut classifier = jobs::classifier(&tape, &moons, activation);
    let mut loss = 0.0;
    for epoch in 0..500 {
        let floor_loss = floor.epoch();
        loss = classifier.job.epoch().unwrap();
        // Later losses are amplified rounding errors.
        if epoch < 50 {
            agree(label, floor_loss, loss, 1e-3);
        }
    }
    assert!(loss < 0.1, "{label}: the loss is {loss} after 500 epochs");
    let per_epoch = allocations(|| _ = classifier.job.epoch());
    // Both restart after 300 epochs. After tens of thousands, gradients are so small that work
    // with subnormal numbers, which is many times slower, took a third of the floor's time.
    const EPOCHS: u32 = 300;
    let (mut floor_epochs, mut epochs) = (0, 0);
    let [floor_ns, ns] = in_turns(
        3.0,
        [
            &mut || {
                black_box(floor.epoch());
                floor_epochs += 1;
                if floor_epochs % EPOCHS == 0 {
                    floor = floors::Classifier::new(&moons, activation);
                }
            },
            &mut || {
                black_box(classifier.job.epoch().unwrap());
                epochs += 1;
                if epochs % EPOCHS == 0 {
                    classifier.restart().unwrap();
                }
            },
        ],
    );
    println!(
        "{label} floor_us {:.2} baregrad_us {:.2} ratio {:.2} allocations per epoch {per_epoch}",
        floor_ns / 1e3,
        ns / 1e3,
        ns / floor_ns
    );
}

/// Times J5, the whole solution from the start each time.
fn least_squares() {
    let mut floor = floors::ClosedForm::new();
    let closed = floor.solve();
    let solved = jobs::least_squares();
    for k in 0..2 {
        agree("J5 lm", closed[0][k] as f32, solved[0][k], 1e-6);
        agree("J5 lm", closed[1][k] as f32, solved[1][k], 1e-6);
    }
    let per_solution = allocations(|| _ = black_box(jobs::least_squares()));
    let [floor_ns, ns] = in_turns(
        1.0,
        [
            &mut || {
                black_box(floor.solve());
            },
            &mut || {
                black_box(jobs::least_squares());
            },
        ],
    );
    println!(
        "J5 lm floor_ns {floor_ns:.1} baregrad_ns {ns:.1} ratio {:.2} allocations per solution {per_solution}",
        ns / floor_ns
    );
}

fn stream() {
    let line = Line::make();
    let mut floor = floors::Stream::new();
    let mut arenas = [(); 3].map(|()| HeapArena::new(4 * jobs::ROWS, 16));
    let [one_node, two_nodes, other] = arenas.each_mut().map(HeapArena::tape);
    let mut job = jobs::stream(&one_node, &line, jobs::ROWS, jobs::Written::Line);
    let mut two_nodes = jobs::stream(&two_nodes, &line, jobs::ROWS, jobs::Written::TwoNodes);
    let mut cubic = jobs::stream(&other, &line, jobs::ROWS, jobs::Written::Cubic);
    let mut loss = 0.0;
    for _ in 0..20 {
        loss = floor.epoch(&line);
        agree("J3", loss, job.epoch().unwrap(), 1e-5);
        agree("J3", loss, two_nodes.epoch().unwrap(), 1e-5);
    }
    for _ in 0..200 {
        loss = cubic.epoch().unwrap();
    }
    agree("J3", 0.1 * 0.1 / 3.0, loss, 5e-2); // The loss is near the variance of the noise.
    let per_epoch = allocations(|| _ = job.epoch());
    let [read_ns, floor_ns, ns, two_ns, cubic_ns] = in_turns(
        5.0,
        [
            &mut || {
                black_box(floors::read(black_box(&line)));
            },
            &mut || {
                black_box(floor.epoch(&line));
            },
            &mut || {
                black_box(job.epoch().unwrap());
            },
            &mut || {
                black_box(two_nodes.epoch().unwrap());
            },
            &mut || {
                black_box(cubic.epoch().unwrap());
            },
        ],
    )
    .map(|ns| ns / Line::SAMPLES as f64);
    println!(
        "J3 read_ns {read_ns:.3} floor_ns {floor_ns:.3} baregrad_ns {ns:.3} ratio {:.2} allocations per epoch {per_epoch} (linear and mse {two_ns:.3})",
        ns / read_ns
    );
    // Times the last micro-batch again and again, whose data are in the L1 cache.
    let [near_ns, cubic_near_ns] = in_turns(
        2.0,
        [&mut || job.batch().unwrap(), &mut || cubic.batch().unwrap()],
    )
    .map(|ns| ns / jobs::ROWS as f64);
    println!(
        "J3-cubic read_ns {read_ns:.3} baregrad_ns {cubic_ns:.3} ratio {:.2} (on data in L1 {cubic_near_ns:.3}; the line {near_ns:.3})",
        cubic_ns / read_ns
    );
}

/// Prints a line with the times of a kernel: the plain loop, then each level of the machine.
fn kernel_line(label: &str, kernel: plain::Kernel, len: usize) {
    // Branches of an elementary function depend on its argument. A branch predictor learns those
    // of a few thousand numbers, so the data change from run to run.
    let sets = if kernel.std.is_some() { 16 } else { 1 };
    let sets: Vec<_> = (0..sets)
        .map(|seed| RefCell::new(Data::new(seed, len)))
        .collect();
    let next = Cell::new(0);
    let work = match kernel.product {
        true => len * sets[0].borrow().n,
        false => len,
    } as f64;
    let run = |f: fn(&mut Data)| {
        let i = next.get();
        next.set((i + 1) % sets.len());
        f(black_box(&mut sets[i].borrow_mut()));
    };
    let lanes = |level: Option<Level>| {
        if let Some(level) = level {
            at_level(level, || run(kernel.lanes));
        }
    };
    let level = |wanted: &str| levels().into_iter().find(|level| name(*level) == wanted);
    let (baseline, avx2) = (level("baseline"), level("avx2"));
    let times = in_turns(
        0.5,
        [
            &mut || run(kernel.plain),
            &mut || lanes(baseline),
            &mut || lanes(avx2),
            &mut || run(kernel.std.unwrap_or(|_| ())),
            &mut || (kernel.plain)(black_box(&mut sets[0].borrow_mut())),
        ],
    );
    let [plain_ps, baseline_ps, avx2_ps, std_ps, again_ps] = times.map(|ns| ns * 1e3 / work);
    let show = |there: bool, ps: f64| {
        if there {
            format!("{ps:.0}")
        } else {
            "-".into()
        }
    };
    print!(
        "kernel {label} scalar_ps {plain_ps:.0} baseline_ps {} avx2_ps {}",
        show(baseline.is_some(), baseline_ps),
        show(avx2.is_some(), avx2_ps)
    );
    match kernel.std {
        Some(_) => println!(" (std {std_ps:.0}; scalar, numbers seen before: {again_ps:.0})"),
        None => println!(),
    }
}

fn main() {
    // Measures only when `cargo bench` runs it, as criterion does, and not in `cargo test`.
    if !std::env::args().any(|arg| arg == "--bench") {
        println!("nothing is measured without --bench");
        return;
    }
    let mut arena = HeapArena::new(256, 16);
    if wanted("J1") {
        thermometer("J1", jobs::thermometer_line(&arena.tape()), None);
    }
    if wanted("J1-function") {
        let mut kept = HeapArena::new(256, 16);
        let (tape, kept) = (arena.tape(), kept.tape());
        let kept = jobs::thermometer_line(&kept);
        thermometer("J1-function", jobs::thermometer_function(&tape), Some(kept));
    }
    if wanted("J1-linear-mse") {
        thermometer("J1-linear-mse", jobs::thermometer(&arena.tape()), None);
    }
    if wanted("J1-operators") {
        let tape = arena.tape();
        let job = jobs::thermometer_operators(&tape);
        thermometer("J1-operators", job, None);
    }
    if wanted("cubic-function") {
        cubic("cubic-function", jobs::cubic_function(&arena.tape()));
    }
    if wanted("cubic-operators") {
        cubic("cubic-operators", jobs::cubic_operators(&arena.tape()));
    }
    if wanted("J2") {
        sine();
    }
    if wanted("J3") {
        stream();
    }
    if wanted("J5") {
        least_squares();
    }
    if wanted("J6-relu") {
        classifier("J6-relu", jobs::Activation::Relu);
    }
    if wanted("J6-tanh") {
        classifier("J6-tanh", jobs::Activation::Tanh);
    }
    let kernels = ["sum", "dot", "add", "mul", "exp", "tanh"].map(|name| (name, name, 4096));
    let products = [("matmul_16", "matmul", 256), ("matmul_64", "matmul", 4096)];
    for (label, name, len) in kernels.into_iter().chain(products) {
        if wanted(label) {
            kernel_line(label, plain::kernel(name), len);
        }
    }
}
