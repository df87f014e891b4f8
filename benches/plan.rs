//! Times the first backward pass of a recording, which is mostly the planning of gradient
//! buffers, and later passes, in nanoseconds per node.
//!
//! ```text
//! cargo bench --bench plan
//! ```

#![allow(clippy::unwrap_used, missing_docs)]

mod shared;

use std::hint::black_box;
use std::time::Instant;

use baregrad::{HeapArena, Tape, Var};
use shared::graphs;

type Graph = for<'t> fn(&'t Tape<'t>, usize) -> Var<'t>;

fn main() {
    if !std::env::args().any(|arg| arg == "--bench") {
        println!("nothing is timed without --bench");
        return;
    }
    const GRAPHS: [(&str, Graph); 3] = [
        ("chain", graphs::chain),
        ("wide", graphs::wide),
        ("rows", graphs::rows),
    ];
    println!("ns for each node: first backward, later ones");
    for (name, graph) in GRAPHS {
        for n in [10, 100, 300, 1000, 4000, 16_000] {
            let (mut first, mut later) = (f64::INFINITY, f64::INFINITY);
            for _ in 0..(20_000 / n).clamp(5, 200) {
                let mut arena = HeapArena::new(50 * n + 1000, 2 * n + 10);
                let tape = arena.tape();
                let loss = graph(&tape, n);
                let nodes = tape.usage().nodes as f64;
                for best in [&mut first, &mut later] {
                    let start = Instant::now();
                    tape.backward(black_box(loss)).unwrap();
                    *best = best.min(start.elapsed().as_nanos() as f64 / nodes);
                }
            }
            println!("{name:6} {n:>6} {first:>8.0} {later:>8.0}");
        }
    }
}
