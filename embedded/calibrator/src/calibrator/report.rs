//! The report of a fit.

use baregrad::calibrate::{Calibration, Curve, Scaling};

use super::Calibrator;
use crate::board::Board;
use crate::console::{Number, put, say};
use crate::failure::Failure;
use crate::kept::MAX_PARAMS;
use crate::memory::Errors;
use crate::training::{End, Fitted};

impl<B: Board> Calibrator<'_, B> {
    #[inline(never)]
    pub(super) fn say_fitted(&mut self, fitted: &Fitted) -> Result<(), Failure> {
        let mut params = [0.0; MAX_PARAMS];
        let calibration = self.records.current.read(&mut params)?;
        let board = &mut self.board;
        let loss = Number::Single(calibration.origin.loss);
        put!(board, "fit loss={loss} epochs={}", fitted.epochs);
        say_coefficients(board, &calibration);
        say!(board, " crc={:08x}", self.records.current.checksum());
        say_scaled(board, &calibration);
        for (what, scale, farthest) in [
            ("readings", calibration.input, calibration.range),
            (
                "references",
                calibration.output,
                [calibration.output.offset; 2],
            ),
        ] {
            let lost = farthest.iter().filter_map(|x| scale.lost(*x));
            if let Some(step) = lost.reduce(f32::max) {
                say!(
                    board,
                    "{what} lose digits, in steps of {}: take an origin off before you send them",
                    Number::Single(step)
                );
            }
        }
        match &fitted.end {
            End::Descent(reason, _) => say!(board, "{reason}"),
            End::Lm(status) => {
                say_errors(board, &calibration, &self.scratch.errors);
                say!(board, "{status}");
            }
        }
        say!(board, "ok");
        Ok(())
    }
}

/// Sends the coefficients of the unscaled reading, if a formula with them has six digits.
#[inline(never)]
fn say_coefficients<B: Board>(board: &mut B, calibration: &Calibration<'_>) {
    if let Curve::Function(formula) = calibration.curve {
        for (name, p) in formula.parameters().iter().zip(calibration.params) {
            put!(board, " {name}={}", Number::Single(*p));
        }
        return;
    }
    let Some([b, weights @ ..]) = calibration.coefficients() else {
        return;
    };
    let degree = calibration.curve.inputs();
    for (power, w) in (1..=degree).zip(weights) {
        let w = Number::Single(w);
        match degree {
            1 => put!(board, " w={w}"),
            _ => put!(board, " w{power}={w}"),
        }
    }
    put!(board, " b={}", Number::Single(b));
}

/// Sends the standard errors of the coefficients, and the standard deviation of the residuals.
#[inline(never)]
fn say_errors<B: Board>(board: &mut B, calibration: &Calibration<'_>, errors: &Errors) {
    let Errors {
        coefficients,
        deviation,
        freedom,
    } = errors;
    if *freedom == 0 {
        return say!(
            board,
            "no standard errors: as many samples as the model has coefficients"
        );
    }
    if let Some(errors) = coefficients {
        put!(board, "errors");
        let count = calibration.params.len();
        let names = match calibration.curve {
            Curve::Function(formula) => formula.parameters(),
            _ => &[],
        };
        let is_scaled = names.is_empty() && !calibration.has_coefficients();
        // Coefficients of the unscaled reading are sent in the order of `say_coefficients`, in
        // which the constant is last.
        for i in 0..count {
            let power = match (names.is_empty(), is_scaled) {
                (true, false) => (i + 1) % count,
                _ => i,
            };
            put!(board, " ");
            match (names.get(i), power) {
                (Some(name), _) => put!(board, "{name}"),
                (None, power) if is_scaled => put!(board, "c{power}"),
                (None, 0) => put!(board, "b"),
                (None, 1) if count == 2 => put!(board, "w"),
                (None, power) => put!(board, "w{power}"),
            }
            let error = errors.get(power).copied().unwrap_or(f32::NAN);
            put!(board, "+-{}", Number::Single(error));
        }
        board.send(b"\r\n");
    }
    let deviation = Number::Single(*deviation);
    say!(
        board,
        "residuals sigma={deviation} with {freedom} degrees of freedom"
    );
}

/// Sends the scale of readings, and the coefficients of the scaled reading.
#[inline(never)]
fn say_scaled<B: Board>(board: &mut B, calibration: &Calibration<'_>) {
    let Calibration {
        curve,
        input,
        output,
        ..
    } = calibration;
    let Some(coefficients) = calibration.scaled_coefficients() else {
        return;
    };
    let [centre, spread] = match curve.scaling() {
        Scaling::Standard => ["mean", "deviation"],
        _ => ["middle", "halfrange"],
    };
    let offset = Number::added_to(input.offset, input.spread());
    let deviation = Number::Single(input.spread());
    put!(board, "scaled {centre}={offset} {spread}={deviation}");
    for (power, c) in coefficients
        .into_iter()
        .enumerate()
        .take(curve.inputs() + 1)
    {
        let c = Number::added_to(c, output.spread());
        put!(board, " c{power}={c}");
    }
    board.send(b"\r\n");
}
