//! Tests README's pattern `fn main() -> Result<(), Error>`: standard error shows the text of the
//! error, not the fields of its struct.
//!
//! This program runs itself again, and the second run fails.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::process::Command;

use baregrad::optim::{OptimizerError, Sgd};
use baregrad::{Arena, Error, ErrorKind, Shape, ShapeError};

/// The environment variable that tells the second run how to fail.
const FAIL: &str = "BAREGRAD_TEST_FAIL";

fn main() -> Result<(), Error> {
    if let Ok(how) = std::env::var(FAIL) {
        return fail(&how);
    }
    // The texts, and the ends of the lines that name the place.
    let cases = [
        (
            "shape",
            "Error: sub: shapes do not broadcast: sizes, aligned at the last, must be equal or 1, operands are [2, 3] and [3, 2], at ",
        ),
        (
            "floats",
            "Error: constant: the arena is full: 100 floats are needed, it has 16, at ",
        ),
        (
            "rate",
            if cfg!(feature = "std") {
                "Error: step: expected lr >= 0, found -1, at "
            } else {
                "Error: step: expected lr >= 0, found another value, at "
            },
        ),
    ];
    for (how, expected) in cases {
        let program = std::env::current_exe().unwrap();
        let output = Command::new(program).env(FAIL, how).output().unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success(), "{how}");
        assert!(text.starts_with(expected), "{how}: {text}");
        assert_eq!(text.lines().count(), 1, "{how}: {text}");
        assert!(text.contains("main_error.rs:"), "{how}: {text}");
    }
    every_error_shows_its_text();
    println!("main_error: ok");
    Ok(())
}

/// Makes a call fail on a small tape.
fn fail(how: &str) -> Result<(), Error> {
    let mut arena = Arena::<16, 8>::new();
    let tape = arena.tape();
    match how {
        "shape" => {
            let (a, b) = (
                tape.constant(&[0.0; 6], [2, 3]),
                tape.constant(&[0.0; 6], [3, 2]),
            );
            (a - b).square().mean().item()?;
        }
        "floats" => {
            tape.constant(&[0.0; 100], [100]).value()?;
        }
        "rate" => {
            let w = tape.param(&[1.0], []);
            tape.backward(w.square())?;
            tape.step(&mut Sgd::new(-1.0))?;
        }
        #[cfg(feature = "std")]
        "level" => same(&baregrad::kernel::level_from_env().unwrap_err()),
        how => panic!("no such failure: {how}"),
    }
    Ok(())
}

fn same(error: &(impl std::fmt::Debug + std::fmt::Display)) {
    assert_eq!(format!("{error:?}"), error.to_string());
}

/// `Debug`, which `unwrap` and a `main` that returns a box print, shows the text of every error.
fn every_error_shows_its_text() {
    same(&fail("shape").unwrap_err());
    same(&fail("floats").unwrap_err());
    same(&ShapeError::Broadcast);
    same(&ShapeError::Other("no"));
    same(&ErrorKind::Stale);
    same(&ErrorKind::NotScalar {
        shape: Shape::SCALAR,
    });
    same(&OptimizerError::StateSize {
        state: 1,
        params: 2,
    });
    #[cfg(feature = "std")]
    {
        use baregrad::train::{Curve, Dataset, Fit, FitError};
        same(&fail("rate").unwrap_err());
        same(&"cubic".parse::<Curve>().unwrap_err());
        let data = Dataset::new([("x", [1.0, 2.0]), ("y", [1.0, 2.0])]).unwrap();
        same(&data.column("z").unwrap_err());
        same(&Dataset::new([("x", [f32::NAN])]).unwrap_err());
        let samples = data.samples(&["x"], &["y"]).unwrap();
        let fit = |sgd: &mut Sgd| Fit::new(&Curve::Linear, &samples).epochs(9).run(sgd);
        let setting = Fit::new(&Curve::Linear, &samples).epochs(0);
        let setting = setting.run(&mut Sgd::new(0.1)).unwrap_err();
        assert!(matches!(setting, FitError::Setting { .. }));
        same(&setting);
        same(&fit(&mut Sgd::new(1e30)).unwrap_err());
        same(&fit(&mut Sgd::new(-1.0)).unwrap_err());
        #[cfg(feature = "csv")]
        same(&baregrad::train::read_csv("none.csv", &["x"]).unwrap_err());
        #[cfg(feature = "plot")]
        {
            let fitted = fit(&mut Sgd::new(0.1)).unwrap();
            let picture = baregrad::train::plot::losses("x.bmp", "", &[("", fitted.history())]);
            same(&picture.unwrap_err());
        }
        let mut again = Command::new(std::env::current_exe().unwrap());
        again.env(FAIL, "level").env("BAREGRAD_SIMD", "none");
        assert!(again.status().unwrap().success());
    }
}
