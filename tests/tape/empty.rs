//! Tests of empty tensors whose other sizes are as large as possible.

use super::*;

/// Returns `2^exponent`, or the largest size.
fn power(exponent: u32) -> usize {
    1usize.checked_shl(exponent).unwrap_or(usize::MAX)
}

/// Runs `check`, which names each of its actions beforehand, and fails if one takes a minute.
fn in_time(check: impl FnOnce(&dyn Fn(String)) + Send + 'static) {
    use std::sync::mpsc::{RecvTimeoutError, channel};
    let (send, receive) = channel::<String>();
    let thread = std::thread::spawn(move || check(&|doing| send.send(doing).unwrap()));
    let mut last = String::new();
    loop {
        match receive.recv_timeout(std::time::Duration::from_secs(60)) {
            Ok(doing) => last = doing,
            Err(RecvTimeoutError::Timeout) => panic!("no end of {last}"),
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    if thread.join().is_err() {
        panic!("in {last}");
    }
}

/// Every operation on empty tensors of large sizes gives a result or an error immediately, forward
/// and backward.
#[test]
fn empty_tensors_of_any_size_take_no_time() {
    use baregrad::ops::{ALL, Build};
    in_time(|doing| {
        let sizes = [0, 1, 3, power(20), power(31), power(40), usize::MAX];
        let mut random = 1u32;
        let mut draw = |n: usize| {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (random >> 8) as usize % n
        };
        let mut arena = Arena::<512, 64>::new();
        let tape = arena.tape();
        let start = tape.mark();
        let mut done = 0;
        for entry in ALL.iter().copied().flatten() {
            let count = match entry.build {
                Build::One(_) => 1,
                Build::Two(_) => 2,
                Build::Three(_) => 3,
                Build::Many(_) => 5,
            };
            for round in 0..150 {
                // One shape for all operands, or with a few sizes changed. Each contains a zero, or
                // is small enough to be filled.
                let rank = 1 + draw(4);
                let first: [usize; 4] = std::array::from_fn(|_| sizes[draw(sizes.len())]);
                let zero = draw(rank);
                let operands: Vec<Vec<usize>> = (0..count)
                    .map(|_| {
                        let mut dims = first[..rank].to_vec();
                        if round % 2 == 1 {
                            dims[draw(rank)] = sizes[draw(sizes.len())];
                            dims.truncate(1 + draw(rank));
                        }
                        let shape = Shape::new(&dims).unwrap();
                        if shape.numel() > 12 {
                            let last = dims.len() - 1;
                            dims[zero.min(last)] = 0;
                        }
                        dims
                    })
                    .collect();
                let mut args = entry.args;
                args.axis = Some(draw(rank) as isize);
                args.d0 = draw(rank) as isize;
                args.d1 = draw(rank) as isize;
                args.keepdim = draw(2) == 0;
                args.start = sizes[draw(sizes.len())];
                args.length = sizes[draw(sizes.len())];
                if draw(2) == 0 {
                    args.start = first[draw(rank)] / 2;
                    args.length = args.start;
                }
                args.rank = rank;
                args.shape = std::array::from_fn(|_| {
                    let negative = draw(8) == 0;
                    if negative {
                        -1
                    } else {
                        sizes[draw(sizes.len())] as isize
                    }
                });
                doing(format!("{} {operands:?} {args:?}", entry.name));
                let vars: Vec<_> = operands
                    .iter()
                    .map(|dims| {
                        let shape = Shape::new(dims).unwrap();
                        tape.param(&vec![0.5; shape.numel()], shape)
                    })
                    .collect();
                let y = entry.build.call(&vars, &args).unwrap();
                if tape.error().is_none() {
                    let found = y.value().unwrap().len();
                    assert_eq!(y.shape().numel(), found);
                    let sent = tape.backward_with(y, &vec![1.0; found]);
                    match sent.map_err(|error| error.kind) {
                        Ok(()) => {
                            // A mask has no gradient either.
                            for var in vars.iter().filter(|var| var.has_grad()) {
                                // Earlier gradients are gone.
                                assert_eq!(grad(*var).len(), var.shape().numel());
                                if found == 0 {
                                    assert!(grad(*var).iter().all(|g| *g == 0.0));
                                }
                            }
                            for var in vars.iter().filter(|var| !var.has_grad()) {
                                tape.allow_unused(*var).unwrap();
                            }
                            tape.step(&mut Sgd::new(0.5)).unwrap();
                            tape.replay().unwrap();
                        }
                        // A comparison has no gradient.
                        Err(kind) if !y.requires_grad() => {
                            assert!(matches!(kind, ErrorKind::NoGradient));
                        }
                        Err(kind) => assert!(matches!(kind, ErrorKind::Floats { .. })),
                    }
                    done += 1;
                }
                tape.rewind(start).unwrap();
            }
        }
        assert!(done > 2000, "{done}");
    });
}

/// Shapes of empty tensors are PyTorch's, such as `torch.empty(2**40, 0).T.shape`.
#[test]
fn shapes_of_empty_tensors() {
    in_time(|doing| {
        let (big, half) = (power(40), power(39));
        let mut arena = Arena::<64, 16>::new();
        let tape = arena.tape();
        let start = tape.mark();
        let check = |what: &str, from: &[usize], op: &dyn Fn(Var<'_>) -> Shape, to: &[usize]| {
            doing(what.to_string());
            let x = tape.param(&[], Shape::new(from).unwrap());
            let shape = op(x);
            assert!(tape.error().is_none(), "{what}: {:?}", tape.error());
            assert_eq!(shape.dims(), to, "{what}");
            tape.replay().unwrap();
            tape.rewind(start).unwrap();
        };
        let run = |y: Var<'_>| {
            if let Ok(n) = y.value().map(|y| y.len()) {
                y.tape().backward_with(y, &vec![1.0; n]).unwrap();
            }
            y.shape()
        };
        check(
            "transpose",
            &[big, 0],
            &|x| run(x.transpose(0, 1)),
            &[0, big],
        );
        check(
            "transpose of 4",
            &[big, usize::MAX, 0, 3],
            &|x| run(x.transpose(0, 3)),
            &[3, usize::MAX, 0, big],
        );
        check(
            "narrow",
            &[big, 0],
            &|x| run(x.narrow(0, half, half)),
            &[half, 0],
        );
        check(
            "narrow to nothing",
            &[big, 0],
            &|x| run(x.narrow(1, 0, 0)),
            &[big, 0],
        );
        check(
            "narrow of 3",
            &[usize::MAX, usize::MAX, 0],
            &|x| run(x.narrow(1, 1, usize::MAX - 1)),
            &[usize::MAX, usize::MAX - 1, 0],
        );
        check("select", &[big, 0], &|x| run(x.select(0, half)), &[0]);
        check(
            "concat",
            &[half, 0],
            &|x| run(x.tape().concat(&[x, x], 0)),
            &[2 * half, 0],
        );
        check(
            "concat of five",
            &[usize::MAX, usize::MAX, 0],
            &|x| run(x.tape().concat(&[x; 5], 2)),
            &[usize::MAX, usize::MAX, 0],
        );
        check("softmax", &[big, 0], &|x| run(x.softmax(1)), &[big, 0]);
        check(
            "log_softmax",
            &[big, 0, 3],
            &|x| run(x.log_softmax(0)),
            &[big, 0, 3],
        );
        check("sum", &[big, 0], &|x| run(x.sum()), &[]);
        check("sum_axis", &[big, 0], &|x| run(x.sum_axis(0, false)), &[0]);
        check(
            "mean_axis",
            &[0, big, 3],
            &|x| run(x.mean_axis(1, true)),
            &[0, 1, 3],
        );
        check("max_axis", &[0, big], &|x| run(x.max_axis(1, false)), &[0]);
        check(
            "amin",
            &[0, power(32) - 1],
            &|x| run(x.amin(1, false)),
            &[0],
        );
        check("reshape", &[big, 0], &|x| run(x.reshape([-1, 3])), &[0, 3]);
        check("add", &[big, 1, 0], &|x| run(x + x), &[big, 1, 0]);
        check(
            "add, stretched by turns",
            &[power(31), 1, 0, 1],
            &|x| {
                let other = x.tape().param(&[0.5; 5], [1, 1, 1, 5]);
                run(x + other.reshape([1, 1, 1, 5]))
            },
            &[power(31), 1, 0, 5],
        );
        check(
            "matmul",
            &[0, big],
            &|x| run(x.matmul(x.transpose(0, 1))),
            &[0, 0],
        );
        check(
            "linear",
            &[big, 0],
            &|x| {
                let b = x.tape().param(&[], [0]);
                run(x.linear(x.transpose(0, 1).matmul(x), b))
            },
            &[big, 0],
        );
        check("tanh", &[big, 0], &|x| run(x.tanh()), &[big, 0]);
    });
}

/// Shapes with too many elements are refused, with the numbers in the error.
#[test]
fn refusals_of_empty_tensors_say_what_was_asked() {
    let mut arena = Arena::<64, 16>::new();
    let tape = arena.tape();
    let start = tape.mark();
    let why = |dims: &[usize], op: &dyn Fn(Var<'_>)| {
        let x = tape.param(&[], Shape::new(dims).unwrap());
        op(x);
        let kind = tape.error().unwrap().kind;
        tape.rewind(start).unwrap();
        match kind {
            ErrorKind::Shape { why, .. } => why,
            other => panic!("{other:?}"),
        }
    };
    let big = power(40);
    let end = big.saturating_add(1);
    let range = ShapeError::Range { end, size: big };
    assert_eq!(why(&[big, 0], &|x| _ = x.select(0, big)), range);
    assert_eq!(why(&[big, 0], &|x| _ = x.narrow(0, 1, big)), range);
    // The end of the range overflows, and must not be taken for that of the largest axis.
    let (most, end) = (usize::MAX, usize::MAX);
    let range = ShapeError::Range { end, size: most };
    for (start, length) in [(most, 1), (most, 2), (most - 1, 2), (2, most), (most, most)] {
        assert_eq!(why(&[most, 0], &|x| _ = x.narrow(0, start, length)), range);
        assert_eq!(why(&[0, most], &|x| _ = x.narrow(1, start, length)), range);
    }
    assert_eq!(why(&[most, 0], &|x| _ = x.select(0, most)), range);
    assert_eq!(
        why(&[big, 0], &|x| _ = x.max_axis(1, false)),
        ShapeError::Empty
    );
    for size in [-2, -5, isize::MIN, u32::MAX as isize, isize::MAX] {
        assert_eq!(
            why(&[0], &|x| _ = x.reshape([size, 0])),
            ShapeError::Size { size }
        );
    }
    let text = ShapeError::Size { size: -2 }.to_string();
    assert!(text.starts_with("a size of -2 cannot be"), "{text}");
    assert_eq!(why(&[0], &|x| _ = x.reshape([-1, 0])), ShapeError::Reshape);
    // The sum of sizes overflows.
    assert!(matches!(
        why(&[usize::MAX, 0], &|x| _ = x.tape().concat(&[x, x], 0)),
        ShapeError::Other(_)
    ));
    // A shape that has elements, but too many.
    let x = tape.param(&[], [big, 0]);
    assert!(matches!(
        refused(x.sum_axis(1, false).item(), "sum"),
        ErrorKind::Floats { .. }
    ));
}

/// Kernels return immediately for empty results.
#[test]
fn kernels_have_nothing_to_do_for_empty_results() {
    use baregrad::kernel::{self, Acc, Broadcast, Product};
    in_time(|doing| {
        let big = usize::MAX;
        let none: &mut [f32] = &mut [];
        let (x, s, r) = ([], [big, 0, big], [big, big]);
        doing("kernels".to_string());
        for acc in [Acc::Set, Acc::Add] {
            kernel::transpose(&x, [big, big, 0, big, big], none, acc);
            kernel::paste(&x, s, r, none, acc);
            kernel::cut(&x, s, r, none, acc);
            kernel::spread(&x, 1.0, s, none, acc);
            kernel::softmax_grad::<true>(&x, &x, s, none, acc);
            kernel::softmax_grad::<false>(&x, &x, s, none, acc);
            kernel::matmul_tn(&x, &x, none, s, acc);
            kernel::matmul_nt(&x, &x, none, s, acc);
        }
        kernel::softmax::<true>(&x, s, none);
        kernel::softmax::<false>(&x, s, none);
        kernel::sum_axis(&x, s, none);
        kernel::max_axis(&x, s, none);
        kernel::min_axis(&x, s, none);
        kernel::send_to_extremes(&x, &x, &x, s, kernel::Ties::Even, none, Acc::Set);
        kernel::matmul(&x, &x, none, s);
        kernel::linear(&x, &x, &x, none, s);
        let (a, b) = (Shape::from([big, 1, 0, 1]), Shape::from([1, big, 1, 5]));
        let (shape, stretch) = Broadcast::new(&a, &b).unwrap();
        assert_eq!(shape, Shape::from([big, big, 0, 5]));
        kernel::zip(Product, &stretch, &x, &[1.0; 5], none);
    });
}

#[cfg(feature = "std")]
#[test]
fn a_heap_arena_of_more_than_there_is_says_so() {
    use baregrad::HeapArena;
    for (floats, nodes) in [
        (usize::MAX, 1),
        (usize::MAX - 15, 1),
        (usize::MAX / 4, 0),
        (1, usize::MAX),
        (1, usize::MAX / size_of::<Node>()),
    ] {
        let made = std::panic::catch_unwind(|| HeapArena::new(floats, nodes));
        let message = *made.unwrap_err().downcast::<String>().unwrap();
        assert!(message.contains("HeapArena::new"), "{message}");
        assert!(message.contains(&floats.to_string()), "{message}");
    }
}

/// An input of more elements than 32 bits can count is refused. (Its memory is never touched.)
#[cfg(target_pointer_width = "64")]
#[test]
#[allow(unsafe_code)]
fn an_input_of_more_than_32_bits_is_refused() {
    use std::alloc::{Layout, alloc_zeroed, dealloc};
    const END: usize = u32::MAX as usize;
    let len = END + 4;
    let layout = Layout::array::<f32>(len).unwrap();
    // SAFETY: the layout is not empty.
    let start = unsafe { alloc_zeroed(layout) };
    if start.is_null() {
        eprintln!("left out: the system does not lend 17 GB, not even untouched");
        return;
    }
    {
        // SAFETY: zeros are valid `f32`s, and the slice is not used after the memory is freed.
        let data = unsafe { std::slice::from_raw_parts(start.cast::<f32>(), len) };
        let mut arena = Small::new();
        let tape = arena.tape();
        let x = tape.input(data, [len]);
        let most = u32::MAX;
        let kind = ErrorKind::TooLong { most, found: len };
        assert_eq!(refused(x.value(), "input"), kind);
        let text = tape.error().unwrap().to_string();
        assert!(text.contains("expected at most 4294967295 values, found 4294967299"));
        assert_eq!(tape.usage().nodes, 0);

        // The largest input is accepted, and a data set may be longer.
        let mut arena = Small::new();
        let tape = arena.tape();
        let x = tape.input(&data[..most as usize], [most as usize]);
        assert_eq!(x.value().unwrap().len(), most as usize);
        let part = x.narrow(0, most as usize - 2, 2);
        assert_eq!(values(part), [0.0; 2]);
        let error = tape.rebind(x, data).unwrap_err();
        assert!(matches!(error.kind, ErrorKind::Rows { found, .. } if found == len));
        tape.rebind(x, &data[..1]).unwrap();
        let error = tape.replay().unwrap_err();
        assert!(matches!(
            error.kind,
            ErrorKind::Shape {
                why: ShapeError::Range { end: END, size: 1 },
                ..
            }
        ));
    }
    // SAFETY: allocated with this layout.
    unsafe { dealloc(start, layout) };
}
