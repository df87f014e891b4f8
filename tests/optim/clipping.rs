//! Tests of clipping gradients by norm and by value.

use baregrad::Arena;
use baregrad::optim::{clip_grad_norm, clip_grad_value};

/// Gradients are clipped like by `torch.nn.utils.clip_grad_norm_` and `clip_grad_value_`.
#[test]
fn gradients_are_clipped() {
    let mut arena = Arena::<64, 24>::new();
    let tape = arena.tape();
    let [x, y] = [tape.param(&[3.0], []), tape.param(&[-4.0], [])];
    let loss = 0.5 * (x.square() + y.square());
    let clipped = |clip: &dyn Fn()| {
        tape.zero_grad();
        tape.backward(loss).unwrap();
        clip();
        [x.grad().unwrap()[0], y.grad().unwrap()[0]]
    };
    let [a, b] = clipped(&|| assert_eq!(tape.clip_grad_norm(1.0).unwrap(), 5.0));
    assert!((a - 0.6).abs() < 1e-6 && (b + 0.8).abs() < 1e-6, "{a} {b}");
    let unchanged = clipped(&|| assert_eq!(tape.clip_grad_norm(6.0).unwrap(), 5.0));
    assert_eq!(unchanged, [3.0, -4.0]);
    let values = clipped(&|| tape.clip_grad_value(3.5).unwrap());
    assert_eq!(values, [3.0, -3.5]);
    tape.zero_grad();
    assert!(tape.clip_grad_norm(1.0).is_err());

    let mut huge = [3e38; 4];
    assert_eq!(clip_grad_norm(&mut huge, 2.0), f32::INFINITY);
    assert!(huge.iter().all(|g| (g - 1.0).abs() < 1e-6), "{huge:?}");
    let mut none: [f32; 0] = [];
    assert_eq!(clip_grad_norm(&mut none, 1.0), 0.0);
    let mut values = [f32::NAN, f32::INFINITY, -0.5];
    clip_grad_value(&mut values, 1.0);
    assert!(values[0].is_nan() && values[1..] == [1.0, -0.5]);
}
