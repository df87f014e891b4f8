use baregrad::{
    Arena, Var,
    optim::{Adam, Sgd},
};
const T_U: [f32; 11] = [
    35.7, 55.9, 58.2, 81.9, 56.3, 48.9, 33.9, 21.8, 48.4, 60.4, 68.4,
];
const T_C: [f32; 11] = [0.5, 14.0, 15.0, 28.0, 11.0, 8.0, 3.0, -4.0, 6.0, 13.0, 21.0];
fn model<'t>(t_u: Var<'t>, w: Var<'t>, b: Var<'t>) -> Var<'t> {
    w * t_u + b
}
fn main() -> Result<(), baregrad::Error> {
    let t_un = T_U.map(|x| 0.1 * x);
    let mut arena = Arena::<128, 16>::new();
    for fused in [false, true] {
        let tape = arena.tape();
        let w = tape.param(
            &[1.0],
            if fused {
                baregrad::Shape::from([1, 1])
            } else {
                [].into()
            },
        );
        let b = tape.param(
            &[0.0],
            if fused {
                baregrad::Shape::from([1])
            } else {
                [].into()
            },
        );
        let t_u = tape.input(
            &t_un,
            if fused {
                baregrad::Shape::from([11, 1])
            } else {
                [11].into()
            },
        );
        let t_c = tape.input(
            &T_C,
            if fused {
                baregrad::Shape::from([11, 1])
            } else {
                [11].into()
            },
        );
        let loss = if fused {
            t_u.linear(w, b).mse(t_c)
        } else {
            (model(t_u, w, b) - t_c).square().mean()
        };
        let mut sgd = Sgd::new(1e-2);
        let t = std::time::Instant::now();
        for epoch in 1..=5000 {
            tape.zero_grad();
            tape.backward(loss)?;
            if epoch % 500 == 0 {
                println!("Epoch {epoch}, Loss {:.6}", loss.item()?);
            }
            tape.step(&mut sgd)?;
            tape.replay()?;
        }
        println!("{:?}", t.elapsed() / 5000);
        println!("{:?} {:?}", &*tape.params()?, tape.usage());
    }
    let tape = arena.tape();
    let w = tape.param(&[1.0], []);
    let b = tape.param(&[0.0], []);
    let t_u = tape.input(&T_U, [11]);
    let t_c = tape.input(&T_C, [11]);
    let loss = (model(t_u, w, b) - t_c).square().mean();
    tape.backward(loss)?;
    println!("{:.4} {:.4?}", loss.item()?, &*tape.grads()?);
    let mut adam = Adam::<2>::new(1e-1);
    for epoch in 1..=2000 {
        tape.zero_grad();
        tape.backward(loss)?;
        if epoch % 500 == 0 {
            println!("Epoch {epoch}, Loss {:.6}", loss.item()?);
        }
        tape.step(&mut adam)?;
        tape.replay()?;
    }
    println!("{:.4?}", &*tape.params()?);
    Ok(())
}
