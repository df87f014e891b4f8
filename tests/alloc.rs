//! Tests that the library does not allocate while a model is recorded,
//! differentiated, stepped, replayed and rebound, by a counting allocator.
//!
//! The counter is per thread, so that tests can run in parallel.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs
)]
// The counting allocator needs `unsafe`.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use baregrad::op::Node;
use baregrad::optim::{Adam, Sgd};
use baregrad::{Arena, Tape, Var};

struct Counting;

thread_local! {
    // Reading this does not allocate, because it is `const` and has no destructor.
    static CALLS: Cell<u64> = const { Cell::new(0) };
}

fn count() {
    CALLS.set(CALLS.get() + 1);
}

// SAFETY: every call is passed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc_zeroed(layout) }
    }
    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller's promises are passed on.
        unsafe { System.realloc(at, layout, size) }
    }
    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        count();
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Runs `work`, and returns the number of its allocations, and its result.
fn calls<R>(work: impl FnOnce() -> R) -> (u64, R) {
    let before = CALLS.get();
    let result = work();
    (CALLS.get() - before, result)
}

#[test]
fn the_counter_counts() {
    let (made, kept) = calls(|| vec![1.0_f32; 8]);
    assert_eq!((made, calls(|| drop(kept)).0), (1, 1));
}

/// Training a line through 11 samples for 5000 steps allocates nothing.
#[test]
fn calibrating_a_thermometer_allocates_nothing() {
    const T_U: [f32; 11] = [
        35.7, 55.9, 58.2, 81.9, 56.3, 48.9, 33.9, 21.8, 48.4, 60.4, 68.4,
    ];
    const T_C: [f32; 11] = [0.5, 14.0, 15.0, 28.0, 11.0, 8.0, 3.0, -4.0, 6.0, 13.0, 21.0];
    let (made, loss) = calls(|| {
        let mut arena = Arena::<128, 16>::new();
        let tape = arena.tape();
        let w = tape.param(&[1.0], []);
        let b = tape.param(&[0.0], []);
        let t_u = tape.input(&T_U, [11]);
        let t_c = tape.input(&T_C, [11]);
        let loss = (w * (0.1 * t_u) + b).mse(t_c);
        let mut sgd = Sgd::new(1e-2);
        for _ in 0..5000 {
            tape.zero_grad();
            tape.backward(loss)?;
            tape.step(&mut sgd)?;
            tape.replay()?;
        }
        loss.item()
    });
    assert_eq!(made, 0);
    assert!((loss.unwrap() - 2.927_647).abs() < 1e-4);
}

/// Training a network with Adam, micro-batches of changing size, guards, marks and an error
/// allocates nothing.
#[test]
fn training_a_network_allocates_nothing() {
    fn model<'t>(tape: &'t Tape<'t>, x: Var<'t>) -> Var<'t> {
        const W: [f32; 16] = [0.3; 16];
        let hidden = x.linear(tape.param(&W, [2, 8]), tape.param(&[0.1; 8], [8]));
        let hidden = tape.concat(&[hidden.tanh(), x.transpose(0, 1).transpose(0, 1)], 1);
        let out = hidden.linear(tape.param(&[-0.2; 10], [10, 1]), tape.param(&[0.0], [1]));
        out.reshape([-1])
    }
    const ROWS: usize = 50;
    static X: [f32; 2 * ROWS] = {
        let mut x = [0.0; 2 * ROWS];
        let mut i = 0;
        while i < x.len() {
            x[i] = (i * 37 % 100) as f32 * 0.02 - 1.0;
            i += 1;
        }
        x
    };
    static Y: [f32; ROWS] = {
        let mut y = [0.0; ROWS];
        let mut i = 0;
        while i < ROWS {
            y[i] = X[2 * i] * X[2 * i + 1];
            i += 1;
        }
        y
    };
    // Only the arena itself is on the heap.
    let mut floats = vec![0.0; 2000];
    let mut nodes = vec![Node::EMPTY; 40];
    let (made, [first, last]) = calls(|| {
        let tape = Tape::new(&mut floats, &mut nodes);
        let x = tape.input(&X[..2 * 8], [8, 2]);
        let y = tape.input(&Y[..8], [8]);
        let out = model(&tape, x);
        let loss = (out - y).square().sum();
        let mark = tape.mark();
        let mut adam = Adam::<35>::new(0.01);
        let mut losses = [0.0; 2];
        for epoch in 0..300 {
            let mut total = 0.0;
            tape.zero_grad();
            for from in (0..ROWS).step_by(8) {
                let to = (from + 8).min(ROWS);
                tape.rebind(x, &X[2 * from..2 * to]).unwrap();
                tape.rebind(y, &Y[from..to]).unwrap();
                tape.replay().unwrap();
                tape.backward(loss).unwrap();
                total += loss.item().unwrap();
            }
            tape.step(&mut adam).unwrap();
            // A temporary recording, an error, a guard.
            tape.replay().unwrap();
            let score = tape.no_grad(|| out.max() + out.softmax(0).mean());
            assert!(score.item().is_ok());
            let dead = score + tape.constant(&[0.0; 3], [3]).matmul(x);
            assert!(dead.item().is_err());
            tape.rewind(mark).unwrap();
            assert_eq!(tape.params().unwrap().len(), 35);
            assert!(tape.grads().unwrap().iter().all(|g| g.is_finite()));
            assert!(tape.usage().nodes < 40);
            losses[usize::from(epoch > 0)] = total;
        }
        losses
    });
    assert_eq!(made, 0);
    assert!(last < 0.5 * first, "{first} {last}");
}

/// Streaming a data set that is larger than the tape allocates nothing.
#[test]
fn streaming_allocates_nothing() {
    static DATA: [f32; 100] = [0.5; 100];
    let (made, mean) = calls(|| {
        let mut arena = Arena::<80, 8>::new();
        let tape = arena.tape();
        let w = tape.param(&[1.0], []);
        let x = tape.input(&DATA[..16], [16]);
        let loss = (w * x).square().mean();
        tape.backward_over(loss, &[(x, &DATA)])
    });
    assert_eq!((made, mean.unwrap()), (0, 0.25));
}
